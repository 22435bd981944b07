"""Opening a partition's directory after every kind of end: clean, killed, power cut, and files that were tampered with."""

import random
import struct
from collections.abc import Callable

import pytest
from broker.clock.simulated import WALL_START_MS
from broker.log.file_names import LEADER_EPOCHS
from broker.log.partition_log import PartitionLog
from broker.log.properties import DirectoryError
from broker.protocol.errors import KafkaError

from .disk import DIRECTORY, Config, Disk, append, headers, index_entries, records

SEED_COUNT = 60


def fill(log: PartitionLog, batches: int = 40, *, epochs: bool = True) -> None:
    """Several segments, two epochs, one idempotent producer."""
    for number in range(batches):
        append(
            log,
            1 + number % 3,
            epoch=number // 20 if epochs else 0,
            timestamp=WALL_START_MS + number * 10,
            producer_id=5,
            producer_epoch=0,
            base_sequence=sum(1 + one % 3 for one in range(number)),
        )


def summary(log: PartitionLog) -> tuple[object, ...]:
    """Everything that must be the same after a restart."""
    return (
        records(log),
        log.log_end_offset,
        [(segment.base_offset, segment.size) for segment in log.segments],
        log.epochs.entries,
        [(producer_id, entry.epoch, list(entry.batches)[-1:]) for producer_id, entry in log.producers.items()],
    )


def clean_stop(disk: Disk, log: PartitionLog) -> None:
    disk.settle()
    log.close(clean=True)


def test_an_empty_directory_gets_its_first_segment() -> None:
    disk = Disk()
    log = disk.open()
    assert disk.names() == [f"{0:020d}.index", f"{0:020d}.log", f"{0:020d}.timeindex"]
    assert (log.log_start_offset, log.log_end_offset, log.cut_bytes) == (0, 0, 0)


def test_after_a_clean_stop_everything_is_as_it_was() -> None:
    disk = Disk()
    log = disk.open()
    fill(log)
    before, indexes = summary(log), index_entries(log)
    clean_stop(disk, log)
    again = disk.open(clean=True, recovery_point=log.log_end_offset)
    assert summary(again) == before
    assert index_entries(again)[:-1] == indexes[:-1]
    assert again.persisted_end_offset == again.recovery_point == again.log_end_offset


def test_after_a_clean_stop_a_power_cut_changes_nothing() -> None:
    for seed in range(SEED_COUNT):
        disk = Disk()
        log = disk.open()
        fill(log)
        before = summary(log)
        clean_stop(disk, log)
        disk.crash(seed, "torn")
        again = disk.open(clean=True, recovery_point=log.log_end_offset)
        assert summary(again) == before, f"seed {seed}"
        assert all(segment.indexes_are_sound() for segment in again.segments)


def test_the_death_of_the_process_loses_nothing() -> None:
    disk = Disk()
    log = disk.open()
    fill(log)
    before, indexes = summary(log), index_entries(log)
    disk.crash()
    again = disk.open()
    assert summary(again) == before
    assert again.cut_bytes == 0
    again.active.seal()
    log_indexes = index_entries(again)
    assert log_indexes[:-1] == indexes[:-1]


@pytest.mark.parametrize("point", ["none", "old", "newest"])
def test_the_torn_tail_is_cut_at_every_byte(point: str) -> None:
    """The last batch cut at every byte: everything before it stays, and the log goes on."""
    disk = Disk()
    log = disk.open()
    fill(log, 20)
    disk.settle()
    recovery_point = {"none": 0, "old": log.segments[1].base_offset, "newest": log.recovery_point}[point]
    size, before = log.active.size, records(log)
    name = log.active.log.path.rsplit("/", 1)[1]
    append(log, 2, epoch=9, timestamp=WALL_START_MS + 10**6)
    whole = disk.read(name)
    assert size > 0, "the batch went into the same segment"
    log.close(clean=False)
    for end in range(size, len(whole)):
        disk.overwrite(name, whole[:end])
        again = disk.open(recovery_point=recovery_point)
        assert again.cut_bytes == end - size
        assert records(again) == before
        assert disk.storage.size(f"{DIRECTORY}/{name}") == size
        assert again.epochs.latest == 0
        again.close(clean=False)
    disk.overwrite(name, whole)
    again = disk.open(recovery_point=recovery_point)
    assert (again.cut_bytes, again.epochs.latest, len(records(again))) == (0, 9, len(before) + 2)
    append(again, 1, epoch=10)
    assert records(again)[-1].offset == again.log_end_offset - 1


