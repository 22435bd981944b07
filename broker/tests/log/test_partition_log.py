"""One partition's log: offsets, duplicates, rolling, reading over segments, finding times, retention."""

from collections.abc import Callable
from typing import Any

import pytest
from broker.clock.simulated import WALL_START_MS
from broker.log.file_names import LEADER_EPOCHS
from broker.log.partition_log import READ_ENDS_MAX, PartitionLog
from broker.protocol.errors import ErrorCode, KafkaError
from broker.record.batch import TimestampType, iter_batches
from broker.record.builder import build_batch
from broker.record.records import iter_records
from broker.storage.simulated import CrashMode

from .disk import Config, Disk, append, batch, headers, records

Later = list[tuple[int, Callable[[], None]]]


def code(call: Callable[[], object]) -> ErrorCode:
    with pytest.raises(KafkaError) as caught:
        call()
    return caught.value.code


def several_segments(disk: Disk, batches: int = 30, **settings: Any) -> PartitionLog:
    log = disk.open(Config(**settings))
    for number in range(batches):
        append(log, 2, timestamp=WALL_START_MS + number * 100)
    assert len(log.segments) >= 3
    return log


# Appending.


def test_offsets_are_given_in_order() -> None:
    log = Disk().open()
    assert [append(log, count).first_offset for count in (3, 1, 2)] == [0, 3, 4]
    assert append(log).last_offset == 6
    assert log.log_end_offset == 7
    assert [header.partition_leader_epoch for header in headers(log)] == [0, 0, 0, 0]


def test_the_records_come_back_as_they_were() -> None:
    log = Disk().open()
    made = batch(3, value=b"\0\xffvalue", timestamp=123)
    log.append_as_leader(made, 4, WALL_START_MS)
    expected = [record._replace(offset=number) for number, record in enumerate(iter_records(made))]
    assert records(log) == expected
    (buffer,) = log.read(0, 10_000, 3)
    assert bytes(buffer)[16:] == made[16:], "the batch is stored as it came, but for offset and epoch"


