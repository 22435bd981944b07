"""Log and snapshots together: what a start makes of them, and what is dropped when."""

import pytest
from broker.log.properties import DirectoryError
from broker.raft.messages import EpochEnd
from broker.raft.quorum_log import QuorumLog
from broker.raft.snapshots import SnapshotStore
from broker.record.builder import build_batch

from .quorum import DIRECTORY, Voter


def snapshot(voter: Voter, epoch: int, end_offset: int) -> EpochEnd:
    """An empty snapshot."""
    store, made = SnapshotStore(voter.storage, DIRECTORY), EpochEnd(epoch, end_offset)
    file = store.begin(made)
    file.append([b"x" * 100])
    store.finish(made, file, lambda error: None)
    voter.settle()
    return made


def fill(voter: Voter, count: int, epoch: int) -> None:
    for _ in range(count):
        voter.log.append_own(build_batch([(None, b"x" * 100)], 1000), epoch, voter.clock.wall_ms())


def opened(voter: Voter) -> QuorumLog:
    return QuorumLog(voter.log, SnapshotStore(voter.storage, DIRECTORY))


def test_an_empty_log_knows_nothing() -> None:
    log = opened(Voter())
    assert (log.start_offset, log.end_offset, log.last_epoch, log.newest) == (0, 0, 0, EpochEnd(0, 0))


def test_a_log_that_ends_before_its_snapshot_begins_anew_behind_it() -> None:
    voter = Voter()
    fill(voter, 5, 1)
    snapshot(voter, 3, 50)
    log = opened(voter)
    assert (log.start_offset, log.end_offset, log.last_epoch) == (50, 50, 3)


def test_a_log_that_contradicts_its_snapshot_begins_anew_behind_it() -> None:
    """The snapshot came from a leader, and the node died before its own log, of another leader, was dropped."""
    voter = Voter()
    fill(voter, 60, 2)
    snapshot(voter, 3, 50)
    assert opened(voter).start_offset == 50


def test_a_log_that_goes_on_behind_its_snapshot_stays() -> None:
    voter = Voter()
    fill(voter, 60, 3)
    snapshot(voter, 3, 50)
    log = opened(voter)
    assert (log.start_offset, log.end_offset, log.last_epoch) == (0, 60, 3)


def test_the_epoch_of_an_empty_log_behind_a_snapshot_is_known_after_a_restart() -> None:
    voter = Voter()
    fill(voter, 5, 1)
    snapshot(voter, 3, 50)
    opened(voter)
    voter.settle()
    for mode in ("process", "torn"):
        voter.crash(1, mode)
        assert (voter.driver.quorum_log.end_offset, voter.driver.quorum_log.last_epoch) == (50, 3)


def test_a_log_that_is_cut_back_to_its_snapshot_knows_the_epoch_of_that() -> None:
    """Asked without an epoch the leader would send a snapshot, perhaps an older one than what is committed here."""
    voter = Voter()
    fill(voter, 60, 3)
    made = snapshot(voter, 3, 50)
    log = opened(voter)
    snapshot(voter, 3, 40)
    log = opened(voter)
    log.clean(voter.clock.wall_ms(), 0, -1)
    assert (log.start_offset, log.newest) == (50, made)
    log.truncate_to(55)
    assert (log.end_offset, log.last_epoch) == (55, 3)
    log.truncate_to(50)
    assert (log.start_offset, log.end_offset, log.last_epoch) == (50, 50, 3)


def test_what_begins_behind_a_snapshot_keeps_no_older_one() -> None:
    """A leader that did took followers that had just read its newest one for strangers, and had them read it again, for ever."""
    voter = Voter()
    fill(voter, 60, 2)
    snapshot(voter, 2, 40)
    log = opened(voter)
    newest = snapshot(voter, 3, 80)
    log = opened(voter)
    assert log.snapshots.ids == [newest]
    voter.settle()
    snapshot(voter, 4, 120)
    log = opened(voter)
    assert (log.start_offset, log.snapshots.ids) == (120, [EpochEnd(4, 120)])
    fill(voter, 5, 5)
    assert log.compare(120, 4) == (None, None)


def test_an_older_snapshot_that_a_death_left_behind_is_dropped() -> None:
    voter = Voter()
    voter.log.truncate_fully(80, 3)
    snapshot(voter, 2, 40)
    newest = snapshot(voter, 3, 80)
    log = opened(voter)
    assert log.snapshots.ids == [newest]
    fill(voter, 5, 4)
    assert log.compare(80, 3) == (None, None)


def test_a_log_without_its_beginning_needs_a_snapshot() -> None:
    voter = Voter()
    voter.log.truncate_fully(50, 3)
    with pytest.raises(DirectoryError, match="begins at offset 50, and no snapshot holds what was before"):
        opened(voter)


def test_what_is_too_large_or_too_old_is_dropped_up_to_the_next_snapshot() -> None:
    voter = Voter()
    fill(voter, 60, 3)
    oldest, middle, newest = snapshot(voter, 3, 20), snapshot(voter, 3, 40), snapshot(voter, 3, 50)
    log = opened(voter)
    log.clean(voter.clock.wall_ms(), -1, -1)
    log.clean(voter.clock.wall_ms(), 100_000, 10_000)
    assert log.snapshots.ids == [oldest, middle, newest]
    voter.settle(5000)
    log.clean(voter.clock.wall_ms(), 100_000, 5250)
    assert log.snapshots.ids == [middle, newest]
    assert log.start_offset == 40
    log.clean(voter.clock.wall_ms(), 0, -1)
    assert log.snapshots.ids == [newest]
    assert log.start_offset == 50
    assert log.compare(45, 3) == (None, newest)
    assert log.compare(55, 3) == (None, None)
