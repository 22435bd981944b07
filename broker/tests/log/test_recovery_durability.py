"""What a recovery removed stays away, and what lies below the recovery point survives whatever happens."""

import pytest
from broker.clock.simulated import WALL_START_MS
from broker.log.file_names import LEADER_EPOCHS
from broker.log.partition_log import PartitionLog

from .disk import DIRECTORY, Config, Disk, append, records
from .test_recovery import fill


def surviving(disk: Disk) -> dict[str, bytes]:
    """What a power cut leaves in any case."""
    return {path.rsplit("/", 1)[1]: data for path, data in disk.storage.files(surviving=True).items()}


@pytest.mark.parametrize("seed", range(8))
def test_what_a_recovery_removed_is_gone_for_good(seed: int) -> None:
    """Segments behind a cut."""
    disk = Disk()
    log = disk.open()
    fill(log)
    log.flush_soon(lambda error: None)
    disk.settle()
    log.close(clean=True)
    for name in disk.names():
        if name.endswith(".snapshot"):
            disk.storage.remove(f"{DIRECTORY}/{name}")
    name = log.segments[1].log.path.rsplit("/", 1)[1]
    disk.overwrite(name, disk.read(name)[:100])
    disk.storage.fsync_directory(DIRECTORY)
    again = disk.open()
    assert again.log_end_offset == log.segments[1].base_offset
    disk.crash(seed, "torn")
    assert [one for one in disk.names() if one.endswith(".log")] == [f"{0:020d}.log", name]


@pytest.mark.parametrize("seed", range(8))
def test_a_snapshot_from_behind_the_end_is_gone_for_good(seed: int) -> None:
    """Else it would be believed when other batches have reached its offset."""
    disk = Disk()
    log = disk.open()
    fill(log, 5)
    log.close(clean=True)
    name = f"{log.log_end_offset + 5:020d}.snapshot"
    disk.storage.write_atomically(f"{DIRECTORY}/{name}", disk.read(f"{log.log_end_offset:020d}.snapshot"))
    disk.open(clean=True, recovery_point=log.log_end_offset)
    disk.crash(seed, "torn")
    assert name not in disk.names()


def test_what_lies_below_the_recovery_point_survives_any_power_cut() -> None:
    disk = Disk()
    log = disk.open()
    fill(log)
    log.flush_soon(lambda error: None)
    disk.settle()
    assert log.recovery_point == log.log_end_offset
    left = surviving(disk)
    for segment in log.segments[:-1]:
        for file in (segment.log, segment.offset_index.file, segment.time_index.file):
            name = file.path.rsplit("/", 1)[1]
            assert left[name] == disk.read(name), name
    assert left[LEADER_EPOCHS] == log.epochs.render()


@pytest.mark.parametrize("content", [b"0\n1\n0 4\n", b"0\n1\n1 0\n", b"0\n2\n0 0\n1 3\n"])
def test_leader_epochs_that_the_batches_deny_are_read_anew(content: bytes) -> None:
    disk = Disk()
    log = disk.open()
    fill(log)
    entries = log.epochs.entries
    log.close(clean=False)
    disk.overwrite(LEADER_EPOCHS, content)
    assert disk.open().epochs.entries == entries


def cut(disk: Disk) -> tuple[PartitionLog, str, bytes]:
    """A log that was cut within its durable segment, the name of that, and its former content."""
    log = disk.open()
    for number in range(8):
        append(log, 2, epoch=1, timestamp=WALL_START_MS + number)
    log.flush_soon(lambda error: None)
    disk.settle()
    name = log.active.log.path.rsplit("/", 1)[1]
    before = disk.read(name)
    log.truncate_to(10)
    return log, name, before


def go_on_in_a_new_segment(log: PartitionLog) -> None:
    log.active.created_ms = 0
    log.configure(Config(segment_ms=1))
    append(log, 2, epoch=2, timestamp=WALL_START_MS + 10_000)
    assert [segment.base_offset for segment in log.segments] == [0, 10]


