"""What of one log is durable, and making more of it so: fsyncs off the loop, the recovery point, the checkpoint of the epochs.

Invariants: one fsync is in flight, the next covers all who came meanwhile; the recovery point is passed only by what is durable
with its indexes and epochs, so a start after a crash trusts what lies below it unseen; a truncation takes back what it cuts off.
Source: ``UnifiedLog.flush``, ``LogManager``.
"""

import posixpath
from bisect import bisect_right
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

from broker.log.failure import LogDirFailure
from broker.log.file_names import LEADER_EPOCHS, PARTITION_METADATA, SNAPSHOT, segment_path
from broker.log.segment import Segment
from broker.storage.port import File, Storage

if TYPE_CHECKING:
    from broker.log.partition_log import PartitionLog

# How many segments one round of fsyncs covers, so that their files are all open at the same time.
SEGMENTS_PER_FLUSH = 64
OnDurable = Callable[[OSError | None], None]


class Durability:
    """See the module. `on_failure` hears of an fsync that failed, `on_cut` of a recovery point that went back."""

    def __init__(
        self,
        log: "PartitionLog",
        storage: Storage,
        recovery_point: int,
        on_failure: Callable[[LogDirFailure], None],
        on_cut: Callable[[], None],
        *,
        clean: bool,
    ) -> None:
        self._log = log
        self._storage = storage
        self._on_failure = on_failure
        self._on_cut = on_cut
        # What of the log survives the death of the machine.
        self.persisted_end_offset = log.log_end_offset if clean else min(recovery_point, log.log_end_offset)
        # Kept in recovery-point-offset-checkpoint.
        self.recovery_point = self.persisted_end_offset
        self._flushing = False
        # What the fsync in flight will have made durable; a truncation meanwhile lowers it.
        self._flush_target = 0
        # Who waits for the fsync after the one in flight; the callers have one call under way each.
        self._waiting: list[OnDurable] = []
        # Sealed segments whose index files were not fsynced yet, oldest first.
        self._loose_indexes = [segment for segment in log.segments[:-1] if not segment.indexes_durable]
        # Whether the checkpoint of the epochs on disk says the same as `epochs`, and how often it was written.
        self._epochs_durable = clean and not log.epochs.dirty
        self._epochs_written = 0
        # Whether the names of the directory and its small files are durable. A clean stop leaves out a log that is empty.
        self._names_durable = clean and log.log_end_offset > 0
        # The oldest segment, by its base offset, that may be longer on a disk that loses its power: cut, and not fsynced since.
        self._shortened = None if clean else self._cut_in_an_earlier_life()
        # How often something was cut off since the start, and how many of these cuts are durable.
        self._cuts = self._durable_cuts = 0
        self._closed = False

    def _cut_in_an_earlier_life(self) -> int | None:
        """A segment that ends at the recovery point may have been cut there, and nobody knows of an fsync."""
        ends = [*(segment.base_offset for segment in self._log.segments), self._log.log_end_offset]
        return next((base for base, end in pairwise(ends) if end == self.recovery_point), None)

    # What the log does.

    def sealed(self, segment: Segment) -> None:
        """A segment is closed; its indexes are complete."""
        self._loose_indexes.append(segment)

    def dropped(self, segment: Segment) -> None:
        """A segment is gone, or is the active one again."""
        if segment in self._loose_indexes:
            self._loose_indexes.remove(segment)

    def cut_back(self, end_offset: int) -> None:
        """The log ends earlier now. What a start would trust must be taken back before anything else stands there."""
        self._cuts += 1
        base = self._log.active.base_offset
        self._shortened = base if self._shortened is None else min(base, self._shortened)
        self.persisted_end_offset = min(self.persisted_end_offset, end_offset)
        self._flush_target = min(self._flush_target, end_offset)
        if end_offset < self.recovery_point:
            self.recovery_point = end_offset
            self._on_cut()

    def epochs_changed(self) -> None:
        """The checkpoint lacks an epoch; its first records, or the next flush, write it."""
        self._epochs_durable = False

    def save_epochs(self) -> bool:
        """Replace the checkpoint, to be fsynced by the next flush; False when that must try again."""
        self._epochs_durable = False
        self._epochs_written += 1
        try:
            path = f"{self._log.directory}/{LEADER_EPOCHS}"
            self._storage.write_atomically(path, self._log.epochs.render(), durable=False)
        except OSError as error:
            self._log.fail(error)
            return False
        self._log.epochs.dirty = False
        return True

    # Flushing.

    @property
    def needs_flush(self) -> bool:
        """Whether something of the log would not survive the death of the machine, or is not noted as such."""
        return self.recovery_point < self._log.log_end_offset or self._durable_cuts < self._cuts

    def flush_soon(self, done: OnDurable) -> None:
        """fsync on the worker what was appended before this call."""
        self._waiting.append(done)
        if not self._flushing:
            self._flush()

    def _flush(self) -> None:
        self._flushing = True
        waiting, self._waiting = self._waiting, []
        segments = self._unflushed()
        rest = segments[SEGMENTS_PER_FLUSH:]
        self._flush_target = rest[0].base_offset if rest else self._log.log_end_offset
        epochs_written, cuts = self._epochs_written, self._cuts
        indexed: list[Segment] = []

        def finished(error: OSError | None) -> None:
            self._flushing = False
            if error is not None:
                self._on_failure(LogDirFailure(self._log.directory, error))
            elif not self._closed:
                self._durable_cuts = cuts
                if cuts == self._cuts:
                    self._shortened = None
                self._note_durable(indexed, epochs_written)
                if rest:
                    self._waiting = [*waiting, *self._waiting]
                    self._flush()
                    return
            answered = waiting
            if self._closed:
                answered, self._waiting = [*waiting, *self._waiting], []
            for done in answered:
                done(error)
            if self._waiting and error is None and not self._flushing:
                self._flush()

        try:
            files, small = [segment.log.get() for segment in segments[:SEGMENTS_PER_FLUSH]], self._small_files()
            epochs_written = self._epochs_written
            indexed += self._written_indexes()
            files += [index.file.get() for segment in indexed for index in (segment.offset_index, segment.time_index)]
            directory = self._log.directory
            directories = [directory] if self._names_durable else [directory, posixpath.dirname(directory)]
            self._storage.fsync_soon([*files, *small], finished, directories)
        except OSError as error:
            finished(error)
            return
        for file in small:
            file.close()

    def _unflushed(self) -> list[Segment]:
        """Segments with bytes that were not fsynced, or that are longer on the disk than here."""
        segments = self._log.segments
        start = self.persisted_end_offset if self._shortened is None else min(self.persisted_end_offset, self._shortened)
        first = max(bisect_right(segments, start, key=lambda segment: segment.base_offset) - 1, 0)
        return segments[first:]

    def _small_files(self) -> list[File]:
        """The checkpoint of the epochs and the topic id, as far as they have to be fsynced."""
        names = []
        if not self._epochs_durable and (not self._log.epochs.dirty or self.save_epochs()):
            names.append(LEADER_EPOCHS)
        if not self._names_durable:
            names.append(PARTITION_METADATA)
        paths = [f"{self._log.directory}/{name}" for name in names]
        return [self._storage.open(path) for path in paths if self._storage.exists(path)]

    def _written_indexes(self) -> list[Segment]:
        """Sealed segments whose indexes were not fsynced and are written completely: all, unless the disk is full."""
        found = []
        for segment in self._loose_indexes[:SEGMENTS_PER_FLUSH]:
            try:
                segment.flush_indexes()
            except OSError as error:
                self._log.fail(error)
                break
            found.append(segment)
        return found

    def _note_durable(self, indexed: list[Segment], epochs_written: int) -> None:
        """Everything up to the target, some indexes and a version of the epochs are durable."""
        for segment in indexed:
            segment.indexes_durable = True
        self._loose_indexes = [segment for segment in self._loose_indexes if not segment.indexes_durable]
        if epochs_written == self._epochs_written and not self._log.epochs.dirty:
            self._epochs_durable = True
        self._names_durable = True
        self.persisted_end_offset = max(self.persisted_end_offset, self._flush_target)
        if self._epochs_durable:
            ends = [self.persisted_end_offset, *(segment.base_offset for segment in self._loose_indexes[:1])]
            self.recovery_point = max(self.recovery_point, min(ends))

    # Closing.

    def close(self) -> None:
        """Whoever waits for an fsync is answered by the one in flight; nothing is noted any more."""
        self._closed = True

    def make_durable(self) -> None:
        """fsync everything, blocking, for a clean stop. OSError says what could not be."""
        log = self._log
        if not log.log_end_offset and not self._cuts:
            return  # An empty log is made again.
        log.active.seal()
        # A log that got nothing since it was durable has its snapshot, and no records in an epoch that the file lacks.
        changed = self._cuts > 0 or self.needs_flush
        if changed or not self._storage.exists(segment_path(log.directory, log.log_end_offset, SNAPSHOT)):
            log.write_snapshot(durable=len(log.producers) > 0)
        if self._shortened is not None or self.persisted_end_offset < log.log_end_offset:
            for segment in self._unflushed():
                segment.log.get().fsync()
        for segment in [*self._loose_indexes, log.active]:
            if not segment.indexes_durable:
                segment.fsync_indexes()
        if not self._names_durable:
            self._fsync_topic_id()
        if changed:
            self._storage.write_atomically(f"{log.directory}/{LEADER_EPOCHS}", log.epochs.render())
        elif log.epochs.dirty:
            self.save_epochs()  # Of epochs without records: whether they survive does not matter.
        self.persisted_end_offset = self.recovery_point = log.log_end_offset

    def _fsync_topic_id(self) -> None:
        path = f"{self._log.directory}/{PARTITION_METADATA}"
        if self._storage.exists(path):
            file = self._storage.open(path)
            try:
                file.fsync()
            finally:
                file.close()
