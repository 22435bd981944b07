"""Every message, in every version, against kio: an independent reader and writer generated from Kafka's own definitions.

For each message with generated values: kio reads what we wrote and finds the same value in every field; what kio writes of
it is byte for byte what we wrote; and we read that back as the message we began with.
"""

import dataclasses
import datetime
import enum
import importlib
import io
import random
import re
from typing import Any

import pytest
from broker.protocol.api_keys import ApiKey
from broker.protocol.codec import decode
from broker.protocol.errors import ErrorCode
from broker.protocol.message import Message, Request, Response, Struct
from broker.protocol.messages import group_records, metadata_records
from broker.protocol.types import ZERO_UUID
from sample_messages import STYLES, body_bytes, generate, message_classes, versions_of

# Records of the broker's own logs: kio knows those of the wire only (test_record_messages has bytes that Kafka wrote).
ELSEWHERE = {metadata_records.__name__, group_records.__name__}
CLASSES = [cls for cls in message_classes() if cls.__module__ not in ELSEWHERE]
PLAIN_SAMPLES = 6
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
MILLISECOND = datetime.timedelta(milliseconds=1)


def kio_class(cls: type[Message], version: int) -> Any:
    kind = "request" if issubclass(cls, Request) else "response" if issubclass(cls, Response) else "data"
    stem = re.sub(r"(?<=[a-z])(Request|Response)$", "", cls.__name__)
    schema = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", stem.replace("KRaft", "KRaft_").replace("_V", "V")).lower()
    schema = {"kraft_version_record": "k_raft_version_record"}.get(schema, schema)
    return getattr(importlib.import_module(f"kio.schema.{schema}.v{version}.{kind}"), cls.__name__)


def as_wire(value: Any) -> Any:
    """kio's value in the types that we use."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, datetime.timedelta):
        return value // MILLISECOND
    if isinstance(value, datetime.datetime):
        return (value - EPOCH) // MILLISECOND
    return value


def assert_same(ours: Struct, theirs: Any, version: int) -> None:
    present = [field for field in ours.FIELDS if version in field.versions]
    names = [field.name for field in dataclasses.fields(theirs)]
    assert [field.name.removesuffix("_ms") for field in present] == [name.removesuffix("_ms") for name in names]
    for field, name in zip(present, names, strict=True):
        mine, other = getattr(ours, field.name), getattr(theirs, name)
        if isinstance(mine, list):
            assert other is not None
            assert len(mine) == len(other)
            for left, right in zip(mine, other, strict=True):
                assert_equal_value(left, right, version)
        else:
            assert_equal_value(mine, other, version)


def assert_equal_value(mine: Any, other: Any, version: int) -> None:
    if isinstance(mine, Struct):
        assert_same(mine, other, version)
    elif other is None and mine is not None:
        assert mine in (-1, ZERO_UUID)  # kio has None for no date and no uuid, too
    else:
        assert mine == as_wire(other)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_bytes_and_values_are_the_same(cls: type[Message]) -> None:
    from kio.serial import entity_reader, entity_writer

    for version in versions_of(cls):
        rng = random.Random(f"{cls.__name__} {version}")
        theirs = kio_class(cls, version)
        read, write = entity_reader(theirs), entity_writer(theirs)
        for style in STYLES + ("plain",) * PLAIN_SAMPLES:
            message = generate(cls, version, rng, style)
            data = body_bytes(message, version)
            value, end = read(data, 0)
            assert end == len(data), (version, style)
            assert_same(message, value, version)
            written = io.BytesIO()
            write(written, value)
            assert written.getvalue() == data, (version, style)
            assert decode(cls, version, data) == message, (version, style)
            assert decode(cls, version, memoryview(data)) == message, (version, style)


def test_every_message_is_compared_or_listed() -> None:
    assert len(CLASSES) > 75
    assert {cls.__module__ for cls in message_classes()} - {cls.__module__ for cls in CLASSES} == ELSEWHERE


def test_the_comparison_bites() -> None:
    """A value that differs in one nested field is found."""
    from broker.protocol.messages.list_offsets import ListOffsetsRequest
    from kio.serial import entity_reader

    message = generate(ListOffsetsRequest, 6, random.Random(1))
    value, _ = entity_reader(kio_class(ListOffsetsRequest, 6))(body_bytes(message, 6), 0)
    message.topics[0].partitions[0].partition_index ^= 1
    with pytest.raises(AssertionError):
        assert_same(message, value, 6)


def test_api_keys_are_the_same() -> None:
    from kio.schema.index import api_key_map

    ours = {int(key): key.name.lower() for key in ApiKey}
    known = {key: name for key, name in api_key_map.items() if key in ours}
    assert {key: ours[key] for key in known} == known
    assert set(api_key_map) <= set(ours)


def test_error_codes_are_the_same() -> None:
    from kio.schema.errors import ErrorCode as Theirs

    theirs = {code.value: code.name.upper() for code in Theirs}
    ours = {int(code): code.name for code in ErrorCode}
    assert {code: ours.get(code) for code in theirs if theirs[code] != ours.get(code)} == {}


@pytest.mark.parametrize("cls", [cls for cls in CLASSES if issubclass(cls, Request)], ids=lambda cls: cls.__name__)
def test_header_versions_are_the_same(cls: type[Request]) -> None:
    """Whether header and body are flexible, of the request and of its response."""
    for version in versions_of(cls):
        theirs = kio_class(cls, version)
        assert theirs.__flexible__ is cls.is_flexible(version)
        assert theirs.__header_schema__.__version__ == (2 if cls.is_flexible(version) else 1)
        assert theirs.__api_key__ == cls.API_KEY
