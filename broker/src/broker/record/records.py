"""The records inside a batch: decoding them, with every codec. Off the hot path: the log carries batches unopened.

Invariant: whatever the bytes are, reading ends with records or with an InvalidRecord that says what was wrong.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from broker.protocol.errors import ErrorCode, KafkaError
from broker.record.batch import HEADER_SIZE, BatchHeader, Buffer, TimestampType, read_header
from broker.record.compression import NONE, decompress
from broker.record.varint import read_varint

Header = tuple[str, bytes | None]
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1


class InvalidRecord(KafkaError):
    """A batch whose checksum may be right and whose records are not."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorCode.INVALID_RECORD, message)


class Record(NamedTuple):
    """One record."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header] = ()


def iter_records(batch: Buffer, header: BatchHeader | None = None) -> Iterator[Record]:
    """The records of exactly one batch, decompressed. Raises InvalidRecord when they are not as the header declares."""
    if header is None:
        header = read_header(batch)
    if header.records_count < 0:
        raise InvalidRecord(f"a record batch declares {header.records_count} records")
    payload = memoryview(batch)[HEADER_SIZE : header.size]
    data = bytes(payload) if header.codec == NONE else decompress(header.codec, payload)
    log_append_time = header.max_timestamp if header.timestamp_type is TimestampType.LOG_APPEND_TIME else None
    position = 0
    for number in range(header.records_count):
        try:
            record, position = _read_record(data, position, header, log_append_time)
        except (IndexError, ValueError) as error:
            raise InvalidRecord(
                f"record {number} of {header.records_count} at offset {header.base_offset} cannot be read: {error}"
            ) from error
        yield record
    if position != len(data):
        raise InvalidRecord(f"{len(data) - position} bytes follow the {header.records_count} declared records")


def _read_record(data: bytes, position: int, header: BatchHeader, log_append_time: int | None) -> tuple[Record, int]:
    length, position = read_varint(data, position)
    end = position + length
    if length < 0 or end > len(data):
        raise ValueError(f"its length is {length}, {len(data) - position} bytes are left")
    position += 1  # attributes, all unused
    timestamp_delta, position = read_varint(data, position)
    offset_delta, position = read_varint(data, position)
    key, position = _read_bytes(data, position, end, "key")
    value, position = _read_bytes(data, position, end, "value")
    count, position = read_varint(data, position)
    headers: Sequence[Header] = ()
    if count:
        headers, position = _read_headers(data, position, end, count)
    if position != end:
        raise ValueError(f"it declares {length} bytes and ends {end - position} bytes before")
    timestamp = header.base_timestamp + timestamp_delta if log_append_time is None else log_append_time
    offset = header.base_offset + offset_delta
    if not (_INT64_MIN <= timestamp <= _INT64_MAX and _INT64_MIN <= offset <= _INT64_MAX):
        raise ValueError(f"its timestamp {timestamp} or its offset {offset} has more than 64 bits")
    return Record(offset, timestamp, key, value, headers), end


def _read_bytes(data: bytes, position: int, end: int, what: str) -> tuple[bytes | None, int]:
    length, position = read_varint(data, position)
    if length < 0:
        return None, position
    if position + length > end:
        raise ValueError(f"its {what} has {length} bytes, {end - position} are left")
    return data[position : position + length], position + length


def _read_headers(data: bytes, position: int, end: int, count: int) -> tuple[list[Header], int]:
    # Every header takes two bytes at least, so a count beyond that is refused before anything is allocated.
    if count < 0 or count * 2 > end - position:
        raise ValueError(f"it declares {count} headers in {end - position} bytes")
    headers: list[Header] = []
    for _ in range(count):
        key, position = _read_bytes(data, position, end, "header key")
        if key is None:
            raise ValueError("a header has no key")
        value, position = _read_bytes(data, position, end, "header value")
        headers.append((key.decode("utf-8", "replace"), value))
    return headers, position
