"""The 61-byte header of a record batch: reading it, checking the frame and the checksum, and patching it.

Offsets of the log and the leader epoch lie outside the checksum, so a batch can be stamped without touching its records:
`patch` gives a new start and a view of the rest. Nothing here looks at the records (`records` does).
"""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from broker.protocol.errors import ErrorCode, KafkaError
from broker.record.crc import crc32c

Buffer = bytes | bytearray | memoryview

MAGIC = 2
HEADER_SIZE = 61
HEADER_BYTES = HEADER_SIZE
# Base offset and length: what `batch_length` does not count.
LOG_OVERHEAD = 12
# Where the checksummed part begins: the attributes.
CRC_START = 21
# The smallest length that any format version can have; below it the stream is not a log at all (Kafka's bound, too).
RECORD_OVERHEAD_MIN = 14

NO_TIMESTAMP = -1
NO_PRODUCER_ID = -1
NO_PRODUCER_EPOCH = -1
NO_SEQUENCE = -1
NO_LEADER_EPOCH = -1
SEQUENCE_MAX = 2**31 - 1

CODEC_MASK = 0x07
LOG_APPEND_TIME_FLAG = 0x08
TRANSACTIONAL_FLAG = 0x10
CONTROL_FLAG = 0x20
DELETE_HORIZON_FLAG = 0x40

_HEADER = struct.Struct(">qiibIhiqqqhii")
_LENGTH = struct.Struct(">qi")
_START = struct.Struct(">qii")
_FRAME = struct.Struct(">qiib")


class TimestampType(IntEnum):
    """Who set the timestamps of a batch."""

    CREATE_TIME = 0
    LOG_APPEND_TIME = 1


class CorruptBatch(KafkaError):
    """Bytes that are no batch, or whose checksum is wrong."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorCode.CORRUPT_MESSAGE, message)


class BatchHeader(NamedTuple):
    """The header's fields, in the order of the format."""

    base_offset: int
    batch_length: int
    partition_leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    records_count: int

    @property
    def size(self) -> int:
        """Bytes of the whole batch."""
        return self.batch_length + LOG_OVERHEAD

    @property
    def last_offset(self) -> int:
        return self.base_offset + self.last_offset_delta

    @property
    def next_offset(self) -> int:
        return self.base_offset + self.last_offset_delta + 1

    @property
    def codec(self) -> int:
        return self.attributes & CODEC_MASK

    @property
    def is_control(self) -> bool:
        return self.attributes & CONTROL_FLAG != 0

    @property
    def is_transactional(self) -> bool:
        return self.attributes & TRANSACTIONAL_FLAG != 0

    @property
    def timestamp_type(self) -> TimestampType:
        return TimestampType.LOG_APPEND_TIME if self.attributes & LOG_APPEND_TIME_FLAG else TimestampType.CREATE_TIME

    @property
    def last_sequence(self) -> int:
        return add_sequence(self.base_sequence, self.last_offset_delta)


def add_sequence(sequence: int, increment: int) -> int:
    """Sequence numbers wrap from 2^31 - 1 to 0; -1 (none) stays none."""
    if sequence == NO_SEQUENCE:
        return NO_SEQUENCE
    return (sequence + increment) & SEQUENCE_MAX


def read_header(buffer: Buffer, offset: int = 0) -> BatchHeader:
    """The header at `offset`. Says CorruptBatch when there are not enough bytes or it is no batch of version 2."""
    if len(buffer) - offset < HEADER_SIZE:
        raise CorruptBatch(f"{len(buffer) - offset} bytes are no record batch: its header alone has {HEADER_SIZE}")
    header = BatchHeader._make(_HEADER.unpack_from(buffer, offset))
    if header.magic != MAGIC:
        raise CorruptBatch(f"a record batch has magic {header.magic}, only {MAGIC} is known")
    if header.batch_length < HEADER_SIZE - LOG_OVERHEAD:
        raise CorruptBatch(f"a record batch has length {header.batch_length}, at least {HEADER_SIZE - LOG_OVERHEAD} is needed")
    return header


