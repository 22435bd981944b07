"""One segment: where its index entries stand, finding batches, cutting, and indexes made anew."""

import struct
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from broker.clock.simulated import WALL_START_MS
from broker.log.segment import Segment
from broker.record.batch import BatchHeader, patch, read_header
from hypothesis import given
from hypothesis import strategies as st

from .disk import DIRECTORY, Disk, batch

INTERVAL = 300
NO_LIMITS = {"segment_bytes": 10**9, "segment_ms": 10**12, "index_bytes": 10**6}


def make(disk: Disk, base_offset: int = 0, existing: Sequence[str] = ()) -> Segment:
    return Segment(disk.files, DIRECTORY, base_offset, index_interval_bytes=INTERVAL, created_ms=WALL_START_MS, existing=existing)


def reopen(disk: Disk, segment: Segment) -> Segment:
    segment.close()
    names = disk.names()
    existing = [suffix for suffix in (".log", ".index", ".timeindex") if f"{segment.base_offset:020d}{suffix}" in names]
    return make(disk, segment.base_offset, existing)


def add(segment: Segment, next_offset: int, count: int = 1, *, timestamp: int = WALL_START_MS, **settings: Any) -> BatchHeader:
    made = batch(count, timestamp=timestamp, **settings)
    header = read_header(made)._replace(base_offset=next_offset, partition_leader_epoch=3)
    segment.append((header,), patch(made, next_offset, 3))
    return header


def filled(disk: Disk, batches: int = 12, base_offset: int = 0) -> tuple[Segment, list[BatchHeader]]:
    segment = make(disk, base_offset)
    segment.create()
    headers: list[BatchHeader] = []
    for number in range(batches):
        following = headers[-1].next_offset if headers else base_offset
        headers.append(add(segment, following, 1 + number % 3, timestamp=WALL_START_MS + number * 10))
    return segment, headers


def positions(headers: Sequence[BatchHeader]) -> list[int]:
    found = [0]
    for header in headers:
        found.append(found[-1] + header.size)
    return found


def entries(segment: Segment) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    return (
        [segment.offset_index.entry(number) for number in range(segment.offset_index.count)],
        [segment.time_index.entry(number) for number in range(segment.time_index.count)],
    )


def test_an_offset_entry_is_the_last_offset_of_the_batch_at_its_position() -> None:
    """The rule that dump-log checks; the time entry is the largest timestamp with the last offset of the batch that has it."""
    disk = Disk()
    segment, headers = filled(disk, base_offset=50)
    at = dict(zip(positions(headers), headers, strict=False))
    offsets, times = entries(segment)
    assert len(offsets) >= 3
    indexed = 0
    for relative, position in offsets:
        assert at[position].last_offset == 50 + relative
        assert position - indexed > INTERVAL, "an entry stands more than the interval behind the one before"
        indexed = position
    for timestamp, relative in times:
        (header,) = (header for header in headers if header.last_offset == 50 + relative)
        assert header.max_timestamp == timestamp


def test_sealing_notes_the_largest_timestamp() -> None:
    disk = Disk()
    segment, headers = filled(disk)
    segment.seal()
    assert segment.time_index.last_entry == (headers[-1].max_timestamp, headers[-1].last_offset)
    count = segment.time_index.count
    segment.seal()
    assert segment.time_index.count == count
    assert disk.storage.size(segment.time_index.file.path) == count * 12


def test_the_largest_timestamp_need_not_be_the_newest() -> None:
    segment = make(Disk())
    add(segment, 0, timestamp=500)
    add(segment, 1, timestamp=900)
    add(segment, 2, timestamp=700)
    assert (segment.max_timestamp, segment.max_timestamp_offset) == (900, 1)
    segment.seal()
    assert segment.time_index.last_entry == (900, 1)


def test_finding_the_batch_of_every_offset() -> None:
    segment, headers = filled(Disk(), base_offset=10)
    where = positions(headers)
    for number, header in enumerate(headers):
        for offset in range(header.base_offset, header.next_offset):
            found = segment.position_of(offset)
            assert found is not None
            assert (found[0], found[1].base_offset) == (where[number], header.base_offset)
    assert segment.position_of(headers[-1].next_offset) is None


