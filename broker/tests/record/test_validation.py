"""What a leader takes from a client and what it refuses, with the codes that Apache Kafka 4.3 answers."""

import dataclasses
from collections.abc import Callable

import pytest
from broker.protocol.errors import ErrorCode, KafkaError
from broker.record.batch import CRC_START, BatchHeader, TimestampType, checksum, pack_header, read_header
from broker.record.builder import build_batch
from broker.record.records import Record
from broker.record.validation import (
    RECORD_ERRORS_MAX,
    TIMESTAMP_BOUND_NONE,
    RecordValidationError,
    ValidationRules,
    only_batch,
    validate_client_batch,
    validate_size_and_crc,
)

NOW = 1_700_000_000_000
HOUR = 3_600_000
RULES = ValidationRules(
    max_message_bytes=10_000,
    timestamp_type=TimestampType.CREATE_TIME,
    timestamp_before_max_ms=TIMESTAMP_BOUND_NONE,
    timestamp_after_max_ms=HOUR,
    keys_required=False,
)
BATCH = build_batch([Record(0, NOW, b"k", b"v"), Record(1, NOW + 1, None, b"w")])


def changed(**fields: int) -> bytes:
    """The batch with another header and a right checksum."""
    header = read_header(BATCH)._replace(**fields)
    batch = pack_header(header) + BATCH[61:]
    return pack_header(header._replace(crc=checksum(batch))) + BATCH[61:]


def refusal(batch: bytes, rules: ValidationRules = RULES) -> KafkaError:
    with pytest.raises(KafkaError) as caught:
        validate_client_batch(batch, read_header(batch), rules, NOW)
    return caught.value


def rules(**fields: object) -> ValidationRules:
    return dataclasses.replace(RULES, **fields)  # type: ignore[arg-type]


def test_a_good_batch_is_taken() -> None:
    assert only_batch(BATCH) == (read_header(BATCH), BATCH)
    validate_client_batch(BATCH, read_header(BATCH), RULES, NOW)


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ({"base_offset": 1}, ErrorCode.INVALID_RECORD, "base offset"),
        ({"records_count": 0}, ErrorCode.INVALID_RECORD, "0 records"),
        ({"records_count": 3}, ErrorCode.INVALID_RECORD, "3 records and a last offset delta of 1"),
        ({"records_count": -1}, ErrorCode.INVALID_RECORD, "-1 records"),
        ({"last_offset_delta": -1, "records_count": 0}, ErrorCode.INVALID_RECORD, "delta of -1"),
        ({"attributes": 0x20}, ErrorCode.INVALID_RECORD, "control records"),
        ({"attributes": 5}, ErrorCode.INVALID_RECORD, "unknown compression codec 5"),
        ({"attributes": 7}, ErrorCode.INVALID_RECORD, "unknown compression codec 7"),
        ({"producer_id": 4, "producer_epoch": 0, "base_sequence": -1}, ErrorCode.INVALID_RECORD, "sequence number -1"),
    ],
)
def test_a_header_that_cannot_be(fields: dict[str, int], code: ErrorCode, said: str) -> None:
    error = refusal(changed(**fields))
    assert error.code is code
    assert said in str(error)


def test_the_helper_makes_batches_that_are_taken() -> None:
    """So that the refusals above are of what they say."""
    batch = changed(producer_id=4, producer_epoch=0, base_sequence=0)
    validate_client_batch(batch, read_header(batch), RULES, NOW)


def test_size_and_checksum() -> None:
    header = read_header(BATCH)
    validate_size_and_crc(BATCH, header, len(BATCH))
    with pytest.raises(KafkaError, match=r"max\.message\.bytes") as caught:
        validate_size_and_crc(BATCH, header, len(BATCH) - 1)
    assert caught.value.code is ErrorCode.MESSAGE_TOO_LARGE
    damaged = BATCH[:-1] + b"?"
    assert refusal(damaged).code is ErrorCode.CORRUPT_MESSAGE
    assert refusal(damaged, rules(max_message_bytes=1)).code is ErrorCode.MESSAGE_TOO_LARGE


def test_exactly_one_whole_batch() -> None:
    for end in range(len(BATCH)):
        with pytest.raises(KafkaError) as caught:
            only_batch(BATCH[:end])
        assert caught.value.code is ErrorCode.INVALID_RECORD
    with pytest.raises(KafkaError, match="it has more") as caught:
        only_batch(BATCH + BATCH)
    assert caught.value.code is ErrorCode.INVALID_RECORD