def peek_size(buffer: Buffer, offset: int = 0) -> int | None:
    """Bytes of the batch at `offset`, or None when fewer than 12 bytes are there to tell."""
    if len(buffer) - offset < LOG_OVERHEAD:
        return None
    size: int = _LENGTH.unpack_from(buffer, offset)[1] + LOG_OVERHEAD
    return size


def peek_attributes(buffer: Buffer) -> int:
    """The attributes of the batch at the start of a buffer; 0 when it is too short for them."""
    return int.from_bytes(memoryview(buffer)[CRC_START : CRC_START + 2], "big") if len(buffer) >= CRC_START + 2 else 0


def checksum(batch: Buffer) -> int:
    """The CRC of exactly one batch, computed."""
    return crc32c(memoryview(batch)[CRC_START:])


def crc_is_right(batch: Buffer, header: BatchHeader) -> bool:
    """Whether exactly one batch is what its checksum says."""
    return crc32c(memoryview(batch)[CRC_START:]) == header.crc


def check_crc(batch: Buffer, header: BatchHeader) -> None:
    """CorruptBatch when the batch is not what its checksum says. `batch` is exactly one batch."""
    computed = crc32c(memoryview(batch)[CRC_START:])
    if computed != header.crc:
        raise CorruptBatch(f"record batch is corrupt (stored crc = {header.crc}, computed crc = {computed})")


def iter_batches(buffer: Buffer) -> Iterator[tuple[BatchHeader, memoryview]]:
    """Every whole batch of a buffer with its bytes; an incomplete one at the end is left out. No checksum is looked at."""
    view = memoryview(buffer)
    position, end = 0, len(view)
    while end - position >= HEADER_SIZE:
        header = read_header(view, position)
        if position + header.size > end:
            return
        yield header, view[position : position + header.size]
        position += header.size


def iter_headers(buffer: Buffer) -> Iterator[tuple[BatchHeader, int]]:
    """Header and start of every whole batch of a buffer; an incomplete one at the end is left out."""
    position, end = 0, len(buffer)
    while end - position >= HEADER_SIZE:
        header = read_header(buffer, position)
        if position + header.size > end:
            return
        yield header, position
        position += header.size


def whole_batches_end(buffer: Buffer, upper_offset: int | None = None) -> tuple[int, int]:
    """Where the last whole batch of a buffer ends and where it starts; batches at or above `upper_offset` do not count.

    (0, 0) when there is none. The hot path of reading: it looks at base offset and length alone.
    """
    position = last = 0
    size = len(buffer)
    unpack = _LENGTH.unpack_from
    while position + LOG_OVERHEAD <= size:
        base_offset, length = unpack(buffer, position)
        following = position + length + LOG_OVERHEAD
        if following > size or length < RECORD_OVERHEAD_MIN or (upper_offset is not None and base_offset >= upper_offset):
            break
        last = position
        position = following
    return position, last


def patch(batch: Buffer, base_offset: int, leader_epoch: int) -> list[Buffer]:
    """The batch with another base offset and leader epoch: 16 new bytes and a view of the rest, which is not copied."""
    view = memoryview(batch)
    return [_START.pack(base_offset, len(view) - LOG_OVERHEAD, leader_epoch), view[_START.size :]]


def stamp(
    batch: Buffer, header: BatchHeader, *, timestamp_type: TimestampType, max_timestamp: int
) -> tuple[BatchHeader, list[Buffer]]:
    """A batch with the given offset and epoch and another timestamp type: the checksum is new, the records are not copied."""
    attributes = header.attributes & ~LOG_APPEND_TIME_FLAG
    if timestamp_type is TimestampType.LOG_APPEND_TIME:
        attributes |= LOG_APPEND_TIME_FLAG
    rest = memoryview(batch)[HEADER_SIZE:]
    changed = header._replace(attributes=attributes, max_timestamp=max_timestamp)
    crc = crc32c(rest, crc32c(memoryview(pack_header(changed))[CRC_START:]))
    changed = changed._replace(crc=crc)
    return changed, [pack_header(changed), rest]


def pack_header(header: BatchHeader) -> bytes:
    """The 61 bytes of a header, its checksum as given."""
    return _HEADER.pack(*header)
