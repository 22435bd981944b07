"""The two sparse indexes beside a segment, in Kafka's format, grown by append and never pre-allocated.

`OffsetIndex`: the last offset of a batch -> its position. `TimeIndex`: the largest timestamp so far -> the last offset of the
batch that brought it, strictly increasing. Entries stay on disk; only the newest, not yet written ones are in memory, so a
thousand partitions cost nothing. The files lag behind the log (never ahead of it) and are rebuilt from it when in doubt.
Source: ``OffsetIndex``, ``TimeIndex``.
"""

import struct

from broker.log.open_files import LogFile, OpenFiles

OFFSET_ENTRY = struct.Struct(">ii")
TIME_ENTRY = struct.Struct(">qi")
RELATIVE_OFFSET_MAX = 2**31 - 1
# Entries that wait in memory before they are written together.
PENDING_ENTRIES_MAX = 64


class _Index:
    """Entries of two growing numbers, the oldest on disk, the newest pending."""

    __slots__ = ("_entry", "_pending", "base_offset", "count", "file")

    def __init__(self, entry: struct.Struct, files: OpenFiles, path: str, base_offset: int, *, exists: bool) -> None:
        self._entry = entry
        self.file = LogFile(files, path, exists=exists)
        self.base_offset = base_offset
        self.count = self.file.size // entry.size
        self._pending = bytearray()

    @property
    def size_bytes(self) -> int:
        return self.count * self._entry.size

    def entry(self, number: int) -> tuple[int, int]:
        """The raw numbers of an entry."""
        offset = number * self._entry.size - self.file.size
        if offset >= 0:
            first, second = self._entry.unpack_from(self._pending, offset)
        else:
            first, second = self._entry.unpack(self.file.pread(self._entry.size, number * self._entry.size))
        return first, second

    def _add(self, first: int, second: int) -> None:
        self._pending += self._entry.pack(first, second)
        self.count += 1
        if len(self._pending) >= PENDING_ENTRIES_MAX * self._entry.size:
            try:
                self.flush()
            except OSError:
                # The entries wait for the next flush; roll, checkpoint and close say it aloud when it fails again.
                return

    def flush(self) -> None:
        """Write what is pending."""
        if self._pending:
            self.file.append([self._pending])
            self._pending.clear()

    def _lower_bound(self, column: int, target: int) -> int:
        """The number of entries whose `column` is at most `target`."""
        low, high = 0, self.count
        if high and self.entry(high - 1)[column] <= target:
            return high
        while low < high:
            middle = (low + high) // 2
            if self.entry(middle)[column] <= target:
                low = middle + 1
            else:
                high = middle
        return low

    def _keep(self, count: int) -> None:
        """Forget all entries but the first `count`."""
        if count >= self.count:
            return
        size = count * self._entry.size
        on_disk = self.file.size
        del self._pending[max(0, size - on_disk) :]
        if size < on_disk:
            self.file.truncate(size)
        self.count = count

    def reset(self) -> None:
        """Forget everything, also what is no whole entry."""
        self._pending.clear()
        if self.file.size:
            self.file.truncate(0)
        self.count = 0

    def _is_whole(self) -> bool:
        return self.file.size % self._entry.size == 0


class OffsetIndex(_Index):
    """Positions by offset, relative to the segment's base offset."""

    __slots__ = ()

    def __init__(self, files: OpenFiles, path: str, base_offset: int, *, exists: bool) -> None:
        super().__init__(OFFSET_ENTRY, files, path, base_offset, exists=exists)

    def is_sound(self, log_size: int) -> bool:
        """Whether the file can belong to a log of that size: a cheap look at its ends."""
        if not self._is_whole() or not self.count:
            return self._is_whole()
        relative, position = self.entry(self.count - 1)
        return relative >= 0 and 0 < position < log_size

    def append(self, last_offset: int, position: int) -> None:
        self._add(last_offset - self.base_offset, position)

    def entry_before(self, offset: int) -> tuple[int, int]:
        """(last offset, position) of the last indexed batch that ends at `offset` or before it; (-1, 0) when there is none."""
        found = self._lower_bound(0, offset - self.base_offset)
        return self._absolute(found - 1) if found else (-1, 0)

    @property
    def last_entry(self) -> tuple[int, int]:
        """(last offset, position) of the newest indexed batch; (-1, 0) when there is none."""
        return self._absolute(self.count - 1) if self.count else (-1, 0)

    def _absolute(self, number: int) -> tuple[int, int]:
        relative, position = self.entry(number)
        return self.base_offset + relative, position

    def truncate(self, offset: int) -> None:
        """Forget entries of batches that end at or after `offset`."""
        self._keep(self._lower_bound(0, offset - self.base_offset - 1))


class TimeIndex(_Index):
    """Offsets by timestamp, relative to the segment's base offset."""

    __slots__ = ("_last",)

    def __init__(self, files: OpenFiles, path: str, base_offset: int, *, exists: bool) -> None:
        super().__init__(TIME_ENTRY, files, path, base_offset, exists=exists)
        self._last: tuple[int, int] | None = None

    def is_sound(self) -> bool:
        """Whether the file can be one: a cheap look at its ends."""
        if not self._is_whole() or not self.count:
            return self._is_whole()
        timestamp, relative = self.entry(self.count - 1)
        return relative >= 0 and timestamp >= self.entry(0)[0]

    @property
    def last_entry(self) -> tuple[int, int]:
        """(timestamp, offset) of the newest entry; (-1, base offset) when there is none."""
        if self._last is None:
            timestamp, relative = self.entry(self.count - 1) if self.count else (-1, 0)
            self._last = timestamp, self.base_offset + relative
        return self._last

    def maybe_append(self, timestamp: int, last_offset: int) -> bool:
        """Add an entry unless an earlier one has this timestamp or a later one; whether it did."""
        if timestamp <= self.last_entry[0]:
            return False
        self._add(timestamp, last_offset - self.base_offset)
        self._last = timestamp, last_offset
        return True

    def lookup(self, timestamp: int) -> int:
        """An offset such that every batch that ends before it is older than `timestamp`."""
        found = self._lower_bound(0, timestamp)
        return self.base_offset + self.entry(found - 1)[1] if found else self.base_offset

    def truncate(self, offset: int) -> None:
        """Forget entries of batches that end at or after `offset`."""
        self._keep(self._lower_bound(1, offset - self.base_offset - 1))
        self._last = None

    def reset(self) -> None:
        super().reset()
        self._last = None
