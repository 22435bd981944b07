"""Snapshots of the metadata in Kafka's checkpoint format: `<offset, 20 digits>-<epoch, 10 digits>.checkpoint`.

A file holds batches with offsets of its own: a control record SnapshotHeader, the records of the image, SnapshotFooter. Its name
says which offset the image ends before, and the epoch of its last record. It is written as `…-<number>.checkpoint.part`, fsynced,
and renamed, so one that has its name is whole; whoever writes the same one again has a file of its own.
Source: KIP-630, ``RecordsSnapshotWriter``, ``FileRawSnapshotWriter``.
"""

from collections.abc import Callable, Iterator, Sequence

from broker.log.properties import DirectoryError
from broker.protocol import codec
from broker.protocol.messages.raft_records import SnapshotFooterRecord, SnapshotHeaderRecord
from broker.raft.messages import EpochEnd
from broker.record.batch import CorruptBatch, check_crc, peek_size, read_header
from broker.record.builder import ControlType, build_batch, build_control_batch
from broker.record.records import Record, iter_records
from broker.storage.port import Buffer, File, Storage

SUFFIX = ".checkpoint"
PART = ".part"
OFFSET_DIGITS, EPOCH_DIGITS = 20, 10
READ_BYTES = 1 << 20


class SnapshotStore:
    """The snapshots in the directory of the metadata log. `ids`: the oldest first."""

    def __init__(self, storage: Storage, directory: str) -> None:
        self._storage = storage
        self._directory = directory
        self.ids: list[EpochEnd] = []
        self._begun = 0
        for name in storage.list_directory(directory):
            if name.endswith(SUFFIX + PART):
                storage.remove(f"{directory}/{name}")
            elif (found := _parse(name)) is not None:
                self.ids.append(found)
        self.ids.sort(key=lambda one: (one.end_offset, one.epoch))

    @property
    def latest(self) -> EpochEnd | None:
        return self.ids[-1] if self.ids else None

    def path(self, snapshot: EpochEnd) -> str:
        name = f"{snapshot.end_offset:0{OFFSET_DIGITS}d}-{snapshot.epoch:0{EPOCH_DIGITS}d}{SUFFIX}"
        return f"{self._directory}/{name}"

    def size(self, snapshot: EpochEnd) -> int:
        return self._storage.size(self.path(snapshot))

    def made_ms(self, snapshot: EpochEnd) -> int:
        """When it was written, wall time."""
        return self._storage.modified_ms(self.path(snapshot))

    # Writing.

    def begin(self, snapshot: EpochEnd) -> File:
        """The empty file to write into."""
        self._begun += 1
        return self._storage.open(f"{self.path(snapshot).removesuffix(SUFFIX)}-{self._begun}{SUFFIX}{PART}")

    def finish(self, snapshot: EpochEnd, file: File, done: Callable[[OSError | None], None]) -> None:
        """Make a written file the snapshot, durably."""
        path = self.path(snapshot)

        def renamed(error: OSError | None) -> None:
            if error is None and snapshot not in self.ids:
                self.ids.append(snapshot)
                self.ids.sort(key=lambda one: (one.end_offset, one.epoch))
            done(error)

        def synced(error: OSError | None) -> None:
            file.close()
            if error is not None:
                done(error)
                return
            self._storage.rename(file.path, path)
            self._storage.fsync_soon([], renamed, [self._directory])

        self._storage.fsync_soon([file], synced)

    def abandon(self, snapshot: EpochEnd, file: File) -> None:
        """It will not be finished."""
        file.close()
        if self._storage.exists(file.path):
            self._storage.remove(file.path)

    def remove(self, snapshot: EpochEnd) -> None:
        self.ids.remove(snapshot)
        self._storage.remove(self.path(snapshot))

    # Reading.

    def read(self, snapshot: EpochEnd, position: int, max_bytes: int) -> bytes:
        """A piece of the file, as FetchSnapshot gives it."""
        file = self._storage.open(self.path(snapshot))
        try:
            return file.pread(max_bytes, position)
        finally:
            file.close()

    def values(self, snapshot: EpochEnd) -> Iterator[list[bytes]]:
        """The values of the records, a list for each batch. DirectoryError names a damaged file."""
        file = self._storage.open(self.path(snapshot))
        try:
            for batch in self._batches(file):
                header = read_header(batch)
                check_crc(batch, header)
                if not header.is_control:
                    yield [record.value or b"" for record in iter_records(batch, header)]
        except CorruptBatch as error:
            raise DirectoryError(
                f"the snapshot {file.path} is damaged ({error}); remove it when the other controllers have it, or restore it"
            ) from error
        finally:
            file.close()

    @staticmethod
    def _batches(file: File) -> Iterator[memoryview]:
        position, window = 0, memoryview(b"")
        while position + len(window) < file.size or window:
            size = peek_size(window)
            if size is None or size > len(window):
                window = memoryview(file.pread(max(READ_BYTES, size or 0), position))
                size = peek_size(window)
                if size is None or not 0 < size <= len(window):
                    raise CorruptBatch(f"no whole batch at position {position}")
            yield window[:size]
            position += size
            window = window[size:]


class SnapshotWriter:
    """The content of a snapshot, a batch at a time. Times are wall milliseconds."""

    def __init__(self, file: File, snapshot: EpochEnd, last_contained_ms: int, now_ms: int) -> None:
        self._file = file
        self._epoch = snapshot.epoch
        self._now_ms = now_ms
        self._next_offset = 0
        self._control(ControlType.SNAPSHOT_HEADER, SnapshotHeaderRecord(last_contained_log_timestamp=last_contained_ms))

    def append(self, values: Sequence[bytes]) -> None:
        """Some records, as one batch."""
        records = [Record(0, self._now_ms, None, value) for value in values]
        self._write(build_batch(records, base_offset=self._next_offset, leader_epoch=self._epoch), len(values))

    def finish(self) -> None:
        self._control(ControlType.SNAPSHOT_FOOTER, SnapshotFooterRecord())

    def _control(self, kind: ControlType, message: SnapshotHeaderRecord | SnapshotFooterRecord) -> None:
        value = b"".join(codec.encode(message, 0))
        batch = build_control_batch(kind, value, self._now_ms, leader_epoch=self._epoch, base_offset=self._next_offset)
        self._write(batch, 1)

    def _write(self, batch: Buffer, count: int) -> None:
        self._file.append([batch])
        self._next_offset += count


def _parse(name: str) -> EpochEnd | None:
    stem = name.removesuffix(SUFFIX)
    offset, _, epoch = stem.partition("-")
    right = name.endswith(SUFFIX) and len(offset) == OFFSET_DIGITS and len(epoch) == EPOCH_DIGITS
    return EpochEnd(int(epoch), int(offset)) if right and offset.isdigit() and epoch.isdigit() else None