def cut_and_rolled(disk: Disk) -> tuple[PartitionLog, str, bytes]:
    """As `cut`, and the log goes on in a new segment."""
    log, name, before = cut(disk)
    go_on_in_a_new_segment(log)
    return log, name, before


def test_a_cut_that_a_power_cut_has_undone_hides_nothing_that_came_later() -> None:
    """The old segment reaches over the new one again: what it has there is of another history."""
    disk = Disk()
    log, name, before = cut_and_rolled(disk)
    expected = [(record.offset, record.value) for record in records(log)]
    log.close(clean=False)
    disk.overwrite(name, before)
    again = disk.open(recovery_point=10)
    assert [(record.offset, record.value) for record in records(again)] == expected
    assert (again.log_end_offset, again.epochs.epoch_at(10)) == (12, 2)
    assert len(disk.read(name)) < len(before)
    disk.crash(1, "torn")
    assert len(disk.read(name)) < len(before), "the cut is durable now"


def test_a_new_segment_that_is_empty_gives_way_to_a_cut_that_was_undone() -> None:
    disk = Disk()
    log, name, before = cut_and_rolled(disk)
    log.close(clean=False)
    disk.overwrite(name, before)
    disk.overwrite(f"{10:020d}.log", b"")
    again = disk.open(recovery_point=10)
    assert [record.offset for record in records(again)] == list(range(16))
    assert (again.log_end_offset, [segment.base_offset for segment in again.segments]) == (16, [0])


@pytest.mark.parametrize("how", ["flush", "clean stop"])
def test_a_cut_is_durable_with_what_came_after_it(how: str) -> None:
    """Also when that stands in another segment."""
    disk = Disk()
    log, name, before = cut_and_rolled(disk)
    if how == "flush":
        log.flush_soon(lambda error: None)
        disk.settle()
    else:
        log.close(clean=True)
    assert before.startswith(surviving(disk)[name])
    assert len(surviving(disk)[name]) < len(before)
    assert disk.storage.files()[f"{DIRECTORY}/{name}"] == surviving(disk)[name]
    for seed in range(8):
        disk.crash(seed, "torn")
        assert disk.read(name) == surviving(disk)[name]


def test_a_cut_of_an_earlier_life_is_durable_after_a_clean_stop() -> None:
    """The process died before it fsynced the cut; the next life knows of it by the recovery point alone."""
    disk = Disk()
    _, name, before = cut_and_rolled(disk)
    disk.crash()
    again = disk.open(recovery_point=10)
    again.close(clean=True)
    assert len(surviving(disk)[name]) < len(before)
    assert disk.storage.files()[f"{DIRECTORY}/{name}"] == surviving(disk)[name]
    for seed in range(8):
        disk.crash(seed, "torn")
        assert disk.read(name) == surviving(disk)[name]


def test_a_cut_alone_asks_for_an_fsync() -> None:
    disk = Disk()
    log, _, _ = cut(disk)
    assert (log.recovery_point, log.log_end_offset) == (10, 10)
    assert log.needs_flush
    log.flush_soon(lambda error: None)
    disk.settle()
    assert not log.needs_flush


@pytest.mark.parametrize("goes_on", [False, True])
@pytest.mark.parametrize("how", ["flush", "clean stop"])
@pytest.mark.parametrize("seed", range(8))
def test_a_cut_of_an_earlier_life_is_durable_wherever_the_log_goes_on(how: str, goes_on: bool, seed: int) -> None:
    """The process died when nothing stood behind the cut yet."""
    disk = Disk()
    _, name, before = cut(disk)
    disk.crash()
    again = disk.open(recovery_point=10)
    if goes_on:
        go_on_in_a_new_segment(again)
    if how == "flush":
        again.flush_soon(lambda error: None)
        disk.settle()
    else:
        again.close(clean=True)
    disk.crash(seed, "torn")
    assert len(disk.read(name)) < len(before)
