"""Records as lines, as the DefaultMessageFormatter of Kafka's console consumer prints them."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from broker.cli.failures import Failure, UsageError
from broker.cli.options import flag
from broker.record.batch import TimestampType
from broker.record.records import Record

# In the order they are printed; only the value is printed unless told otherwise.
COLUMNS = ("timestamp", "partition", "offset", "epoch", "headers", "key", "value")
SEPARATORS = {"key.separator": "\t", "line.separator": "\n", "headers.separator": ",", "null.literal": "null"}
DESERIALIZERS = ("key.deserializer", "value.deserializer", "headers.deserializer")
PACKAGE = "org.apache.kafka.common.serialization."
TIMESTAMP_TYPES = {TimestampType.CREATE_TIME: b"CreateTime", TimestampType.LOG_APPEND_TIME: b"LogAppendTime"}
NO_TIMESTAMP = -1


class Unreadable(Failure):
    """A key, value or header that its deserializer cannot read."""


class Consumed(NamedTuple):
    """A record and where it was."""

    topic: str
    partition: int
    timestamp_type: TimestampType
    record: Record


def _integer(size: int) -> Callable[[bytes], bytes]:
    def read(data: bytes) -> bytes:
        if len(data) != size:
            raise Unreadable(f"{len(data)} bytes are no number of {size} bytes")
        return str(int.from_bytes(data, "big", signed=True)).encode()

    return read


READERS: dict[str, Callable[[bytes], bytes]] = {
    "StringDeserializer": lambda data: data.decode(errors="replace").encode(),
    "ByteArrayDeserializer": lambda data: data,
    "ShortDeserializer": _integer(2),
    "IntegerDeserializer": _integer(4),
    "LongDeserializer": _integer(8),
}


class Formatter:
    """See the module. UsageError for properties that are not supported."""

    def __init__(self, properties: Mapping[str, str]) -> None:
        known = {*(f"print.{column}" for column in COLUMNS), *SEPARATORS, *DESERIALIZERS}
        unknown = sorted(set(properties) - known)
        if unknown:
            raise UsageError(
                f"the formatter property {', '.join(unknown)} is not supported; supported are {', '.join(sorted(known))}"
            )
        texts = {name: properties.get(name, default).encode() for name, default in SEPARATORS.items()}
        self._column_separator, self._line_separator = texts["key.separator"], texts["line.separator"]
        self._headers_separator, self._null = texts["headers.separator"], texts["null.literal"]
        self._columns = [column for column in COLUMNS if flag(properties, f"print.{column}", column == "value")]
        self._key, self._value, self._header = (_reader(properties.get(name)) for name in DESERIALIZERS)

    def format(self, consumed: Consumed) -> bytes:
        """The line of a record, with its end; nothing when no column is wanted. Unreadable."""
        if not self._columns:
            return b""
        return self._column_separator.join(self._cell(column, consumed) for column in self._columns) + self._line_separator

    def _cell(self, column: str, consumed: Consumed) -> bytes:
        record = consumed.record
        match column:
            case "value":
                shown = self._read(record.value, self._value)
            case "key":
                shown = self._read(record.key, self._key)
            case "timestamp":
                named = b"%s:%d" % (TIMESTAMP_TYPES[consumed.timestamp_type], record.timestamp)
                shown = b"NO_TIMESTAMP" if record.timestamp == NO_TIMESTAMP else named
            case "headers":
                pairs = (name.encode() + b":" + self._read(content, self._header) for name, content in record.headers)
                shown = self._headers_separator.join(pairs) or b"NO_HEADERS"
            case "epoch":
                # Kafka's console consumer hands no epoch to its formatter.
                shown = b"Epoch:NOT_PRESENT"
            case "partition":
                shown = b"Partition:%d" % consumed.partition
            case _:
                shown = b"Offset:%d" % record.offset
        return shown

    def _read(self, data: bytes | None, reader: Callable[[bytes], bytes] | None) -> bytes:
        if data is None:
            return self._null
        return data if reader is None else reader(data)


def _reader(name: str | None) -> Callable[[bytes], bytes] | None:
    if name is None:
        return None
    found = READERS.get(name.removeprefix(PACKAGE))
    if found is None:
        raise UsageError(f"the deserializer {name} is not supported; supported are {', '.join(READERS)}")
    return found
