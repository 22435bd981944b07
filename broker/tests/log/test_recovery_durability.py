"""What a recovery removed stays away, and what lies below the recovery point survives whatever happens."""

import pytest
from broker.log.file_names import LEADER_EPOCHS

from .disk import DIRECTORY, Disk
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
