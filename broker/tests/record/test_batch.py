"""The header of a batch: against kafka-python's reader, against damage, and patched without touching the records."""

import random

import pytest
from broker.protocol.errors import ErrorCode
from broker.record.batch import (
    HEADER_SIZE,
    LOG_OVERHEAD,
    NO_SEQUENCE,
    SEQUENCE_MAX,
    BatchHeader,
    CorruptBatch,
    TimestampType,
    add_sequence,
    check_crc,
    checksum,
    crc_is_right,
    iter_batches,
    iter_headers,
    pack_header,
    patch,
    peek_size,
    read_header,
    stamp,
    whole_batches_end,
)
from broker.record.builder import build_batch
from broker.record.records import Record, iter_records
from kafka.record.default_records import DefaultRecordBatch

RECORDS = [Record(0, 1000 + number, b"k%d" % number, b"v" * number, [("h", b"x")]) for number in range(5)]
BATCH = build_batch(
    RECORDS, producer_id=77, producer_epoch=3, base_sequence=9, leader_epoch=4, base_offset=100, transactional=True
)


def test_the_header_is_kafka_pythons() -> None:
    ours, theirs = read_header(BATCH), DefaultRecordBatch(BATCH)
    assert theirs.validate_crc()
    assert ours.base_offset == theirs.base_offset == 100
    assert ours.size == theirs.size_in_bytes == len(BATCH)
    assert ours.partition_leader_epoch == theirs.leader_epoch == 4
    assert ours.magic == theirs.magic == 2
    assert ours.crc == theirs.crc
    assert ours.attributes == theirs.attributes
    assert ours.last_offset == theirs.last_offset == 104
    assert ours.next_offset == theirs.next_offset == 105
    assert ours.is_transactional == theirs.is_transactional
    assert ours.is_control == theirs.is_control_batch
    assert (ours.base_timestamp, ours.max_timestamp) == (theirs.first_timestamp, theirs.max_timestamp) == (1000, 1004)
    assert (ours.producer_id, ours.producer_epoch, ours.base_sequence) == (77, 3, 9)
    assert ours.last_sequence == theirs.last_sequence == 13
    assert ours.records_count == theirs.records_count == 5
    assert (ours.codec, ours.timestamp_type) == (0, TimestampType.CREATE_TIME)
    assert pack_header(ours) == BATCH[:HEADER_SIZE]


def test_a_header_stands_anywhere() -> None:
    assert read_header(b"??" + BATCH, 2) == read_header(memoryview(BATCH))


@pytest.mark.parametrize("end", range(HEADER_SIZE))
def test_too_few_bytes_are_no_header(end: int) -> None:
    with pytest.raises(CorruptBatch, match=f"{end} bytes are no record batch"):
        read_header(BATCH[:end])


def test_another_magic_or_length_is_refused() -> None:
    for magic in (-1, 0, 1, 3):
        with pytest.raises(CorruptBatch, match=f"magic {magic}"):
            read_header(BATCH[:16] + magic.to_bytes(1, "big", signed=True) + BATCH[17:])
    for length in (-(2**31), -1, 0, HEADER_SIZE - LOG_OVERHEAD - 1):
        with pytest.raises(CorruptBatch, match=f"length {length}") as caught:
            read_header(BATCH[:8] + length.to_bytes(4, "big", signed=True) + BATCH[12:])
        assert caught.value.code is ErrorCode.CORRUPT_MESSAGE


def test_every_flipped_bit_under_the_checksum_is_found() -> None:
    header = read_header(BATCH)
    assert crc_is_right(BATCH, header)
    assert checksum(BATCH) == header.crc
    check_crc(BATCH, header)
    for position in range(17, len(BATCH)):
        damaged = bytearray(BATCH)
        damaged[position] ^= 1 << position % 8
        found = read_header(damaged)
        assert not crc_is_right(damaged, found)
        with pytest.raises(CorruptBatch, match=f"stored crc = {found.crc}, computed crc = {checksum(damaged)}"):
            check_crc(damaged, found)


