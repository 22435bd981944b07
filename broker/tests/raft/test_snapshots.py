"""Snapshots on disk: Kafka's checkpoint format, whole or not there, read back, refused by name when damaged."""

import random

import pytest
from broker.log.properties import DirectoryError
from broker.protocol import codec
from broker.protocol.messages.raft_records import SnapshotFooterRecord, SnapshotHeaderRecord
from broker.raft.messages import EpochEnd
from broker.raft.snapshots import SnapshotStore, SnapshotWriter
from broker.record.batch import check_crc, iter_batches
from broker.record.builder import ControlType, control_type
from broker.record.records import iter_records

from .quorum import DIRECTORY, Voter

SNAPSHOT = EpochEnd(7, 123)


def written(voter: Voter, batches: list[list[bytes]], snapshot: EpochEnd = SNAPSHOT, *, settle: int = 100) -> SnapshotStore:
    store = SnapshotStore(voter.storage, DIRECTORY)
    file = store.begin(snapshot)
    writer = SnapshotWriter(file, snapshot, last_contained_ms=55, now_ms=66)
    for batch in batches:
        writer.append(batch)
    writer.finish()
    results: list[OSError | None] = []
    store.finish(snapshot, file, results.append)
    voter.settle(settle)
    assert results == ([None] if settle == 100 else results)
    return store


def test_the_name_and_the_content_are_kafkas() -> None:
    voter = Voter()
    store = written(voter, [[b"a", b"b"], [b"c"]])
    assert store.path(SNAPSHOT) == f"{DIRECTORY}/00000000000000000123-0000000007.checkpoint"
    data = voter.storage.read(store.path(SNAPSHOT))
    assert len(data) == store.size(SNAPSHOT)
    found = []
    for header, batch in iter_batches(data):
        check_crc(batch, header)
        assert (header.partition_leader_epoch, header.base_timestamp) == (7, 66)
        for record in iter_records(batch, header):
            found.append((record.offset, control_type(record.key) if header.is_control else record.value))
    assert found == [(0, ControlType.SNAPSHOT_HEADER), (1, b"a"), (2, b"b"), (3, b"c"), (4, ControlType.SNAPSHOT_FOOTER)]
    first, *_, last = iter_batches(data)
    (header_record,), (footer_record,) = iter_records(first[1]), iter_records(last[1])
    assert codec.decode(SnapshotHeaderRecord, 0, header_record.value or b"", 0).last_contained_log_timestamp == 55
    assert codec.decode(SnapshotFooterRecord, 0, footer_record.value or b"", 0).version == 0


def test_what_is_written_is_read_in_batches_and_pieces() -> None:
    voter = Voter()
    batches = [[b"x" * 3000] * 200 for _ in range(5)]
    store = written(voter, batches)
    assert list(store.values(SNAPSHOT)) == batches
    data = voter.storage.read(store.path(SNAPSHOT))
    assert store.read(SNAPSHOT, 10, 100) == data[10:110]
    assert store.read(SNAPSHOT, len(data) - 5, 100) == data[-5:]


@pytest.mark.parametrize("settle", range(6))
def test_one_that_has_its_name_is_whole(settle: int) -> None:
    for seed in range(20):
        voter = Voter()
        written(voter, [[b"a"]], settle=settle)
        voter.storage.crash(random.Random(seed), "torn")
        store = SnapshotStore(voter.storage, DIRECTORY)
        assert store.ids in ([], [SNAPSHOT])
        if store.ids:
            assert list(store.values(SNAPSHOT)) == [[b"a"]]
        assert not [name for name in voter.storage.list_directory(DIRECTORY) if name.endswith(".part")]


def test_they_are_found_again_oldest_first() -> None:
    voter = Voter()
    for snapshot in (EpochEnd(2, 50), EpochEnd(1, 9), EpochEnd(3, 200)):
        written(voter, [[b"a"]], snapshot)
    voter.storage.open(f"{DIRECTORY}/00000000000000000007.checkpoint")
    store = SnapshotStore(voter.storage, DIRECTORY)
    assert store.ids == [EpochEnd(1, 9), EpochEnd(2, 50), EpochEnd(3, 200)]
    assert store.latest == EpochEnd(3, 200)
    store.remove(EpochEnd(1, 9))
    assert SnapshotStore(voter.storage, DIRECTORY).ids == [EpochEnd(2, 50), EpochEnd(3, 200)]


@pytest.mark.parametrize("position", [-3, 70, 100, 16])
def test_a_damaged_one_is_refused_by_name(position: int) -> None:
    voter = Voter()
    store = written(voter, [[b"a" * 50]])
    data = bytearray(voter.storage.read(store.path(SNAPSHOT)))
    data[position] ^= 0xFF
    file = voter.storage.open(store.path(SNAPSHOT))
    file.truncate(0)
    file.append([data])
    with pytest.raises(DirectoryError, match=r"00000000000000000123-0000000007\.checkpoint is damaged"):
        list(store.values(SNAPSHOT))
    file.truncate(len(data) - 4)
    with pytest.raises(DirectoryError, match="is damaged"):
        list(store.values(SNAPSHOT))


def test_one_that_is_given_up_leaves_nothing() -> None:
    voter = Voter()
    store = SnapshotStore(voter.storage, DIRECTORY)
    file = store.begin(SNAPSHOT)
    file.append([b"abc"])
    store.abandon(SNAPSHOT, file)
    assert store.ids == []
    assert not [name for name in voter.storage.list_directory(DIRECTORY) if "checkpoint" in name and "epoch" not in name]


def test_two_who_write_the_same_snapshot_do_not_meet() -> None:
    """A leader that was asked again sends it again, while the first one waits for its fsync."""
    voter = Voter()
    store = SnapshotStore(voter.storage, DIRECTORY)
    results: list[OSError | None] = []
    files = [store.begin(SNAPSHOT) for _ in range(2)]
    writers = [SnapshotWriter(file, SNAPSHOT, last_contained_ms=55, now_ms=66) for file in files]
    writers[0].append([b"a", b"b"])
    writers[0].finish()
    store.finish(SNAPSHOT, files[0], results.append)
    voter.settle()
    assert (results, list(store.values(SNAPSHOT))) == ([None], [[b"a", b"b"]])
    writers[1].append([b"a", b"b"])
    writers[1].finish()
    store.finish(SNAPSHOT, files[1], results.append)
    voter.settle()
    assert (results, list(store.values(SNAPSHOT)), store.ids) == ([None, None], [[b"a", b"b"]], [SNAPSHOT])
    assert not [name for name in voter.storage.list_directory(DIRECTORY) if name.endswith(".part")]
