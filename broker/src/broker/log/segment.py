"""One segment: a file of consecutive batches with its two indexes.

Owns: appending with index entries where Kafka places them, finding a batch by offset or time, reading whole batches, cutting
a torn tail, rebuilding indexes. Invariant: an index entry stands at the first batch that begins more than
`index_interval_bytes` behind the last one that has one, so a rebuilt index equals the one that grew.
Leaves out: which segment is active, offsets to assign, producer state (`partition_log`). Source: ``LogSegment``.
"""

from collections.abc import Callable, Sequence

from broker.log.file_names import DELETED, LOG, OFFSET_INDEX, SEGMENT_SUFFIXES, TIME_INDEX, segment_path
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

EMPTY = memoryview(b"")


class Segment:
    """Batches from `base_offset` on."""

    __slots__ = (
        "_files",
        "_indexed_position",
        "base_offset",
        "created_ms",
        "first_timestamp",
        "index_interval_bytes",
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
        if self.log.size + size > segment_bytes:
            return True
        if self.log.size:
            began = self.first_batch_timestamp()
            waited = first.max_timestamp - began if began >= 0 else now_ms - self.created_ms
            if waited > segment_ms:
                return True
        return (
            last_offset - self.base_offset > RELATIVE_OFFSET_MAX
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
        self.time_index.maybe_append(self.max_timestamp, self.max_timestamp_offset)
        self.flush_indexes()

    def flush_indexes(self) -> None:
        self.offset_index.flush()
        self.time_index.flush()

    # Reading

    def position_of(self, offset: int) -> tuple[int, BatchHeader] | None:
        """Position and header of the batch that holds `offset`, or of the first one after it; None when there is none."""
        for position, header in scan_headers(self.log, self.offset_index.position_before(offset), self.log.size):
            if header.last_offset >= offset:
                return position, header
        return None

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
        for position, header in scan_headers(self.log, self.offset_index.position_before(first), self.log.size):
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

    def load(self) -> int:
        """Take over the files as they are; the offset after the last batch. Only what lies behind the index is read."""
        self.max_timestamp, self.max_timestamp_offset = self.time_index.last_entry
        position = self._indexed_position = self.offset_index.last_position
        next_offset = self.base_offset
        for _, header in scan_headers(self.log, position, self.log.size):
            if header.max_timestamp > self.max_timestamp:
                self.max_timestamp, self.max_timestamp_offset = header.max_timestamp, header.last_offset
            next_offset = header.next_offset
        return next_offset

    def load_sealed(self) -> None:
        """Take over the files of a segment that is followed by another: its last time entry says what there is to know."""
        self.max_timestamp, self.max_timestamp_offset = self.time_index.last_entry
        self._indexed_position = self.offset_index.last_position

    def indexes_are_sound(self) -> bool:
        return self.offset_index.is_sound(self.log.size) and self.time_index.is_sound()

    def recover(self, on_batch: Callable[[BatchHeader], None] | None = None) -> tuple[int, int]:
        """Check every batch, cut the torn tail, rebuild the indexes: (offset after the last batch, bytes cut off)."""
        self.offset_index.reset()
        self.time_index.reset()
        self._forget_timestamps()
        self._indexed_position = 0
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
        return self.load()

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
        return moved

    def remove(self, directory: str) -> None:
        """Delete the files at once."""
        self.close()
        for suffix in SEGMENT_SUFFIXES:
            path = segment_path(directory, self.base_offset, suffix)
            if self._files.storage.exists(path):
                self._files.storage.remove(path)
