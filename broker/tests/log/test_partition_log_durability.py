"""One partition's log on its disk: what is durable when, failed fsyncs, full disks."""

import errno

import pytest
from broker.clock.simulated import WALL_START_MS
from broker.log.durability import SEGMENTS_PER_FLUSH
from broker.log.file_names import LEADER_EPOCHS
from broker.log.partition_log import PartitionLog
from broker.protocol.errors import ErrorCode, KafkaError
from broker.record.batch import read_header

from .disk import DIRECTORY, Config, Disk, append, batch, records
from .test_partition_log import code, retained, several_segments

# Durability.


def flushed(log: PartitionLog) -> list[OSError | None]:
    answers: list[OSError | None] = []
    log.flush_soon(answers.append)
    return answers


def test_one_fsync_is_in_flight_and_the_next_covers_all_who_came_meanwhile() -> None:
    disk = Disk()
    log = disk.open()
    append(log)
    first = flushed(log)
    append(log)
    second, third = flushed(log), flushed(log)
    disk.clock.step()
    assert (first, second, log.persisted_end_offset) == ([None], [], 1)
    disk.settle()
    assert (second, third, log.persisted_end_offset, log.recovery_point) == ([None], [None], 2, 2)
    assert not log.needs_flush


def test_many_segments_are_flushed_in_rounds() -> None:
    disk = Disk()
    log = disk.open(Config(segment_bytes=200))
    log._flushing = True  # as if one fsync took very long
    for _ in range(SEGMENTS_PER_FLUSH * 3):
        append(log)
    log._flushing = False
    answers = flushed(log)
    disk.clock.step()
    assert answers == []
    assert 0 < log.persisted_end_offset < log.log_end_offset
    disk.settle()
    assert (answers, log.persisted_end_offset) == ([None], log.log_end_offset)
    disk.settle()
    assert log.recovery_point == log.log_end_offset


def test_a_failed_fsync_is_the_end_of_the_directory() -> None:
    disk = Disk()
    log = disk.open()
    append(log)
    disk.storage.fail_fsync = True
    answers = flushed(log)
    disk.settle()
    assert [error and error.errno for error in answers] == [errno.EIO]
    assert [failure.errno for failure in disk.failures] == [errno.EIO]
    assert log.recovery_point == log.persisted_end_offset == 0


def test_a_failed_write_is_the_end_of_the_directory() -> None:
    disk = Disk()
    log = disk.open()
    append(log)
    disk.storage.fail_writes = True
    assert code(lambda: append(log)) is ErrorCode.KAFKA_STORAGE_ERROR
    assert [failure.errno for failure in disk.failures] == [errno.EIO]


def test_a_log_that_was_deleted_meanwhile_answers_who_waits() -> None:
    disk = Disk()
    log = disk.open()
    append(log)
    first, second = flushed(log), flushed(log)
    log.close(clean=False)
    disk.storage.rename(DIRECTORY, DIRECTORY + ".gone-delete")
    disk.settle()
    assert (first, second, disk.failures) == ([None], [None], [])


# Full disks.


def fill_disk(disk: Disk, left: int = 0) -> None:
    disk.storage.capacity_bytes = disk.storage.used_bytes + left


def test_a_full_disk_refuses_and_keeps_everything() -> None:
    disk = Disk()
    log = several_segments(disk)
    before = records(log)
    fill_disk(disk, 50)
    for _ in range(3):
        assert code(lambda: append(log)) is ErrorCode.KAFKA_STORAGE_ERROR
    assert records(log) == before
    assert disk.failures == []
    disk.storage.capacity_bytes = None
    assert append(log).first_offset == 60
    assert len(records(log)) == 61
    disk.crash()
    assert len(records(disk.open())) == 61


@pytest.mark.parametrize("left", range(0, 400, 7))
def test_a_roll_on_a_full_disk_happens_whole_or_not_at_all(left: int) -> None:
    disk = Disk()
    log = disk.open(Config(segment_bytes=500))
    sequence = 0
    while len(log.segments) < 3:
        append(log, producer_id=1, producer_epoch=0, base_sequence=sequence)
        sequence += 1
    while log.active.size + batch_size() <= 500:
        append(log, producer_id=1, producer_epoch=0, base_sequence=sequence)
        sequence += 1
    fill_disk(disk, left)
    end = log.log_end_offset
    refusals: list[ErrorCode] = []
    try:
        append(log, producer_id=1, producer_epoch=0, base_sequence=sequence)
    except KafkaError as error:
        refusals.append(error.code)
    assert (log.log_end_offset == end) == bool(refusals)
    assert set(refusals) <= {ErrorCode.KAFKA_STORAGE_ERROR}
    disk.storage.capacity_bytes = None
    answer = append(log, producer_id=1, producer_epoch=0, base_sequence=sequence)
    assert answer.first_offset == end
    assert [record.offset for record in records(log)] == list(range(end + 1))
    disk.settle()
    disk.crash()
    again = disk.open(Config(segment_bytes=500))
    assert [record.offset for record in records(again)] == list(range(end + 1))
    assert disk.failures == []


def batch_size() -> int:
    return read_header(batch(producer_id=1, producer_epoch=0, base_sequence=0)).size


def test_a_new_leader_epoch_on_a_full_disk_is_kept_for_later() -> None:
    disk = Disk()
    log = disk.open()
    append(log)
    disk.settle()
    fill_disk(disk)
    log.assign_epoch(4, 1)
    answers = flushed(log)
    disk.settle()
    assert (answers, log.persisted_end_offset, log.recovery_point) == ([None], 1, 0)
    disk.storage.capacity_bytes = None
    flushed(log)
    disk.settle()
    assert log.recovery_point == 1
    assert disk.read(LEADER_EPOCHS) == b"0\n2\n0 0\n4 1\n"
    assert disk.failures == []


def test_retention_makes_room_on_a_full_disk() -> None:
    disk = Disk()
    log = several_segments(disk, retention_ms=1)
    disk.settle()
    fill_disk(disk)
    dropped, later = retained(disk, log, WALL_START_MS + 10**9)
    assert dropped >= len(later) > 1
    for _, remove in later:
        remove()
    assert append(log).first_offset == 60
    assert disk.failures == []


def test_a_clean_stop_on_a_full_disk_says_so() -> None:
    disk = Disk()
    log = several_segments(disk)
    fill_disk(disk)
    with pytest.raises(OSError, match="no space"):
        log.close(clean=True)
    disk.storage.capacity_bytes = None
    assert len(records(disk.open())) == 60


def test_a_log_that_got_nothing_is_closed_without_an_fsync() -> None:
    """Hundreds of partitions that sleep must not make a stop long."""
    disk = Disk()
    log = several_segments(disk)
    log.close(clean=True)
    empty = disk.open(clean=True, recovery_point=log.log_end_offset)
    empty.assign_epoch(7, empty.log_end_offset)
    disk.storage.fail_fsync = True
    empty.close(clean=True)
    disk.storage.fail_fsync = False
    assert len(records(disk.open(clean=True, recovery_point=log.log_end_offset))) == 60


def test_an_empty_log_is_closed_without_an_fsync() -> None:
    disk = Disk()
    log = disk.open()
    log.assign_epoch(0, 0)
    disk.storage.fail_fsync = True
    log.close(clean=True)
    disk.storage.fail_fsync = False
    for seed in range(10):
        disk.crash(seed, "torn")
        assert disk.open(clean=True).log_end_offset == 0
