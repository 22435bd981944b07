"""Building batches: what the broker itself writes (metadata, offsets, control records), and what tests and clients send."""

from collections.abc import Iterable, Sequence
from enum import IntEnum

from broker.record.batch import (
    CONTROL_FLAG,
    CRC_START,
    HEADER_SIZE,
    LOG_APPEND_TIME_FLAG,
    LOG_OVERHEAD,
    MAGIC,
    NO_LEADER_EPOCH,
    NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID,
    NO_SEQUENCE,
    NO_TIMESTAMP,
    TRANSACTIONAL_FLAG,
    BatchHeader,
    TimestampType,
    pack_header,
)
from broker.record.compression import NONE, compress
from broker.record.crc import crc32c
from broker.record.records import Header, Record
from broker.record.varint import write_varint


class ControlType(IntEnum):
    """The kinds of control records, by the second half of their key."""

    ABORT = 0
    COMMIT = 1
    LEADER_CHANGE = 2
    SNAPSHOT_HEADER = 3
    SNAPSHOT_FOOTER = 4
    KRAFT_VERSION = 5
    KRAFT_VOTERS = 6


def control_key(kind: ControlType) -> bytes:
    """The key of a control record: its version, 0, and its type."""
    return b"\x00\x00" + int(kind).to_bytes(2, "big")


def control_type(key: bytes | None) -> int:
    """The type in a control record's key; -1 when the key is none."""
    return int.from_bytes(key[2:4], "big") if key is not None and len(key) >= 4 else -1


class RecordBatchBuilder:
    """Collects records and makes one batch of them. Offsets are 0, 1, 2, … from the base offset."""

    def __init__(
        self,
        *,
        base_offset: int = 0,
        leader_epoch: int = NO_LEADER_EPOCH,
        codec: int = NONE,
        producer_id: int = NO_PRODUCER_ID,
        producer_epoch: int = NO_PRODUCER_EPOCH,
        base_sequence: int = NO_SEQUENCE,
        transactional: bool = False,
        control: bool = False,
        timestamp_type: TimestampType = TimestampType.CREATE_TIME,
    ) -> None:
        self._base_offset = base_offset
        self._leader_epoch = leader_epoch
        self._producer = (producer_id, producer_epoch, base_sequence)
        self._attributes = (
            codec
            | (LOG_APPEND_TIME_FLAG if timestamp_type is TimestampType.LOG_APPEND_TIME else 0)
            | (TRANSACTIONAL_FLAG if transactional else 0)
            | (CONTROL_FLAG if control else 0)
        )
        self._codec = codec
        self._body = bytearray()
        self._base_timestamp = NO_TIMESTAMP
        self._max_timestamp = NO_TIMESTAMP
        self.count = 0

    @property
    def size(self) -> int:
        """Bytes of the batch before compression."""
        return HEADER_SIZE + len(self._body)

    def append(
        self, timestamp: int, key: bytes | None, value: bytes | None, headers: Sequence[Header] = (), *, offset: int | None = None
    ) -> None:
        """One more record. `offset` is for logs with gaps; without it the next number is taken."""
        if self.count == 0:
            self._base_timestamp = timestamp
        self._max_timestamp = max(self._max_timestamp, timestamp)
        delta = self.count if offset is None else offset - self._base_offset
        record = bytearray(b"\x00")
        write_varint(record, timestamp - self._base_timestamp)
        write_varint(record, delta)
        _write_bytes(record, key)
        _write_bytes(record, value)
        write_varint(record, len(headers))
        for name, content in headers:
            _write_bytes(record, name.encode())
            _write_bytes(record, content)
        write_varint(self._body, len(record))
        self._body += record
        self._last_delta = delta
        self.count += 1

    def build(self) -> bytes:
        """The finished batch, its checksum included."""
        if self.count == 0:
            raise ValueError("a batch needs at least one record")
        body = compress(self._codec, self._body)
        header = BatchHeader(
            self._base_offset,
            HEADER_SIZE - LOG_OVERHEAD + len(body),
            self._leader_epoch,
            MAGIC,
            0,
            self._attributes,
            self._last_delta,
            self._base_timestamp,
            self._max_timestamp,
            *self._producer,
            self.count,
        )
        crc = crc32c(body, crc32c(pack_header(header)[CRC_START:]))
        return pack_header(header._replace(crc=crc)) + body


def _write_bytes(out: bytearray, content: bytes | None) -> None:
    if content is None:
        write_varint(out, -1)
    else:
        write_varint(out, len(content))
        out += content


def build_batch(
    records: Iterable[Record | tuple[bytes | None, bytes | None]],
    timestamp: int = NO_TIMESTAMP,
    *,
    base_offset: int = 0,
    leader_epoch: int = NO_LEADER_EPOCH,
    codec: int = NONE,
    producer_id: int = NO_PRODUCER_ID,
    producer_epoch: int = NO_PRODUCER_EPOCH,
    base_sequence: int = NO_SEQUENCE,
    transactional: bool = False,
    control: bool = False,
    timestamp_type: TimestampType = TimestampType.CREATE_TIME,
) -> bytes:
    """One batch of the records, in their order; their own offsets are not looked at. (key, value) pairs get `timestamp`."""
    builder = RecordBatchBuilder(
        base_offset=base_offset,
        leader_epoch=leader_epoch,
        codec=codec,
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        base_sequence=base_sequence,
        transactional=transactional,
        control=control,
        timestamp_type=timestamp_type,
    )
    for record in records:
        if isinstance(record, Record):
            builder.append(record.timestamp, record.key, record.value, record.headers)
        else:
            builder.append(timestamp, *record)
    return builder.build()


def build_control_batch(
    kind: ControlType,
    value: bytes,
    timestamp: int,
    *,
    base_offset: int = 0,
    leader_epoch: int = NO_LEADER_EPOCH,
    producer_id: int = NO_PRODUCER_ID,
    producer_epoch: int = NO_PRODUCER_EPOCH,
    transactional: bool = False,
) -> bytes:
    """A batch with one control record."""
    return build_batch(
        [Record(0, timestamp, control_key(kind), value)],
        base_offset=base_offset,
        leader_epoch=leader_epoch,
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        transactional=transactional,
        control=True,
    )
