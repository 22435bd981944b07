"""The two indexes: what their entries say, looking up, cutting, and telling a file that cannot be one."""

import struct

import pytest
from broker.log.index import PENDING_ENTRIES_MAX, OffsetIndex, TimeIndex
from broker.log.open_files import OpenFiles
from hypothesis import given
from hypothesis import strategies as st

from .disk import DIRECTORY, Disk

PATH = f"{DIRECTORY}/00000000000000000100.index"


def offset_index(files: OpenFiles, *, exists: bool = False) -> OffsetIndex:
    return OffsetIndex(files, PATH, 100, exists=exists)


def time_index(files: OpenFiles, *, exists: bool = False) -> TimeIndex:
    return TimeIndex(files, PATH, 100, exists=exists)


def test_an_offset_entry_is_eight_bytes_of_relative_offset_and_position() -> None:
    disk = Disk()
    index = offset_index(disk.files)
    index.append(104, 4242)
    index.flush()
    assert disk.storage.read(PATH) == struct.pack(">ii", 4, 4242)
    assert index.size_bytes == 8


def test_a_time_entry_is_twelve_bytes_of_timestamp_and_relative_offset() -> None:
    disk = Disk()
    index = time_index(disk.files)
    assert index.maybe_append(1_700_000_000_000, 107)
    index.flush()
    assert disk.storage.read(PATH) == struct.pack(">qi", 1_700_000_000_000, 7)


def test_times_grow_strictly() -> None:
    index = time_index(Disk().files)
    assert index.maybe_append(10, 101)
    assert not index.maybe_append(10, 102)
    assert not index.maybe_append(9, 103)
    assert index.maybe_append(11, 104)
    assert [index.entry(number) for number in range(index.count)] == [(10, 1), (11, 4)]
    assert index.last_entry == (11, 104)


def test_an_empty_index_points_at_the_beginning() -> None:
    disk = Disk()
    assert offset_index(disk.files).entry_before(1000) == (-1, 0)
    assert offset_index(disk.files).last_entry == (-1, 0)
    assert time_index(disk.files).last_entry == (-1, 100)
    assert time_index(disk.files).lookup(5) == 100


def test_looking_up_offsets() -> None:
    index = offset_index(Disk().files)
    for last_offset, position in ((110, 1000), (120, 2000), (130, 3000)):
        index.append(last_offset, position)
    found = [index.entry_before(offset) for offset in (100, 109, 110, 119, 120, 129, 130, 5000)]
    assert found == [(-1, 0), (-1, 0), (110, 1000), (110, 1000), (120, 2000), (120, 2000), (130, 3000), (130, 3000)]


def test_looking_up_times() -> None:
    index = time_index(Disk().files)
    for timestamp, offset in ((10, 110), (20, 120), (30, 130)):
        index.maybe_append(timestamp, offset)
    assert [index.lookup(timestamp) for timestamp in (0, 9, 10, 15, 20, 30, 99)] == [100, 100, 110, 110, 120, 130, 130]


@given(st.lists(st.integers(1, 50), max_size=200), st.integers(0, 200), st.data())
def test_entries_in_memory_and_on_disk_are_one_list(steps: list[int], flushed: int, data: st.DataObject) -> None:
    """Flushed in between, looked up, cut: like a list that is searched from its start."""
    index = offset_index(Disk().files)
    model: list[tuple[int, int]] = []
    for number, step in enumerate(steps):
        offset, position = (model[-1] if model else (100, 0))[0] + step, number * 7 + 1
        index.append(offset, position)
        model.append((offset, position))
        if number == flushed:
            index.flush()
    wanted = data.draw(st.integers(99, 100 + 50 * (len(steps) + 1)))
    below = [entry for entry in model if entry[0] <= wanted]
    assert index.entry_before(wanted) == (below[-1] if below else (-1, 0))
    index.truncate(wanted)
    kept = [(offset - 100, position) for offset, position in model if offset < wanted]
    assert [index.entry(number) for number in range(index.count)] == kept
    index.append(wanted + 1000, 10**6)
    assert index.last_entry == (wanted + 1000, 10**6)


def test_many_entries_are_written_without_being_asked() -> None:
    disk = Disk()
    index = offset_index(disk.files)
    for number in range(PENDING_ENTRIES_MAX):
        index.append(101 + number, number + 1)
    assert disk.storage.size(PATH) == PENDING_ENTRIES_MAX * 8


def test_a_full_disk_leaves_entries_waiting() -> None:
    disk = Disk()
    index = offset_index(disk.files)
    disk.storage.capacity_bytes = disk.storage.used_bytes + 100
    for number in range(PENDING_ENTRIES_MAX + 3):
        index.append(101 + number, number + 1)
    with pytest.raises(OSError, match="no space"):
        index.flush()
    assert index.count == PENDING_ENTRIES_MAX + 3
    assert index.last_entry == (103 + PENDING_ENTRIES_MAX, PENDING_ENTRIES_MAX + 3)
    disk.storage.capacity_bytes = None
    index.flush()
    assert disk.storage.size(PATH) == (PENDING_ENTRIES_MAX + 3) * 8


def test_the_entries_are_there_again() -> None:
    disk = Disk()
    index = time_index(disk.files)
    index.maybe_append(10, 110)
    index.maybe_append(20, 120)
    index.flush()
    again = time_index(OpenFiles(disk.storage), exists=True)
    assert again.last_entry == (20, 120)
    again.truncate(115)
    assert again.last_entry == (10, 110)
    assert disk.storage.size(PATH) == 12


@pytest.mark.parametrize(
    ("data", "log_size", "sound"),
    [
        (b"", 0, True),
        (struct.pack(">ii", 3, 10), 100, True),
        (struct.pack(">ii", 3, 10)[:-1], 100, False),
        (struct.pack(">ii", 3, 100), 100, False),
        (struct.pack(">iiii", 3, 10, 0, 0), 100, False),
        (struct.pack(">ii", -1, 10), 100, False),
    ],
    ids=["empty", "fits", "no whole entry", "beyond the log", "a tail of zeros", "below the base"],
)
def test_what_can_be_an_offset_index(data: bytes, log_size: int, sound: bool) -> None:
    disk = Disk()
    disk.storage.open(PATH).append([data])
    assert offset_index(disk.files, exists=True).is_sound(log_size) is sound


@pytest.mark.parametrize(
    ("data", "sound"),
    [
        (b"", True),
        (struct.pack(">qi", 5, 1), True),
        (struct.pack(">qi", 5, 1) + b"\0", False),
        (struct.pack(">qiqi", 5, 1, 0, 0), False),
        (struct.pack(">qi", 5, -3), False),
    ],
    ids=["empty", "fits", "no whole entry", "a tail of zeros", "below the base"],
)
def test_what_can_be_a_time_index(data: bytes, sound: bool) -> None:
    disk = Disk()
    disk.storage.open(PATH).append([data])
    assert time_index(disk.files, exists=True).is_sound() is sound


def test_a_reset_index_is_empty_also_on_disk() -> None:
    disk = Disk()
    disk.storage.open(PATH).append([b"garbage"])
    index = time_index(disk.files, exists=True)
    index.reset()
    assert (index.count, disk.storage.size(PATH)) == (0, 0)
    assert index.maybe_append(1, 101)
    index.flush()
    assert disk.storage.read(PATH) == struct.pack(">qi", 1, 1)