def test_offsets_and_epoch_lie_outside_the_checksum() -> None:
    stamped = b"".join(patch(BATCH, 2**40, 99))
    header = read_header(stamped)
    assert (header.base_offset, header.partition_leader_epoch) == (2**40, 99)
    assert crc_is_right(stamped, header)
    assert DefaultRecordBatch(stamped).validate_crc()
    assert [record.offset for record in iter_records(stamped)] == [2**40 + number for number in range(5)]


def test_patching_copies_no_records() -> None:
    _, rest = patch(BATCH, 1, 1)
    assert isinstance(rest, memoryview)
    assert rest.obj is BATCH


def test_stamping_sets_type_and_time_and_the_checksum() -> None:
    header, parts = stamp(BATCH, read_header(BATCH), timestamp_type=TimestampType.LOG_APPEND_TIME, max_timestamp=5555)
    stamped = b"".join(parts)
    assert read_header(stamped) == header
    assert (header.timestamp_type, header.max_timestamp) == (TimestampType.LOG_APPEND_TIME, 5555)
    assert crc_is_right(stamped, header)
    assert DefaultRecordBatch(stamped).validate_crc()
    assert {record.timestamp for record in iter_records(stamped)} == {5555}
    again, parts = stamp(stamped, header, timestamp_type=TimestampType.CREATE_TIME, max_timestamp=1004)
    assert b"".join(parts) == BATCH
    assert again == read_header(BATCH)


def test_batches_follow_one_another() -> None:
    sizes = [1, 3, 2]
    batches = [build_batch([(None, b"x")] * size, base_offset=10 * number) for number, size in enumerate(sizes)]
    log = b"".join(batches)
    assert [bytes(batch) for _, batch in iter_batches(log)] == batches
    assert [(header.base_offset, position) for header, position in iter_headers(log)] == [
        (0, 0),
        (10, len(batches[0])),
        (20, len(batches[0]) + len(batches[1])),
    ]
    for end in range(len(log)):
        whole = sum(1 for last in (len(batches[0]), len(batches[0] + batches[1]), len(log)) if last <= end)
        assert len(list(iter_batches(log[:end]))) == len(list(iter_headers(log[:end]))) == whole


def test_where_the_last_whole_batch_ends() -> None:
    batches = [build_batch([(None, b"x")] * 2, base_offset=offset) for offset in (0, 2, 4)]
    log, size = b"".join(batches), len(batches[0])
    assert whole_batches_end(b"") == (0, 0)
    assert whole_batches_end(log) == (3 * size, 2 * size)
    assert whole_batches_end(log[:-1]) == (2 * size, size)
    assert whole_batches_end(log[: size - 1]) == (0, 0)
    assert whole_batches_end(log, upper_offset=2) == (size, 0)
    assert whole_batches_end(log, upper_offset=3) == (2 * size, size)
    assert whole_batches_end(log, upper_offset=0) == (0, 0)
    assert whole_batches_end(bytes(1000)) == (0, 0)


def test_peeking_at_a_size() -> None:
    assert peek_size(BATCH) == len(BATCH)
    assert peek_size(b"?" + BATCH, 1) == len(BATCH)
    assert peek_size(BATCH[:11]) is None
    assert peek_size(b"\xff" * 12) == -1 + LOG_OVERHEAD


def test_sequences_wrap() -> None:
    assert add_sequence(0, 5) == 5
    assert add_sequence(SEQUENCE_MAX, 1) == 0
    assert add_sequence(SEQUENCE_MAX - 1, 3) == 1
    assert add_sequence(NO_SEQUENCE, 7) == NO_SEQUENCE


def test_damaged_logs_end_in_batches_or_corrupt_batch() -> None:
    rng = random.Random(4)
    log = BATCH * 3
    for _ in range(2000):
        damaged = bytearray(log)
        for _ in range(3):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        end, last = whole_batches_end(damaged)
        assert 0 <= last <= end <= len(damaged)
        try:
            for header, batch in iter_batches(damaged):
                assert isinstance(header, BatchHeader)
                assert len(batch) == header.size
        except CorruptBatch:
            continue
