"""What a leader checks before it takes a batch from a client: header and checksum, as Kafka 4.3 answers.

Records are opened in three cases only: the topic is compacted (each needs a key), `message.timestamp.before.max.ms` is set
(a batch's oldest timestamp is not in its header), or a timestamp is out of bounds and the answer names the records.
A batch of Kafka's own clients says the truth in its header; one that lies about its max timestamp harms its topic's
ListOffsets alone (docs/adr).
"""

from dataclasses import dataclass
from typing import NamedTuple

from broker.protocol.errors import ErrorCode, KafkaError
from broker.record.batch import (
    HEADER_SIZE,
    LOG_OVERHEAD,
    MAGIC,
    NO_PRODUCER_ID,
    NO_TIMESTAMP,
    RECORD_OVERHEAD_MIN,
    BatchHeader,
    Buffer,
    CorruptBatch,
    TimestampType,
    check_crc,
    peek_size,
    read_header,
)
from broker.record.compression import ZSTD
from broker.record.records import InvalidRecord, iter_records

# Kafka's default of message.timestamp.before.max.ms: no bound.
TIMESTAMP_BOUND_NONE = 2**63 - 1
# How many single records an answer names.
RECORD_ERRORS_MAX = 100


class RecordError(NamedTuple):
    """Which record of the batch was refused, and why."""

    batch_index: int
    message: str


class RecordValidationError(KafkaError):
    """Single records were refused: the Produce answer names them."""

    def __init__(self, code: ErrorCode, message: str, record_errors: list[RecordError]) -> None:
        super().__init__(code, message)
        self.record_errors = record_errors


@dataclass(slots=True, frozen=True)
class ValidationRules:
    """What the topic's configuration says about a batch."""

    max_message_bytes: int
    timestamp_type: TimestampType
    timestamp_before_max_ms: int
    timestamp_after_max_ms: int
    keys_required: bool


def only_batch(buffer: Buffer) -> tuple[BatchHeader, Buffer]:
    """The one whole batch that a Produce request may carry per partition; an incomplete rest after it is cut off."""
    size = _frame_size(buffer, 0)
    if size is None or len(buffer) < size:
        raise InvalidRecord("a Produce request must have exactly one whole record batch per partition, and it has none")
    magic = int.from_bytes(memoryview(buffer)[16:17], "big", signed=True)
    if 0 <= magic < MAGIC:
        raise InvalidRecord(f"only record batches with magic {MAGIC} are taken, this one has magic {magic}")
    header = read_header(buffer)
    if len(buffer) == size:
        return header, buffer
    following = _frame_size(buffer, size)
    if following is not None and len(buffer) - size >= following:
        raise InvalidRecord("a Produce request must have exactly one record batch per partition, and it has more")
    return header, memoryview(buffer)[:size]


def _frame_size(buffer: Buffer, offset: int) -> int | None:
    """Bytes of the batch at `offset` as far as they can be told; CorruptBatch when the frame cannot be one."""
    size = peek_size(buffer, offset)
    if size is None:
        return None
    if size < RECORD_OVERHEAD_MIN + LOG_OVERHEAD:
        raise CorruptBatch(
            f"record size {size - LOG_OVERHEAD} is less than the least overhead of a record, {RECORD_OVERHEAD_MIN}"
        )
    return size


def validate_size_and_crc(batch: Buffer, header: BatchHeader, max_message_bytes: int) -> None:
    """What every leader append checks, whoever it comes from."""
    if header.size > max_message_bytes:
        raise KafkaError(
            ErrorCode.MESSAGE_TOO_LARGE,
            f"the record batch has {header.size} bytes, more than max.message.bytes={max_message_bytes}",
        )
    check_crc(batch, header)


def validate_client_batch(batch: Buffer, header: BatchHeader, rules: ValidationRules, now_ms: int) -> None:
    """Everything a batch of a client must be; raises KafkaError with the code of the answer."""
    if header.base_offset != 0:
        raise InvalidRecord(f"the base offset of a batch from a client must be 0, it is {header.base_offset}")
    validate_size_and_crc(batch, header, rules.max_message_bytes)
    if header.last_offset_delta < 0 or header.records_count <= 0 or header.records_count != header.last_offset_delta + 1:
        raise InvalidRecord(
            f"the batch declares {header.records_count} records and a last offset delta of {header.last_offset_delta}"
        )
    if header.is_control:
        raise InvalidRecord("clients are not allowed to write control records")
    if header.codec > ZSTD:
        raise InvalidRecord(f"unknown compression codec {header.codec}")
    if header.producer_id != NO_PRODUCER_ID and header.base_sequence < 0:
        raise InvalidRecord(f"the sequence number {header.base_sequence} of producer {header.producer_id} is negative")
    if _needs_records(header, rules, now_ms):
        _validate_records(batch, header, rules, now_ms)


def _needs_records(header: BatchHeader, rules: ValidationRules, now_ms: int) -> bool:
    if rules.keys_required:
        return True
    if rules.timestamp_type is TimestampType.LOG_APPEND_TIME:
        return header.timestamp_type is TimestampType.LOG_APPEND_TIME
    if header.max_timestamp == NO_TIMESTAMP:
        return header.timestamp_type is TimestampType.LOG_APPEND_TIME
    return rules.timestamp_before_max_ms != TIMESTAMP_BOUND_NONE or header.max_timestamp - now_ms > rules.timestamp_after_max_ms


def _validate_records(batch: Buffer, header: BatchHeader, rules: ValidationRules, now_ms: int) -> None:
    """Record by record; the answer says INVALID_TIMESTAMP when one timestamp was wrong, else INVALID_RECORD."""
    errors: list[RecordError] = []
    code = ErrorCode.INVALID_RECORD
    for index, record in enumerate(iter_records(batch, header)):
        if rules.keys_required and record.key is None:
            errors.append(RecordError(index, "Compacted topic cannot accept message without key"))
        elif problem := _timestamp_problem(record.timestamp, header, rules, now_ms):
            code = ErrorCode.INVALID_TIMESTAMP
            errors.append(RecordError(index, problem))
    if errors:
        what = "an invalid timestamp" if code is ErrorCode.INVALID_TIMESTAMP else errors[0].message
        raise RecordValidationError(code, f"{len(errors)} records were rejected due to {what}", errors[:RECORD_ERRORS_MAX])
    if rules.timestamp_type is TimestampType.CREATE_TIME and header.max_timestamp - now_ms > rules.timestamp_after_max_ms:
        raise KafkaError(ErrorCode.INVALID_TIMESTAMP, f"the batch's max timestamp {header.max_timestamp} is out of range")


def _timestamp_problem(timestamp: int, header: BatchHeader, rules: ValidationRules, now_ms: int) -> str | None:
    if rules.timestamp_type is TimestampType.CREATE_TIME and timestamp != NO_TIMESTAMP:
        oldest, newest = now_ms - rules.timestamp_before_max_ms, now_ms + rules.timestamp_after_max_ms
        if timestamp < oldest or timestamp > newest:
            return f"Timestamp {timestamp} is out of range. The timestamp should be within [{oldest}, {newest}]"
    elif header.timestamp_type is TimestampType.LOG_APPEND_TIME:
        return "Producer should not set timestamp type to LogAppendTime"
    return None


assert HEADER_SIZE > RECORD_OVERHEAD_MIN