@pytest.mark.parametrize("rest", [1, 11, 12, 60])
def test_an_incomplete_rest_is_cut_off(rest: int) -> None:
    header, batch = only_batch(BATCH + BATCH[:rest])
    assert header == read_header(BATCH)
    assert bytes(batch) == BATCH


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda b: b[:16] + b"\x01" + b[17:], ErrorCode.INVALID_RECORD),  # the old formats
        (lambda b: b[:16] + b"\x00" + b[17:], ErrorCode.INVALID_RECORD),
        (lambda b: b[:16] + b"\x03" + b[17:], ErrorCode.CORRUPT_MESSAGE),
        (lambda b: b[:16] + b"\xff" + b[17:], ErrorCode.CORRUPT_MESSAGE),
        (lambda b: b[:8] + b"\x00\x00\x00\x0d" + b[12:], ErrorCode.CORRUPT_MESSAGE),
        (lambda b: b[:8] + b"\xff\xff\xff\xff" + b[12:], ErrorCode.CORRUPT_MESSAGE),
        (lambda b: b[:8] + b"\x00\x00\x00\x20" + b[12:], ErrorCode.CORRUPT_MESSAGE),
        (lambda b: b[:8] + b"\x7f\xff\xff\xff" + b[12:], ErrorCode.INVALID_RECORD),
        (lambda b: b"", ErrorCode.INVALID_RECORD),
    ],
)
def test_a_frame_that_is_no_batch(damage: Callable[[bytes], bytes], code: ErrorCode) -> None:
    with pytest.raises(KafkaError) as caught:
        only_batch(damage(BATCH))
    assert caught.value.code is code


def test_a_compacted_topic_needs_keys() -> None:
    error = refusal(BATCH, rules(keys_required=True))
    assert error.code is ErrorCode.INVALID_RECORD
    assert isinstance(error, RecordValidationError)
    assert [(one.batch_index, one.message) for one in error.record_errors] == [
        (1, "Compacted topic cannot accept message without key")
    ]


def test_a_time_too_far_ahead_is_refused_and_named() -> None:
    batch = build_batch([Record(0, NOW, b"k", b"v"), Record(1, NOW + HOUR + 1, b"k", b"v"), Record(2, NOW + HOUR, b"k", b"v")])
    error = refusal(batch)
    assert error.code is ErrorCode.INVALID_TIMESTAMP
    assert isinstance(error, RecordValidationError)
    assert [one.batch_index for one in error.record_errors] == [1]
    assert f"[{NOW - TIMESTAMP_BOUND_NONE}, {NOW + HOUR}]" in error.record_errors[0].message


def test_a_time_too_long_ago_is_refused_where_the_topic_says_so() -> None:
    batch = build_batch([Record(0, NOW - HOUR - 1, b"k", b"v"), Record(1, NOW, b"k", b"v")])
    validate_client_batch(batch, read_header(batch), RULES, NOW)
    error = refusal(batch, rules(timestamp_before_max_ms=HOUR))
    assert error.code is ErrorCode.INVALID_TIMESTAMP
    validate_client_batch(batch, read_header(batch), rules(timestamp_before_max_ms=HOUR + 1), NOW)


def test_the_broker_sets_the_time_where_the_topic_says_so() -> None:
    """With LogAppendTime the client's times do not matter."""
    batch = build_batch([Record(0, NOW + 10 * HOUR, b"k", b"v")])
    validate_client_batch(batch, read_header(batch), rules(timestamp_type=TimestampType.LOG_APPEND_TIME), NOW)


def test_a_client_does_not_set_the_timestamp_type() -> None:
    batch = build_batch([Record(0, NOW, b"k", b"v")], timestamp_type=TimestampType.LOG_APPEND_TIME)
    error = refusal(batch, rules(timestamp_type=TimestampType.LOG_APPEND_TIME))
    assert error.code is ErrorCode.INVALID_TIMESTAMP
    assert isinstance(error, RecordValidationError)
    assert "LogAppendTime" in error.record_errors[0].message


def test_a_header_that_lies_about_the_newest_time() -> None:
    assert refusal(changed(max_timestamp=NOW + 2 * HOUR)).code is ErrorCode.INVALID_TIMESTAMP


def test_named_records_are_bounded() -> None:
    batch = build_batch([Record(number, NOW, None, b"v") for number in range(RECORD_ERRORS_MAX + 50)])
    error = refusal(batch, rules(keys_required=True))
    assert isinstance(error, RecordValidationError)
    assert len(error.record_errors) == RECORD_ERRORS_MAX
    assert str(RECORD_ERRORS_MAX + 50) in str(error)


def test_records_are_opened_only_when_they_must_be() -> None:
    """The hot path takes a batch whose records are no records at all, as Kafka's header checks alone would."""
    header = read_header(BATCH)
    batch = pack_header(header) + b"\xff" * (len(BATCH) - 61)
    header = header._replace(crc=checksum(batch))
    validate_client_batch(pack_header(header) + batch[61:], header, RULES, NOW)
    assert refusal(pack_header(header) + batch[61:], rules(keys_required=True)).code is ErrorCode.INVALID_RECORD
    assert isinstance(header, BatchHeader)
    assert CRC_START == 21