def test_an_offset_that_is_missing_is_the_next_one_that_is_there() -> None:
    segment = make(Disk())
    add(segment, 0)
    add(segment, 7)
    found = segment.position_of(3)
    assert found is not None and found[1].base_offset == 7


def test_reading_ends_with_a_whole_batch() -> None:
    segment, headers = filled(Disk(), 4)
    first, second = headers[0].size, headers[1].size
    for max_bytes, expected in (
        (first - 1, first),
        (first, first),
        (first + second - 1, first),
        (first + second, first + second),
    ):
        assert len(segment.read_at(0, max_bytes, None, at_least_one=True)[0]) == expected
    assert len(segment.read_at(0, first - 1, None, at_least_one=False)[0]) == 0
    data, last = segment.read_at(0, 10**6, headers[2].base_offset, at_least_one=True)
    assert (len(data), last) == (first + second, first)
    assert len(segment.read_at(0, 10**6, 0, at_least_one=True)[0]) == 0


def test_the_first_record_that_is_not_older() -> None:
    """Of the records, not of the batches."""
    segment = make(Disk())
    add(segment, 0, 5, timestamp=1000, step=10)
    add(segment, 5, 5, timestamp=2000, step=10)
    assert segment.find_timestamp(1015, 0) == (1020, 2, 3)
    assert segment.find_timestamp(1020, 0) == (1020, 2, 3)
    assert segment.find_timestamp(0, 0) == (1000, 0, 3)
    assert segment.find_timestamp(0, 3) == (1030, 3, 3)
    assert segment.find_timestamp(1041, 0) == (2000, 5, 3)
    assert segment.find_timestamp(2041, 0) is None


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 60)), min_size=1, max_size=30), st.integers(0, 70))
def test_finding_times_in_any_order(batches: list[tuple[int, int]], wanted: int) -> None:
    segment = make(Disk())
    model: list[tuple[int, int]] = []
    for count, timestamp in batches:
        header = add(segment, len(model), count, timestamp=timestamp)
        model += [(timestamp + number, header.base_offset + number) for number in range(count)]
    expected = next(((timestamp, offset, 3) for timestamp, offset in model if timestamp >= wanted), None)
    assert segment.find_timestamp(wanted, 0) == expected


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 300)), max_size=30))
def test_a_rebuilt_index_equals_the_one_that_grew(batches: list[tuple[int, int]]) -> None:
    disk = Disk()
    segment = make(disk)
    segment.create()
    offset = 0
    for count, timestamp in batches:
        offset = add(segment, offset, count, timestamp=timestamp).next_offset
    segment.seal()
    grown, newest = entries(segment), (segment.max_timestamp, segment.max_timestamp_offset)
    assert segment.recover() == (offset, 0)
    assert (entries(segment), (segment.max_timestamp, segment.max_timestamp_offset)) == (grown, newest)
    segment.rebuild_indexes()
    assert (entries(segment), (segment.max_timestamp, segment.max_timestamp_offset)) == (grown, newest)
    again = reopen(disk, segment)
    assert again.load() == (offset, 0)
    assert (entries(again), (again.max_timestamp, again.max_timestamp_offset)) == (grown, newest)
    assert again.indexes_are_sound()


@pytest.mark.parametrize("cut", ["bytes", "garbage", "zeros"])
def test_a_torn_tail_is_cut(cut: str) -> None:
    disk = Disk()
    segment, headers = filled(disk)
    whole = positions(headers)
    if cut == "bytes":
        segment.log.truncate(whole[-1] - 1)
        expected = (headers[-1].base_offset, whole[-2], headers[-1].size - 1)
    else:
        segment.log.append([b"\0" * 100 if cut == "zeros" else b"\x07" * 100])
        expected = (headers[-1].next_offset, whole[-1], 100)
    seen: list[int] = []
    next_offset, cut_bytes = segment.recover(lambda header: seen.append(header.base_offset))
    assert (next_offset, segment.size, cut_bytes) == expected
    assert seen == [header.base_offset for header in headers if header.next_offset <= next_offset]
    assert segment.time_index.last_entry[1] < next_offset


def test_a_flipped_bit_ends_the_log_there() -> None:
    disk = Disk()
    segment, headers = filled(disk)
    where = positions(headers)
    data = bytearray(segment.log.pread(segment.size, 0))
    data[where[5] + 70] ^= 1
    segment.log.truncate(0)
    segment.log.append([data])
    assert segment.recover() == (headers[5].base_offset, where[-1] - where[5])