def test_a_power_cut_keeps_what_was_fsynced_and_a_prefix_of_the_rest() -> None:
    for seed in range(SEED_COUNT):
        disk = Disk()
        log = disk.open()
        rng = random.Random(seed)
        fill(log, rng.randrange(40))
        if rng.randrange(3):
            log.flush_soon(lambda error: None)
            disk.clock.run_until(disk.clock.now_ms + rng.randrange(4))
        fill_more(log, rng.randrange(30))
        point, persisted = log.recovery_point, log.persisted_end_offset
        before = records(log)
        disk.crash(seed, "torn")
        again = disk.open(recovery_point=point)
        found = records(again)
        assert again.log_end_offset >= persisted, f"seed {seed}"
        assert found == before[: len(found)], f"seed {seed}: a prefix, without holes"
        assert [header.partition_leader_epoch for header in headers(again)] == [
            again.epochs.epoch_at(header.base_offset) for header in headers(again)
        ]
        append(again, 1, epoch=20)
        assert disk.failures == []


def fill_more(log: PartitionLog, batches: int) -> None:
    for number in range(batches):
        append(log, 2, epoch=5 + number // 8, timestamp=WALL_START_MS + 10_000 + number)


def test_a_power_cut_after_the_flush_finds_sealed_segments_whole() -> None:
    """Segments below the recovery point are not looked at again, so their indexes must be durable as well."""
    for seed in range(SEED_COUNT):
        disk = Disk()
        log = disk.open()
        fill(log)
        log.flush_soon(lambda error: None)
        disk.settle()
        assert log.recovery_point == log.log_end_offset
        point, before, indexes = log.recovery_point, summary(log), index_entries(log)
        disk.crash(seed, "torn")
        again = disk.open(recovery_point=point)
        assert summary(again) == before, f"seed {seed}"
        assert index_entries(again)[:-1] == indexes[:-1], f"seed {seed}"
        assert all(segment.indexes_are_sound() for segment in again.segments[:-1])


def test_segments_below_the_recovery_point_are_not_read_again() -> None:
    disk = Disk()
    log = disk.open()
    fill(log)
    disk.settle()
    name = log.segments[0].log.path.rsplit("/", 1)[1]
    data = bytearray(disk.read(name))
    data[100] ^= 1
    log.close(clean=False)
    disk.overwrite(name, bytes(data))
    unread = disk.open(recovery_point=log.log_end_offset)
    assert unread.cut_bytes == 0
    unread.close(clean=False)
    checked = disk.open(recovery_point=0)
    assert checked.log_end_offset < log.log_end_offset
    assert len(checked.segments) == 1, "what lies behind the damage is dropped"


def test_segments_behind_a_cut_are_dropped() -> None:
    disk = Disk()
    log = disk.open()
    fill(log)
    second = log.segments[1]
    expected = [record for record in records(log) if record.offset < second.base_offset]
    lost = sum(segment.size for segment in log.segments[1:])
    name = second.log.path.rsplit("/", 1)[1]
    data = bytearray(disk.read(name))
    data[70] ^= 1
    log.close(clean=False)
    disk.overwrite(name, bytes(data))
    again = disk.open()
    assert (again.log_end_offset, again.cut_bytes) == (second.base_offset, lost)
    assert records(again) == expected
    assert [one for one in disk.names() if one.endswith(".log")] == [f"{0:020d}.log", name]
    assert append(again, epoch=9).first_offset == second.base_offset


def test_a_hole_ends_what_was_not_fsynced() -> None:
    """Batches that never reached the disk, and a next segment that did: what is left has no hole."""
    disk = Disk()
    log = disk.open()
    fill(log)
    first = log.segments[0]
    last = next(header for header in headers(log) if header.next_offset == log.segments[1].base_offset)
    log.close(clean=False)
    first.log.truncate(first.size - last.size)
    again = disk.open()
    assert again.log_end_offset == last.base_offset
    assert [name for name in disk.names() if name.endswith(".log")] == [f"{0:020d}.log"]
    again.close(clean=False)


def test_a_compacted_log_may_have_holes() -> None:
    disk = Disk()
    config = Config(cleanup_policy="compact")
    log = disk.open(config)
    fill(log)
    last = next(header for header in headers(log) if header.next_offset == log.segments[1].base_offset)
    log.close(clean=False)
    log.segments[0].log.truncate(log.segments[0].size - last.size)
    again = disk.open(config)
    assert again.log_end_offset == log.log_end_offset
    assert [header.base_offset for header in headers(again)].count(last.base_offset) == 0
    found = again.read(last.base_offset, 10_000, again.log_end_offset)
    assert found, "reading goes on in the next segment"


def damage_nothing(disk: Disk, name: str) -> None:
    return None


def remove(disk: Disk, name: str) -> None:
    disk.storage.remove(f"{DIRECTORY}/{name}")


def shorten(disk: Disk, name: str) -> None:
    disk.overwrite(name, disk.read(name)[:-3])


def drop_entry(disk: Disk, name: str) -> None:
    disk.overwrite(name, disk.read(name)[: -(12 if name.endswith("timeindex") else 8)])


def empty(disk: Disk, name: str) -> None:
    disk.overwrite(name, b"")


def zeros(disk: Disk, name: str) -> None:
    disk.overwrite(name, bytes(len(disk.read(name))))


def preallocated(disk: Disk, name: str) -> None:
    """As Apache Kafka leaves an active index when it is killed."""
    disk.overwrite(name, disk.read(name) + bytes(240))


def lie(disk: Disk, name: str) -> None:
    data = disk.read(name)
    entry = struct.pack(">qi", WALL_START_MS + 10**9, 1) if name.endswith("timeindex") else struct.pack(">ii", 2**30, 7)
    disk.overwrite(name, data[: -len(entry)] + entry)


DAMAGES = (damage_nothing, remove, shorten, drop_entry, empty, zeros, preallocated, lie)


@pytest.mark.parametrize("clean", [True, False], ids=["clean", "killed"])
@pytest.mark.parametrize("suffix", [".index", ".timeindex"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_indexes_are_rebuilt(damage: Callable[[Disk, str], None], suffix: str, clean: bool) -> None:
    """Of a sealed segment and of the active one, after a clean stop and after a kill."""
    disk = Disk()
    log = disk.open()
    fill(log)
    clean_stop(disk, log)
    before, indexes = summary(log), index_entries(log)
    names = [name for name in disk.names() if name.endswith(suffix)]
    for name in (names[1], names[-1]):
        damage(disk, name)
    again = disk.open(clean=clean, recovery_point=log.log_end_offset)
    assert summary(again) == before
    if not clean or damage is not drop_entry or suffix == ".index":
        assert index_entries(again) == indexes
    for segment in again.segments[:-1]:
        assert segment.max_timestamp == segment.find_timestamp(segment.max_timestamp, 0)[0]  # type: ignore[index]
    for record in records(again):
        found = again.offset_for_timestamp(record.timestamp, again.log_end_offset)
        assert found is not None and found.timestamp == record.timestamp


def test_a_batch_at_the_end_that_is_damaged_after_a_clean_stop_is_cut() -> None:
    """Appending behind bytes that are no batch would lose everything after them."""
    disk = Disk()
    log = disk.open()
    fill(log)
    clean_stop(disk, log)
    before = records(log)
    name = log.active.log.path.rsplit("/", 1)[1]
    disk.overwrite(name, disk.read(name)[:-1])
    again = disk.open(clean=True, recovery_point=log.log_end_offset)
    assert again.cut_bytes > 0
    assert records(again) == [record for record in before if record.offset < again.log_end_offset]
    append(again, 1, epoch=7)
    assert records(again)[-1].offset == again.log_end_offset - 1


def test_leftovers_go() -> None:
    disk = Disk()
    log = disk.open()
    fill(log, 5)
    before = summary(log)
    log.close(clean=False)
    leftovers = [
        f"{0:020d}.log.deleted",
        f"{0:020d}.index.deleted",
        f"{50:020d}.log.cleaned",
        "leader-epoch-checkpoint.tmp",
        f"{77:020d}.index",
        f"{77:020d}.timeindex",
        f"{77:020d}.txnindex",
        f"{99:020d}.snapshot",
    ]
    for name in leftovers:
        disk.overwrite(name, b"left over")
    again = disk.open()
    assert summary(again) == before
    assert not set(leftovers) & set(disk.names())


def test_an_unfinished_compaction_of_kafka_is_refused_by_name() -> None:
    disk = Disk()
    disk.open().close(clean=False)
    disk.overwrite(f"{0:020d}.log.swap", b"x")
    with pytest.raises(DirectoryError, match=r"00000\.log\.swap is of an unfinished compaction"):
        disk.open()


def test_an_empty_segment_in_between_is_none() -> None:
    """A roll that a full disk refused; the log went on in the segment before."""
    disk = Disk()
    log = disk.open()
    fill(log)
    before = summary(log)
    log.close(clean=False)
    between = log.segments[1].base_offset + 1
    disk.overwrite(f"{between:020d}.log", b"")
    again = disk.open()
    assert summary(again) == before
    assert f"{between:020d}.log" not in disk.names()


def test_an_empty_active_segment_keeps_its_place() -> None:
    disk = Disk()
    log = disk.open()
    fill(log)
    log.roll(WALL_START_MS)
    end = log.log_end_offset
    disk.crash()
    again = disk.open()
    assert (again.log_end_offset, again.active.base_offset) == (end, end)
    assert append(again).first_offset == end


@pytest.mark.parametrize("content", [None, b"", b"garbage", b"0\n2\n0 0\n"], ids=["absent", "empty", "garbage", "cut"])
@pytest.mark.parametrize("clean", [True, False], ids=["clean", "killed"])
def test_leader_epochs_without_a_file_are_read_from_the_batches(content: bytes | None, clean: bool) -> None:
    disk = Disk()
    log = disk.open()
    fill(log)
    entries = log.epochs.entries
    assert len(entries) == 2
    clean_stop(disk, log)
    if content is None:
        disk.storage.remove(f"{DIRECTORY}/{LEADER_EPOCHS}")
    else:
        disk.overwrite(LEADER_EPOCHS, content)
    again = disk.open(clean=clean, recovery_point=log.log_end_offset)
    assert again.epochs.entries == entries
    again.close(clean=True)
    assert disk.read(LEADER_EPOCHS) == again.epochs.render()


def test_epochs_behind_the_end_of_the_log_go() -> None:
    disk = Disk()
    log = disk.open()
    fill(log, 10)
    log.assign_epoch(7, log.log_end_offset)
    log.close(clean=False)
    assert disk.open().epochs.entries == [(0, 0)]


@pytest.mark.parametrize("damage", ["none", "newest", "all"])
def test_producers_come_from_snapshots_and_the_batches_after_them(damage: str) -> None:
    disk = Disk()
    log = disk.open()
    fill(log)
    expected = summary(log)
    log.close(clean=False)
    snapshots = [name for name in disk.names() if name.endswith(".snapshot")]
    assert len(snapshots) >= 2
    for name in {"none": [], "newest": snapshots[-1:], "all": snapshots}[damage]:
        disk.overwrite(name, disk.read(name)[:-1])
    again = disk.open()
    assert summary(again) == expected
    known = list(again.producers.producers[5].batches)
    # A producer that sends its newest batch again is told its offsets.
    newest = list(headers(again))[-1]
    assert known[-1].last_offset == newest.last_offset


def test_retries_of_batches_before_the_last_are_known_after_a_clean_stop() -> None:
    """The snapshot has the last batch of each producer; the producer may have had five under way."""
    disk = Disk()
    log = disk.open()
    sent = [append(log, 2, producer_id=7, producer_epoch=0, base_sequence=2 * number) for number in range(40)]
    append(log, producer_id=8, producer_epoch=3, base_sequence=0)
    log.close(clean=True)
    again = disk.open(clean=True, recovery_point=log.log_end_offset)
    for number in range(35, 40):
        info = append(again, 2, producer_id=7, producer_epoch=0, base_sequence=2 * number)
        assert (info.first_offset, info.last_offset) == (sent[number].first_offset, sent[number].last_offset)
    with pytest.raises(KafkaError, match="sequence number 68"):
        append(again, 2, producer_id=7, producer_epoch=0, base_sequence=2 * 34)
    assert append(again, 2, producer_id=7, producer_epoch=0, base_sequence=80).first_offset == log.log_end_offset


def test_a_snapshot_from_behind_the_end_is_not_believed() -> None:
    disk = Disk()
    log = disk.open()
    fill(log, 10)
    expected = summary(log)
    log.close(clean=True)
    snapshot = f"{log.log_end_offset:020d}.snapshot"
    data = disk.read(snapshot)
    disk.storage.remove(f"{DIRECTORY}/{snapshot}")
    disk.overwrite(f"{log.log_end_offset + 5:020d}.snapshot", data)
    again = disk.open()
    assert summary(again) == expected
    assert f"{log.log_end_offset + 5:020d}.snapshot" not in disk.names()


def test_snapshots_that_belong_to_no_segment_go_but_for_the_newest() -> None:
    disk = Disk()
    log = disk.open()
    fill(log)
    bases = {segment.base_offset for segment in log.segments}
    log.close(clean=True)
    disk.overwrite(f"{3:020d}.snapshot", disk.read(f"{log.log_end_offset:020d}.snapshot"))
    disk.open(clean=True, recovery_point=log.log_end_offset)
    found = {int(name.split(".")[0]) for name in disk.names() if name.endswith(".snapshot")}
    assert found == (bases - {0}) | {log.log_end_offset}
