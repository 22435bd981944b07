"""One segment: a file of consecutive batches with its two indexes.

Owns: appending with index entries where Kafka places them, finding a batch by offset or time, reading whole batches, cutting
a torn tail, rebuilding indexes. Invariant: an index entry stands at the first batch that begins more than
`index_interval_bytes` behind the last one that has one, so a rebuilt index equals the one that grew. An index is a hint: one
that does not agree with the log, when it is opened or when it is used, is built anew.
Leaves out: which segment is active, offsets to assign, producer state (`partition_log`). Source: ``LogSegment``.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence

from broker.log.file_names import DELETED, INDEX_SUFFIXES, LOG, OFFSET_INDEX, TIME_INDEX, TXN_INDEX, segment_path
from broker.log.index import RELATIVE_OFFSET_MAX, OffsetIndex, TimeIndex
from broker.log.open_files import LogFile, OpenFiles
from broker.log.scan import scan_batches, scan_headers
from broker.record.batch import (
    HEADER_SIZE,
    NO_TIMESTAMP,
    BatchHeader,
    Buffer,
    crc_is_right,
    read_header,
    whole_batches_end,
)
from broker.record.records import iter_records

NO_OFFSET = -1


class Segment:
    """Batches from `base_offset` on."""

    __slots__ = (
        "_directory",
        "_files",
        "_has_indexes",
        "_indexed_position",
        "base_offset",
        "created_ms",
        "first_timestamp",
        "index_interval_bytes",
        "indexes_durable",
        "log",
        "max_timestamp",
        "max_timestamp_offset",
        "offset_index",
        "time_index",
    )

    def __init__(
        self,
        files: OpenFiles,
        directory: str,
        base_offset: int,
        *,
        index_interval_bytes: int,
        created_ms: int,
        existing: Sequence[str] = (),
    ) -> None:
        """`existing`: the suffixes of those of its files that are there already."""
        self._files = files
        self._directory = directory
        self._has_indexes = OFFSET_INDEX in existing and TIME_INDEX in existing
        # Whether the index files were fsynced since they changed. Set by whoever fsyncs them.
        self.indexes_durable = False
        self.base_offset = base_offset
        self.index_interval_bytes = index_interval_bytes
        self.created_ms = created_ms
        self.log = LogFile(files, segment_path(directory, base_offset, LOG), exists=LOG in existing)
        path = segment_path(directory, base_offset, OFFSET_INDEX)
        self.offset_index = OffsetIndex(files, path, base_offset, exists=OFFSET_INDEX in existing)
        path = segment_path(directory, base_offset, TIME_INDEX)
        self.time_index = TimeIndex(files, path, base_offset, exists=TIME_INDEX in existing)
        self._indexed_position = 0
        self.max_timestamp, self.max_timestamp_offset = NO_TIMESTAMP, base_offset
        # The max timestamp of the first batch: rolling by time counts from there. None: not looked up, or no batch yet.
        self.first_timestamp: int | None = None

    @property
    def size(self) -> int:
        return self.log.size

    def create(self) -> None:
        """Make the files, so that even an empty segment is found after a restart."""
        for file in (self.log, self.offset_index.file, self.time_index.file):
            file.get()
            if file is not self.log:
                file.close()

    # Appending

    def append(self, headers: Sequence[BatchHeader], buffers: Sequence[Buffer]) -> int:
        """Append batches whose offsets are settled; where they begin. OSError leaves everything as it was."""
        start = position = self.log.append(buffers)
        for header in headers:
            self._note(header, position)
            position += header.size
        return start

    def _note(self, header: BatchHeader, position: int) -> None:
        """What the indexes learn of a batch that stands at `position`."""
        max_timestamp = header.max_timestamp
        if position == 0:
            self.first_timestamp = max_timestamp
        if max_timestamp > self.max_timestamp:
            self.max_timestamp, self.max_timestamp_offset = max_timestamp, header.last_offset
        if position - self._indexed_position > self.index_interval_bytes:
            self.offset_index.append(header.last_offset, position)
            self.time_index.maybe_append(self.max_timestamp, self.max_timestamp_offset)
            self._indexed_position = position
            self.indexes_durable = False

    def should_roll(
        self,
        first: BatchHeader,
        last_offset: int,
        size: int,
        now_ms: int,
        *,
        segment_bytes: int,
        segment_ms: int,
        index_bytes: int,
    ) -> bool:
        """Whether these bytes belong into a new segment: by size, age, a full index, or an offset out of reach."""
        if not self.log.size and size <= first.size:
            return False  # The next one would begin at the same offset.
        if self.log.size + size > segment_bytes:
            return True
        began = self.first_batch_timestamp()
        waited = first.max_timestamp - began if began >= 0 else now_ms - self.created_ms
        return (
            waited > segment_ms
            or last_offset - self.base_offset > RELATIVE_OFFSET_MAX
            or self.offset_index.size_bytes + 8 > index_bytes
            # The last place is for the entry at the roll.
            or self.time_index.size_bytes + 24 > index_bytes
        )

    def first_batch_timestamp(self) -> int:
        if self.first_timestamp is None and self.log.size >= HEADER_SIZE:
            self.first_timestamp = read_header(self.log.pread(HEADER_SIZE, 0)).max_timestamp
        return NO_TIMESTAMP if self.first_timestamp is None else self.first_timestamp

    def seal(self) -> None:
        """No more appends for now: the time index gets the largest timestamp, and everything pending is written."""
        if self.time_index.maybe_append(self.max_timestamp, self.max_timestamp_offset):
            self.indexes_durable = False
        self.flush_indexes()

    def flush_indexes(self) -> None:
        self.offset_index.flush()
        self.time_index.flush()

    def fsync_indexes(self) -> None:
        """Make the indexes durable, blocking."""
        self.flush_indexes()
        for index in (self.offset_index, self.time_index):
            index.file.get().fsync()
        self.indexes_durable = True

    # Reading

    def position_of(self, offset: int) -> tuple[int, BatchHeader] | None:
        """Position and header of the batch that holds `offset`, or of the first one after it; None when there is none."""
        for position, header in self._headers_from(offset):
            if header.last_offset >= offset:
                return position, header
        return None

    def _headers_from(self, offset: int) -> Iterator[tuple[int, BatchHeader]]:
        """(position, header) of the batches from one on that begins at `offset` or before it."""
        indexed, position = self.offset_index.entry_before(offset)
        headers = scan_headers(self.log, position, self.log.size)
        if indexed < 0:
            return headers
        first = next(headers, None)
        if first is None or first[1].last_offset != indexed:
            # The index lies. A full disk does not matter here: what cannot be written waits for the next flush.
            with contextlib.suppress(OSError):
                self.rebuild_indexes()
            return scan_headers(self.log, 0, self.log.size)
        return itertools.chain((first,), headers)

    def read_at(self, position: int, max_bytes: int, upper_offset: int | None, *, at_least_one: bool) -> tuple[memoryview, int]:
        """Whole batches from a position where one begins, below `upper_offset`; and where the last of them begins.

        At most `max_bytes`, but with `at_least_one` the first batch whatever its size.
        """
        data = self.log.pread(max_bytes, position)
        end, last = whole_batches_end(data, upper_offset)
        if not end and at_least_one:
            header = read_header(self.log.pread(HEADER_SIZE, position))
            if header.size > max_bytes and (upper_offset is None or header.base_offset < upper_offset):
                data = self.log.pread(header.size, position)
                end, last = len(data), 0
        view = memoryview(data)
        return (view if end == len(data) else view[:end]), last

    def find_timestamp(self, timestamp: int, start_offset: int) -> tuple[int, int, int] | None:
        """(timestamp, offset, leader epoch) of the first record from `start_offset` on that is not older than `timestamp`."""
        first = max(self.time_index.lookup(timestamp), start_offset)
        for position, header in self._headers_from(first):
            if header.max_timestamp < timestamp or header.last_offset < start_offset:
                continue
            for record in iter_records(self.log.pread(header.size, position), header):
                if record.timestamp >= timestamp and record.offset >= start_offset:
                    return record.timestamp, record.offset, header.partition_leader_epoch
        return None

    def largest_timestamp(self) -> int:
        """Of all records; of the file when they have none."""
        return self.max_timestamp if self.max_timestamp >= 0 else self._files.storage.modified_ms(self.log.path)

    # Opening and mending

    def load(self) -> tuple[int, int]:
        """Take over the files as they are: (offset after the last batch, the bytes behind it that are no batch).

        Only what lies behind the index is read.
        """
        self.load_sealed()
        end, next_offset = self._indexed_position, self.base_offset
        for position, header in scan_headers(self.log, end, self.log.size):
            if header.max_timestamp > self.max_timestamp:
                self.max_timestamp, self.max_timestamp_offset = header.max_timestamp, header.last_offset
            end, next_offset = position + header.size, header.next_offset
        return next_offset, self.log.size - end

    def load_sealed(self) -> None:
        """Take over the files of a segment that is followed by another: its last time entry says what there is to know."""
        self.max_timestamp, self.max_timestamp_offset = self.time_index.last_entry
        self._indexed_position = self.offset_index.last_entry[1]
        self.indexes_durable = True

    def indexes_are_sound(self) -> bool:
        """Whether the index files of a sealed segment can belong to its log.

        Looked at are their shape, their last entries, and whether something behind these should have one, too.
        """
        if not self._has_indexes:
            return not self.log.size
        if not (self.offset_index.is_sound(self.log.size) and self.time_index.is_sound()):
            return False
        last_offset, indexed_position = self.offset_index.last_entry
        timestamp, timestamp_offset = self.time_index.last_entry
        found = NO_OFFSET
        for position, header in scan_headers(self.log, indexed_position, self.log.size):
            if position == indexed_position:
                found = header.last_offset
            if position - indexed_position > self.index_interval_bytes or header.max_timestamp > timestamp:
                return False
        if last_offset not in (NO_OFFSET, found):
            return False
        return not self.time_index.count or self._is_time_of(timestamp, timestamp_offset)

    def _is_time_of(self, timestamp: int, last_offset: int) -> bool:
        for _, header in scan_headers(self.log, self.offset_index.entry_before(last_offset)[1], self.log.size):
            if header.last_offset >= last_offset:
                return header.last_offset == last_offset and header.max_timestamp == timestamp
        return False

    def rebuild_indexes(self) -> None:
        """Make both indexes anew from the headers of the batches; the log stays as it is."""
        self._reset_indexes()
        for position, header in scan_headers(self.log, 0, self.log.size):
            self._note(header, position)
        self.seal()

    def _reset_indexes(self) -> None:
        self.offset_index.reset()
        self.time_index.reset()
        self._forget_timestamps()
        self._indexed_position = 0
        self.indexes_durable = False

    def recover(self, on_batch: Callable[[BatchHeader], None] | None = None) -> tuple[int, int]:
        """Check every batch, cut the torn tail, rebuild the indexes: (offset after the last batch, bytes cut off)."""
        self._reset_indexes()
        end, next_offset = 0, self.base_offset
        for position, header, batch in scan_batches(self.log, 0, self.log.size):
            in_range = next_offset <= header.base_offset and header.last_offset - self.base_offset <= RELATIVE_OFFSET_MAX
            if not in_range or header.last_offset_delta < 0 or not crc_is_right(batch, header):
                break
            self._note(header, position)
            if on_batch is not None:
                on_batch(header)
            end, next_offset = position + header.size, header.next_offset
        cut = self.log.size - end
        if cut:
            self.log.truncate(end)
            # Else the tail could be back after the next power cut, when a recovery point says that nothing here needs a look.
            self.log.get().fsync()
        self.seal()
        return next_offset, cut

    def truncate_to(self, offset: int, now_ms: int) -> int:
        """Cut off the batch that holds `offset` and all after it; the offset after the last batch that stays."""
        found = self.position_of(offset)
        if found is not None:
            self.log.truncate(found[0])
        self.offset_index.truncate(offset)
        self.time_index.truncate(offset)
        if not self.log.size:
            self.created_ms = now_ms
            self._forget_timestamps()
        next_offset, _ = self.load()
        self.indexes_durable = False
        return next_offset

    def _forget_timestamps(self) -> None:
        self.max_timestamp, self.max_timestamp_offset = NO_TIMESTAMP, self.base_offset
        self.first_timestamp = None

    # The end

    def close(self) -> None:
        self.log.close()
        self.offset_index.file.close()
        self.time_index.file.close()

    def mark_deleted(self) -> list[str]:
        """Rename the files out of the log; their new paths."""
        moved = []
        for file in (self.log, self.offset_index.file, self.time_index.file):
            if self._files.storage.exists(file.path):
                file.move(file.path + DELETED)
                moved.append(file.path)
        aborted = segment_path(self._directory, self.base_offset, TXN_INDEX)
        if self._files.storage.exists(aborted):
            self._files.storage.rename(aborted, aborted + DELETED)
            moved.append(aborted + DELETED)
        return moved

    def remove(self) -> None:
        """Delete the files at once."""
        self.close()
        for suffix in (LOG, *INDEX_SUFFIXES):
            path = segment_path(self._directory, self.base_offset, suffix)
            if self._files.storage.exists(path):
                self._files.storage.remove(path)