def test_a_batch_that_goes_back_is_no_batch_of_this_log() -> None:
    segment = make(Disk(), 100)
    first = add(segment, 100)
    add(segment, 100)
    assert segment.recover() == (101, first.size)


def test_truncating_cuts_the_batch_that_holds_the_offset() -> None:
    segment, headers = filled(Disk())
    where = positions(headers)
    assert segment.truncate_to(headers[7].last_offset, WALL_START_MS) == headers[7].base_offset
    assert segment.size == where[7]
    assert segment.max_timestamp == headers[6].max_timestamp
    assert segment.offset_index.last_entry[0] <= headers[6].last_offset
    assert segment.truncate_to(0, WALL_START_MS + 5) == 0
    assert (segment.size, segment.offset_index.count, segment.time_index.count, segment.created_ms) == (
        0,
        0,
        0,
        WALL_START_MS + 5,
    )
    add(segment, 0, timestamp=77)
    assert segment.first_batch_timestamp() == 77


def lie_index(disk: Disk, segment: Segment) -> None:
    entry = struct.pack(">ii", 1, 33)
    disk.overwrite(segment.offset_index.file.path.rsplit("/", 1)[1], entry)


def lie_offset(disk: Disk, segment: Segment) -> None:
    """A position where a batch begins, with an offset that is not its last."""
    relative, position = segment.offset_index.entry(segment.offset_index.count - 1)
    disk.overwrite(segment.offset_index.file.path.rsplit("/", 1)[1], struct.pack(">ii", relative - 1, position))


def lie_time(disk: Disk, segment: Segment) -> None:
    timestamp, relative = segment.time_index.entry(segment.time_index.count - 1)
    disk.overwrite(segment.time_index.file.path.rsplit("/", 1)[1], struct.pack(">qi", timestamp + 1, relative))


def shorten_time(disk: Disk, segment: Segment) -> None:
    name = segment.time_index.file.path.rsplit("/", 1)[1]
    disk.overwrite(name, disk.read(name)[:-12])


def cut_time(disk: Disk, segment: Segment) -> None:
    name = segment.time_index.file.path.rsplit("/", 1)[1]
    disk.overwrite(name, disk.read(name)[:-5])


def empty_time(disk: Disk, segment: Segment) -> None:
    disk.overwrite(segment.time_index.file.path.rsplit("/", 1)[1], b"")


@pytest.mark.parametrize("lie", [lie_index, lie_offset, lie_time, shorten_time, cut_time, empty_time])
def test_an_index_that_does_not_agree_with_its_log_is_noticed(lie: Callable[[Disk, Segment], None]) -> None:
    disk = Disk()
    segment, _ = filled(disk)
    segment.seal()
    grown = entries(segment)
    segment.close()
    lie(disk, segment)
    again = reopen(disk, segment)
    assert not again.indexes_are_sound()
    again.rebuild_indexes()
    assert entries(again) == grown
    assert again.indexes_are_sound()


@pytest.mark.parametrize("missing", [".index", ".timeindex"])
def test_a_missing_index_is_noticed(missing: str) -> None:
    disk = Disk()
    segment, _ = filled(disk)
    segment.seal()
    segment.close()
    existing = [suffix for suffix in (".log", ".index", ".timeindex") if suffix != missing]
    assert not make(disk, 0, existing).indexes_are_sound()
    assert make(Disk()).indexes_are_sound(), "an empty log needs none"


def test_an_index_that_lies_when_it_is_used_is_rebuilt() -> None:
    """An entry in the middle is not looked at when a segment is opened."""
    disk = Disk()
    segment, headers = filled(disk, 20)
    segment.seal()
    grown = entries(segment)
    name = segment.offset_index.file.path.rsplit("/", 1)[1]
    data = bytearray(disk.read(name))
    data[8:16] = struct.pack(">ii", grown[0][1][0], grown[0][1][1] + 13)
    segment.close()
    disk.overwrite(name, bytes(data))
    again = reopen(disk, segment)
    assert again.indexes_are_sound()
    again.load()
    for header in headers:
        found = again.position_of(header.base_offset)
        assert found is not None and found[1].base_offset == header.base_offset
    assert entries(again) == grown