def test_a_duplicate_is_answered_with_what_it_got() -> None:
    log = Disk().open()
    first = append(log, 3, producer_id=1, producer_epoch=0, base_sequence=0, timestamp=77)
    append(log, 2, producer_id=1, producer_epoch=0, base_sequence=3)
    again = append(log, 3, producer_id=1, producer_epoch=0, base_sequence=0)
    assert (again.first_offset, again.last_offset, again.duplicate) == (first.first_offset, first.last_offset, True)
    assert again.log_append_time_ms == 79, "Kafka answers a duplicate with its timestamp"
    assert log.log_end_offset == 5
    assert code(lambda: append(log, producer_id=1, producer_epoch=0, base_sequence=9)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert log.log_end_offset == 5


def test_log_append_time_is_the_brokers() -> None:
    log = Disk().open(Config(message_timestamp_type="LogAppendTime"))
    info = log.append_as_leader(batch(3, timestamp=5), 0, WALL_START_MS + 7)
    assert info.log_append_time_ms == WALL_START_MS + 7
    (header,) = headers(log)
    assert (header.timestamp_type, header.max_timestamp) == (TimestampType.LOG_APPEND_TIME, WALL_START_MS + 7)
    assert {record.timestamp for record in records(log)} == {WALL_START_MS + 7}
    assert log.offset_for_timestamp(WALL_START_MS + 7, 3) == (WALL_START_MS + 7, 0, 0)


def test_create_time_answers_no_time() -> None:
    assert append(Disk().open()).log_append_time_ms == -1


@pytest.mark.parametrize(
    ("config", "made", "expected"),
    [
        (Config(max_message_bytes=100), batch(), ErrorCode.MESSAGE_TOO_LARGE),
        (Config(segment_bytes=100), batch(), ErrorCode.RECORD_LIST_TOO_LARGE),
        (Config(cleanup_policy="compact"), build_batch([(None, b"v")]), ErrorCode.INVALID_RECORD),
        (Config(cleanup_policy="compact,delete"), build_batch([(None, b"v")]), ErrorCode.INVALID_RECORD),
        (Config(message_timestamp_after_max_ms=1000), batch(timestamp=WALL_START_MS + 1001), ErrorCode.INVALID_TIMESTAMP),
        (Config(message_timestamp_before_max_ms=1000), batch(timestamp=WALL_START_MS - 1001), ErrorCode.INVALID_TIMESTAMP),
        (Config(), batch() + batch(), ErrorCode.INVALID_RECORD),
        (Config(), batch()[:-1], ErrorCode.INVALID_RECORD),
        (Config(), batch()[:-1] + b"\xff", ErrorCode.CORRUPT_MESSAGE),
    ],
    ids=["large", "segment", "key", "key of both", "future", "past", "two", "cut", "crc"],
)
def test_what_is_refused_leaves_nothing(config: Config, made: bytes, expected: ErrorCode) -> None:
    disk = Disk()
    log = disk.open(config)
    assert code(lambda: log.append_as_leader(made, 0, WALL_START_MS)) is expected
    assert (log.log_end_offset, log.size_bytes, log.epochs.entries) == (0, 0, [])


def test_settings_change_while_it_runs() -> None:
    log = Disk().open()
    append(log)
    log.configure(Config(max_message_bytes=50))
    assert code(lambda: append(log)) is ErrorCode.MESSAGE_TOO_LARGE


def test_own_batches_are_taken_as_they_are() -> None:
    log = Disk().open(Config(max_message_bytes=50))
    assert log.append_own(batch(2), 3, WALL_START_MS).last_offset == 1
    assert log.epochs.entries == [(3, 0)]


# Rolling.


def test_rolling_by_size() -> None:
    log = several_segments(Disk(), segment_bytes=500)
    assert all(segment.size <= 500 for segment in log.segments)
    assert [segment.base_offset for segment in log.segments] == sorted({segment.base_offset for segment in log.segments})
    assert [record.offset for record in records(log)] == list(range(60))


def test_rolling_by_time() -> None:
    log = Disk().open(Config(segment_ms=1000, segment_bytes=10**6))
    for timestamp in (0, 500, 1000, 1001, 2001, 2002):
        append(log, timestamp=WALL_START_MS + timestamp)
    assert [segment.base_offset for segment in log.segments] == [0, 3, 5]


@pytest.mark.parametrize("index_bytes", [4, 23, 24, 48])
def test_rolling_when_an_index_is_full(index_bytes: int) -> None:
    disk = Disk()
    log = disk.open(Config(segment_index_bytes=index_bytes, index_interval_bytes=0, segment_bytes=10**6))
    for number in range(20):
        append(log, timestamp=WALL_START_MS + number)
    bases = [segment.base_offset for segment in log.segments]
    assert len(bases) > 3
    assert len(set(bases)) == len(bases), "no two segments share their files"
    assert [record.offset for record in records(log)] == list(range(20))
    if index_bytes >= 24:
        log.active.seal()
        assert all(segment.time_index.size_bytes <= index_bytes for segment in log.segments)


def test_a_roll_leaves_a_snapshot_of_the_producers() -> None:
    disk = Disk()
    log = disk.open(Config(segment_bytes=500))
    for number in range(10):
        append(log, producer_id=3, producer_epoch=0, base_sequence=number)
    assert len(log.segments) > 1
    for segment in log.segments[1:]:
        assert f"{segment.base_offset:020d}.snapshot" in disk.names()


# Reading.


def test_reading_on_from_every_offset() -> None:
    log = several_segments(Disk())
    for offset in range(log.log_end_offset):
        first = next(headers(log, offset))
        assert first.base_offset <= offset <= first.last_offset
        assert [header.next_offset for header in headers(log, offset)][-1] == log.log_end_offset


@pytest.mark.parametrize("max_bytes", [1, 200, 500, 10**6])
def test_one_read_is_whole_batches(max_bytes: int) -> None:
    log = several_segments(Disk())
    for offset in range(0, log.log_end_offset, 3):
        (buffer,) = log.read(offset, max_bytes, log.log_end_offset)
        found = list(iter_batches(buffer))
        assert sum(header.size for header, _ in found) == len(buffer)
        assert len(buffer) <= max_bytes or len(found) == 1
        assert log.read(offset, 1, log.log_end_offset, at_least_one=False) == []


def test_nothing_beyond_the_upper_offset() -> None:
    log = several_segments(Disk())
    for upper in range(0, log.log_end_offset + 1, 2):
        buffers = log.read(0, 10**6, upper)
        assert all(header.next_offset <= upper for buffer in buffers for header, _ in iter_batches(buffer))
        assert bool(buffers) == (upper > 0)


def test_nothing_at_the_end() -> None:
    log = Disk().open()
    assert log.read(0, 100, 0) == []
    append(log)
    assert log.read(1, 100, 1) == []
    assert log.read(5, 100, 9) == []


def test_many_readers_share_what_is_remembered() -> None:
    """More readers than places, one after the other and in turn."""
    log = several_segments(Disk())
    positions = [number % 7 for number in range(READ_ENDS_MAX * 2)]
    while any(position < log.log_end_offset for position in positions):
        for reader, position in enumerate(positions):
            if position >= log.log_end_offset:
                continue
            (buffer,) = log.read(position, 300, log.log_end_offset)
            found = [header for header, _ in iter_batches(buffer)]
            assert found[0].base_offset <= position <= found[0].last_offset
            positions[reader] = found[-1].next_offset
    append(log)
    assert len(log.read(log.log_end_offset - 1, 300, log.log_end_offset)) == 1, "a reader at the old end finds the new batch"


def test_reading_from_a_roll_on() -> None:
    """The reader ended at the end of a segment that was active then."""
    log = Disk().open()
    append(log)
    log.read(0, 10**6, 1)
    log.roll(WALL_START_MS)
    append(log)
    assert [header.base_offset for header in headers(log, 1)] == [1]


# Times.


def test_the_first_record_that_is_not_older() -> None:
    log = several_segments(Disk())
    every = records(log)
    for wanted in range(WALL_START_MS - 1, WALL_START_MS + 3000, 37):
        expected = next(((r.timestamp, r.offset) for r in every if r.timestamp >= wanted), None)
        found = log.offset_for_timestamp(wanted, log.log_end_offset)
        assert (found[:2] if found else None) == expected


def test_times_may_go_back() -> None:
    log = Disk().open(Config(segment_bytes=300))
    for timestamp in (500, 900, 100, 200, 950, 300):
        append(log, timestamp=timestamp)
    assert len(log.segments) > 2
    found = {wanted: log.offset_for_timestamp(wanted, 6) for wanted in (100, 501, 901, 951)}
    assert {wanted: one and one.offset for wanted, one in found.items()} == {100: 0, 501: 1, 901: 4, 951: None}


def test_a_record_that_nobody_sees_yet_has_no_time() -> None:
    log = Disk().open()
    append(log, 1, timestamp=100)
    append(log, 1, timestamp=200)
    assert log.offset_for_timestamp(150, 2) is not None
    assert log.offset_for_timestamp(150, 1) is None


def test_the_leader_epoch_of_a_found_record() -> None:
    log = Disk().open()
    append(log, epoch=2, timestamp=100)
    append(log, epoch=6, timestamp=200)
    assert log.offset_for_timestamp(101, 2) == (200, 1, 6)


def test_the_largest_timestamp() -> None:
    log = Disk().open(Config(segment_bytes=300))
    assert log.max_timestamp_offset() is None
    for timestamp in (500, 900, 100, 900, 300):
        append(log, 2, timestamp=timestamp, step=0)
    assert log.max_timestamp_offset() == (900, 2, 0)


def test_records_without_a_time() -> None:
    log = Disk().open()
    append(log, timestamp=-1, step=0)
    assert log.max_timestamp_offset() is None
    assert log.offset_for_timestamp(0, 1) is None


# Leader epochs.


def test_where_an_epoch_ends() -> None:
    log = Disk().open()
    for epoch in (1, 1, 4):
        append(log, epoch=epoch)
    assert [log.end_offset_for_epoch(epoch) for epoch in (0, 1, 3, 4, 5)] == [(0, 0), (1, 2), (1, 2), (4, 3), (-1, -1)]


def test_the_checkpoint_of_the_epochs_follows_with_the_first_records_or_the_next_flush() -> None:
    """Many logs that begin an epoch at the same time touch no file for it."""
    disk = Disk()
    log = disk.open()
    log.assign_epoch(0, 0)
    assert LEADER_EPOCHS not in disk.names()
    append(log, epoch=1)
    assert disk.read(LEADER_EPOCHS) == b"0\n1\n1 0\n"
    log.assign_epoch(5, 1)
    assert disk.read(LEADER_EPOCHS) == b"0\n1\n1 0\n"
    log.flush_soon(lambda error: None)
    disk.settle()
    assert disk.read(LEADER_EPOCHS) == b"0\n2\n1 0\n5 1\n"
    log.assign_epoch(7, 1)
    log.close(clean=True)
    assert disk.read(LEADER_EPOCHS) == b"0\n2\n1 0\n7 1\n"


@pytest.mark.parametrize("mode", ["process", "torn"])
@pytest.mark.parametrize("flushed", [0, 1, 2, 3])
def test_epochs_that_were_not_written_are_read_from_the_batches(flushed: int, mode: CrashMode) -> None:
    """A crash anywhere between the leader changes and the flush."""
    disk = Disk()
    log = disk.open()
    log.assign_epoch(0, 0)
    for epoch in (1, 4, 6):
        log.assign_epoch(epoch, log.log_end_offset)
        append(log, 2, epoch=epoch)
        if epoch <= (0, 1, 4, 6)[flushed]:
            log.flush_soon(lambda error: None)
            disk.settle()
    durable, point = log.persisted_end_offset, log.durability.recovery_point
    before = log.epochs.entries
    disk.crash(3, mode)
    again = disk.open(recovery_point=point)
    assert durable == 2 * flushed <= again.log_end_offset
    assert again.epochs.entries == [entry for entry in before if entry[1] < again.log_end_offset]


# Retention.


def retained(disk: Disk, log: PartitionLog, now_ms: int, high_watermark: int | None = None) -> tuple[int, Later]:
    later: Later = []
    upper = log.log_end_offset if high_watermark is None else high_watermark
    return log.apply_retention(now_ms, upper, lambda delay, call: later.append((delay, call))), later


def test_retention_by_time() -> None:
    disk = Disk()
    log = several_segments(disk, retention_ms=1000)
    second = log.segments[1]
    now = log.segments[0].max_timestamp + 1000
    assert retained(disk, log, now)[0] == 0, "exactly the retention is not over it"
    dropped, later = retained(disk, log, now + 1)
    assert dropped == 1
    assert (log.log_start_offset, log.segments[0]) == (second.base_offset, second)
    assert log.epochs.entries == [(0, second.base_offset)]
    assert [record.offset for record in records(log)] == list(range(second.base_offset, 60))
    assert sum(name.endswith(".deleted") for name in disk.names()) == 3
    ((delay, remove),) = later
    assert delay == 60_000
    remove()
    assert not any(name.endswith(".deleted") for name in disk.names())


def test_retention_by_time_may_take_everything() -> None:
    disk = Disk()
    log = several_segments(disk, retention_ms=1000)
    assert retained(disk, log, WALL_START_MS + 10**9)[0] >= 3
    assert (log.log_start_offset, log.log_end_offset, len(log.segments), log.size_bytes) == (60, 60, 1, 0)
    assert append(log).first_offset == 60
    disk.crash()
    again = disk.open()
    assert (again.log_start_offset, again.log_end_offset) == (60, 61)


def test_an_empty_log_is_left_alone() -> None:
    disk = Disk()
    log = disk.open(Config(retention_ms=1, retention_bytes=0))
    assert retained(disk, log, WALL_START_MS + 10**9)[0] == 0
    assert len(log.segments) == 1


def test_retention_by_size() -> None:
    disk = Disk()
    log = several_segments(disk)
    keep = log.segments[-1].size + log.segments[-2].size
    log.configure(Config(retention_bytes=keep))
    before = len(log.segments)
    assert retained(disk, log, WALL_START_MS)[0] == before - 2
    assert log.size_bytes == keep
    log.configure(Config(retention_bytes=keep - 1))
    assert retained(disk, log, WALL_START_MS)[0] == 0, "a segment goes only when what is left is still enough"


def test_nothing_above_the_high_watermark_goes() -> None:
    disk = Disk()
    log = several_segments(disk, retention_ms=1, retention_bytes=0)
    border = log.segments[1].base_offset
    assert retained(disk, log, WALL_START_MS + 10**9, border - 1)[0] == 0
    assert retained(disk, log, WALL_START_MS + 10**9, border)[0] == 1


def test_unlimited_retention() -> None:
    disk = Disk()
    log = several_segments(disk)
    assert retained(disk, log, WALL_START_MS + 10**15)[0] == 0


@pytest.mark.parametrize(("policy", "goes"), [("compact", False), ("delete", True), ("compact,delete", True)])
def test_a_compacted_log_is_kept_whole(policy: str, goes: bool) -> None:
    disk = Disk()
    log = several_segments(disk, cleanup_policy=policy, retention_ms=1, retention_bytes=0)
    assert bool(retained(disk, log, WALL_START_MS + 10**9)[0]) is goes


def test_the_snapshot_of_a_dropped_segment_goes_with_it() -> None:
    disk = Disk()
    log = several_segments(disk, retention_ms=1000)
    base = log.segments[1].base_offset
    assert f"{base:020d}.snapshot" in disk.names()
    retained(disk, log, log.segments[1].max_timestamp + 1001)
    assert f"{base:020d}.snapshot" not in disk.names()


def test_a_reader_of_what_is_dropped_finds_the_start() -> None:
    disk = Disk()
    log = several_segments(disk, retention_ms=1000)
    log.read(0, 300, 60)
    retained(disk, log, log.segments[0].max_timestamp + 1001)
    found = next(headers(log, 2))
    assert found.base_offset == log.log_start_offset
