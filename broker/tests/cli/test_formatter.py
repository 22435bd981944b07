"""Records as lines."""

import pytest
from broker.cli.failures import UsageError
from broker.cli.formatter import Consumed, Formatter, Unreadable
from broker.record.batch import TimestampType
from broker.record.records import Header, Record

EVERY = {f"print.{column}": "true" for column in ("timestamp", "partition", "offset", "epoch", "headers", "key", "value")}


def consumed(
    key: bytes | None = b"k",
    value: bytes | None = b"v",
    headers: tuple[Header, ...] = (),
    kind: TimestampType = TimestampType.CREATE_TIME,
    timestamp: int = 1700,
) -> Consumed:
    return Consumed("t", 2, kind, Record(5, timestamp, key, value, headers))


def test_only_the_value_unless_told_otherwise() -> None:
    assert Formatter({}).format(consumed()) == b"v\n"
    assert Formatter({}).format(consumed(value=None)) == b"null\n"
    assert Formatter({}).format(consumed(value=b"\xff\x00")) == b"\xff\x00\n"


def test_every_column_in_kafkas_order() -> None:
    headers = (("a", b"1"), ("b", None))
    expected = b"CreateTime:1700\tPartition:2\tOffset:5\tEpoch:NOT_PRESENT\ta:1,b:null\tk\tv\n"
    assert Formatter(EVERY).format(consumed(headers=headers)) == expected


def test_timestamps_and_no_headers() -> None:
    formatter = Formatter({"print.timestamp": "true", "print.headers": "true"})
    assert formatter.format(consumed(kind=TimestampType.LOG_APPEND_TIME)) == b"LogAppendTime:1700\tNO_HEADERS\tv\n"
    assert formatter.format(consumed(timestamp=-1)) == b"NO_TIMESTAMP\tNO_HEADERS\tv\n"


def test_separators_and_the_null_literal() -> None:
    own = {"key.separator": "=>", "line.separator": ";", "headers.separator": "|", "null.literal": "없음"}
    formatter = Formatter({**own, "print.key": "true", "print.headers": "true"})
    shown = formatter.format(consumed(key=None, headers=(("a", b"1"), ("b", b"2"))))
    assert shown.decode() == "a:1|b:2=>없음=>v;"


def test_without_the_value() -> None:
    assert Formatter({"print.value": "false", "print.key": "true"}).format(consumed()) == b"k\n"
    assert Formatter({"print.value": "false"}).format(consumed()) == b""


def test_deserializers() -> None:
    package = "org.apache.kafka.common.serialization."
    own = {"key.deserializer": package + "IntegerDeserializer", "value.deserializer": "LongDeserializer"}
    formatter = Formatter({**own, "headers.deserializer": "StringDeserializer", "print.key": "true", "print.headers": "true"})
    shown = formatter.format(consumed(key=b"\0\0\1\0", value=b"\xff" * 8, headers=(("a", "하나".encode()),)))
    assert shown.decode() == "a:하나\t256\t-1\n"
    with pytest.raises(Unreadable, match="1 bytes are no number of 4 bytes"):
        formatter.format(consumed(key=b"x", value=b"\0" * 8))


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ({"print.kee": "true"}, "print.kee is not supported"),
        ({"print.key": "1"}, "print.key=1 is neither true nor false"),
        ({"value.deserializer": "com.example.Own"}, "com.example.Own is not supported"),
    ],
)
def test_bad_properties(properties: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Formatter(properties)