def should_roll(segment: Segment, timestamp: int = WALL_START_MS, now_ms: int = WALL_START_MS, **limits: int) -> bool:
    header = read_header(batch(timestamp=timestamp))
    limits = NO_LIMITS | limits
    return segment.should_roll(header, limits.pop("last_offset", 5), header.size, now_ms, **limits)


def test_an_empty_segment_is_never_rolled() -> None:
    """The next one would begin at the same offset and take its files."""
    segment = make(Disk())
    assert not should_roll(segment, segment_bytes=1, index_bytes=4, segment_ms=0, last_offset=2**31)


def test_rolling_by_size() -> None:
    segment = make(Disk())
    size = add(segment, 0).size
    assert not should_roll(segment, segment_bytes=2 * size)
    assert should_roll(segment, segment_bytes=2 * size - 1)


def test_rolling_by_time_counts_from_the_first_batch() -> None:
    segment = make(Disk())
    add(segment, 0, timestamp=1000)
    assert not should_roll(segment, timestamp=1500, now_ms=10**15, segment_ms=500)
    assert should_roll(segment, timestamp=1501, segment_ms=500)


def test_rolling_by_time_without_timestamps_counts_from_the_making() -> None:
    segment = make(Disk())
    add(segment, 0, timestamp=-1, step=0)
    assert not should_roll(segment, now_ms=WALL_START_MS + 500, segment_ms=500)
    assert should_roll(segment, now_ms=WALL_START_MS + 501, segment_ms=500)


def test_the_time_of_the_first_batch_is_found_again() -> None:
    disk = Disk()
    segment = make(disk)
    add(segment, 0, timestamp=1000)
    add(segment, 1, timestamp=5000)
    again = reopen(disk, segment)
    again.load()
    assert again.first_batch_timestamp() == 1000


def test_rolling_when_an_index_is_full() -> None:
    segment, _ = filled(Disk(), 20)
    offsets, times = segment.offset_index.count, segment.time_index.count
    assert offsets == times
    # The time index keeps its last place for the entry at the roll.
    assert should_roll(segment, index_bytes=12 * (times + 1))
    assert not should_roll(segment, index_bytes=12 * (times + 2))


def test_rolling_when_an_offset_is_out_of_reach() -> None:
    segment = make(Disk())
    add(segment, 0)
    assert not should_roll(segment, last_offset=2**31 - 1)
    assert should_roll(segment, last_offset=2**31)


def test_a_deleted_segment_leaves_under_another_name() -> None:
    disk = Disk()
    segment, _ = filled(disk)
    segment.seal()
    disk.storage.open(f"{DIRECTORY}/{0:020d}.txnindex")
    moved = segment.mark_deleted()
    assert sorted(moved) == sorted(f"{DIRECTORY}/{name}" for name in disk.names())
    assert {name.split(".", 1)[1] for name in disk.names()} == {
        "log.deleted",
        "index.deleted",
        "timeindex.deleted",
        "txnindex.deleted",
    }


def test_removing_leaves_nothing() -> None:
    disk = Disk()
    segment, _ = filled(disk)
    segment.remove()
    assert disk.names() == []


def test_without_timestamps_the_age_of_the_file_counts() -> None:
    disk = Disk()
    segment = make(disk)
    disk.clock.run_until(5000)
    add(segment, 0, timestamp=-1, step=0)
    assert segment.largest_timestamp() == WALL_START_MS + 5000
    add(segment, 1, timestamp=44)
    assert segment.largest_timestamp() == 44


def test_a_full_disk_leaves_the_segment_as_it_was() -> None:
    disk = Disk()
    segment, headers = filled(disk, 3)
    disk.storage.capacity_bytes = disk.storage.used_bytes + 10
    before = (segment.size, segment.max_timestamp, entries(segment))
    with pytest.raises(OSError, match="no space"):
        add(segment, headers[-1].next_offset, timestamp=WALL_START_MS + 10**6)
    assert (segment.size, segment.max_timestamp, entries(segment)) == before
    disk.storage.capacity_bytes = None
    add(segment, headers[-1].next_offset)
    assert segment.recover() == (headers[-1].next_offset + 1, 0)
