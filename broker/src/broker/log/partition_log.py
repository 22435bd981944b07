"""The log of one partition: gives offsets, checks producers, rolls segments, reads, retains.

Invariants: segments are consecutive, the last one is active; `log_start_offset <= log_end_offset`; an append either happened
whole or not at all. An append is done when write(2) returned; only `flush_soon` and a clean close make it durable. Below
`recovery_point` the log, its indexes and its leader epochs are durable, and a start after a crash trusts them unseen.
Leaves out: who may append and what is visible (`replication`), which logs exist (`log_manager`).
Source: ``UnifiedLog``, ``LocalLog``. Not done: appending as a follower, truncation (with the second broker).
"""

import posixpath
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from broker.log import producer_snapshot
from broker.log.failure import DISK_FULL, LogDirFailure
from broker.log.file_names import LEADER_EPOCHS, PARTITION_METADATA, SNAPSHOT, segment_path
from broker.log.open_files import OpenFiles
from broker.log.recovery import LogLoader
from broker.log.segment import Segment
from broker.protocol.errors import ErrorCode, KafkaError
from broker.record.batch import BatchHeader, Buffer, TimestampType, patch, read_header, stamp
from broker.record.validation import ValidationRules, only_batch, validate_client_batch
from broker.storage.port import File

LOG_APPEND_TIME = "LogAppendTime"
# How many ends of reads are remembered, so that a consumer that goes on where it stopped needs no index.
READ_ENDS_MAX = 16
# How many segments one round of fsyncs covers, so that their files are all open at the same time.
SEGMENTS_PER_FLUSH = 64


class LogConfig(Protocol):
    """The topic settings a log obeys (`config.TopicConfig`)."""

    segment_bytes: int
    segment_ms: int
    segment_index_bytes: int
    index_interval_bytes: int
    max_message_bytes: int
    message_timestamp_type: str
    message_timestamp_before_max_ms: int
    message_timestamp_after_max_ms: int
    retention_ms: int
    retention_bytes: int
    file_delete_delay_ms: int
    cleanup_policy: str


@dataclass(slots=True, frozen=True)
class AppendInfo:
    """Where a batch went. A duplicate is answered with the offsets it got the first time."""

    first_offset: int
    last_offset: int
    log_append_time_ms: int
    duplicate: bool = False


class TimestampOffset(NamedTuple):
    """A record found by its time."""

    timestamp: int
    offset: int
    leader_epoch: int


class PartitionLog:
    """See the module. `on_failure` hears once that the directory can no longer be trusted."""

    def __init__(
        self,
        files: OpenFiles,
        directory: str,
        config: LogConfig,
        *,
        recovery_point: int,
        start_offset: int,
        clean: bool,
        now_ms: int,
        on_failure: Callable[[LogDirFailure], None],
    ) -> None:
        self._files = files
        self._storage = files.storage
        self.directory = directory
        self._on_failure = on_failure
        self.configure(config)
        loaded = LogLoader(
            files,
            directory,
            index_interval_bytes=config.index_interval_bytes,
            recovery_point=recovery_point,
            clean=clean,
            compacted=self._rules.keys_required,
            now_ms=now_ms,
        ).load()
        self.segments, self.producers, self.epochs = loaded.segments, loaded.producers, loaded.epochs
        self.cut_bytes = loaded.cut_bytes
        self.log_end_offset = max(loaded.end_offset, self.segments[-1].base_offset)
        self.log_start_offset = min(max(start_offset, self.segments[0].base_offset), self.log_end_offset)
        # What of the log survives the death of the machine.
        self.persisted_end_offset = self.log_end_offset if clean else min(recovery_point, self.log_end_offset)
        # Kept in recovery-point-offset-checkpoint.
        self.recovery_point = self.persisted_end_offset
        self._flushing = False
        # Who waits for the fsync after the one in flight; the callers have one call under way each.
        self._flush_waiting: list[Callable[[OSError | None], None]] = []
        # Sealed segments whose index files were not fsynced yet, oldest first.
        self._loose_indexes = [segment for segment in self.segments[:-1] if not segment.indexes_durable]
        # Whether the checkpoint of the epochs on disk says the same as `epochs`, and how often it was written.
        self._epochs_durable = clean and not self.epochs.dirty
        self._epochs_written = 0
        # Whether the names of the directory and its small files are durable.
        self._names_durable = clean
        self._closed = False
        # Where reads ended: offset -> (segment, position).
        self._read_ends: dict[int, tuple[Segment, int]] = {}

    def configure(self, config: LogConfig) -> None:
        """Obey other settings from now on."""
        self.config = config
        self._rules = ValidationRules(
            max_message_bytes=config.max_message_bytes,
            timestamp_type=TimestampType.LOG_APPEND_TIME
            if config.message_timestamp_type == LOG_APPEND_TIME
            else TimestampType.CREATE_TIME,
            timestamp_before_max_ms=config.message_timestamp_before_max_ms,
            timestamp_after_max_ms=config.message_timestamp_after_max_ms,
            keys_required="compact" in config.cleanup_policy.split(","),
        )

    @property
    def active(self) -> Segment:
        return self.segments[-1]

    @property
    def size_bytes(self) -> int:
        return sum(segment.size for segment in self.segments)

    # Appending.

    def append_as_leader(self, buffer: Buffer, leader_epoch: int, now_ms: int) -> AppendInfo:
        """Check, give offsets to and write the one batch of a produce request. KafkaError when it is refused.

        `now_ms` is wall time.
        """
        header, batch = only_batch(buffer)
        validate_client_batch(batch, header, self._rules, now_ms)
        if header.producer_id >= 0:
            known = self.producers.check(header)
            if known is not None:
                return AppendInfo(known.first_offset, known.last_offset, known.timestamp, duplicate=True)
        settled = header._replace(base_offset=self.log_end_offset, partition_leader_epoch=leader_epoch)
        if self._rules.timestamp_type is TimestampType.LOG_APPEND_TIME:
            settled, buffers = stamp(batch, settled, timestamp_type=TimestampType.LOG_APPEND_TIME, max_timestamp=now_ms)
            self._write(settled, buffers, now_ms)
            return AppendInfo(settled.base_offset, settled.last_offset, now_ms)
        self._write(settled, patch(batch, settled.base_offset, leader_epoch), now_ms)
        return AppendInfo(settled.base_offset, settled.last_offset, -1)

    def append_own(self, batch: Buffer, leader_epoch: int, now_ms: int) -> AppendInfo:
        """Write a batch this node made itself: control batches and the records of internal topics."""
        settled = read_header(batch)._replace(base_offset=self.log_end_offset, partition_leader_epoch=leader_epoch)
        self._write(settled, patch(batch, settled.base_offset, leader_epoch), now_ms)
        return AppendInfo(settled.base_offset, settled.last_offset, -1)

    def _write(self, header: BatchHeader, buffers: list[Buffer], now_ms: int) -> None:
        """The only place that appends. A full disk leaves everything as it was."""
        config = self.config
        size = header.size
        if size > config.segment_bytes:
            raise KafkaError(
                ErrorCode.RECORD_LIST_TOO_LARGE, f"the batch has {size} bytes, more than segment.bytes={config.segment_bytes}"
            )
        try:
            if self.active.should_roll(
                header,
                header.last_offset,
                size,
                now_ms,
                segment_bytes=config.segment_bytes,
                segment_ms=config.segment_ms,
                index_bytes=config.segment_index_bytes,
            ):
                self.roll(now_ms)
            self.active.append((header,), buffers)
        except OSError as error:
            raise self._refusal(error) from error
        self.log_end_offset = header.next_offset
        if header.producer_id >= 0:
            self.producers.update(header)
        self.assign_epoch(header.partition_leader_epoch, header.base_offset)

    def _refusal(self, error: OSError) -> KafkaError:
        """What the writer is told; anything but a full disk is the end of the directory."""
        self.fail(error)
        return KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self.directory}: {error.strerror or error}")

    def fail(self, error: OSError) -> None:
        """Tell the node that the directory has failed, unless the disk is just full."""
        if error.errno not in DISK_FULL:
            self._on_failure(LogDirFailure(self.directory, error))

    def roll(self, now_ms: int) -> None:
        """Close the active segment and begin the next at the log end offset, with a snapshot of the producers.

        OSError leaves everything as it was.
        """
        self._write_snapshot()
        self.active.seal()
        new = Segment(
            self._files,
            self.directory,
            self.log_end_offset,
            index_interval_bytes=self.config.index_interval_bytes,
            created_ms=now_ms,
        )
        try:
            new.create()
        except OSError:
            new.remove()
            raise
        self._loose_indexes.append(self.active)
        self.segments.append(new)
        self.flush_soon(lambda error: None)

    def _write_snapshot(self, *, durable: bool = False) -> None:
        path = segment_path(self.directory, self.log_end_offset, SNAPSHOT)
        self._storage.write_atomically(path, producer_snapshot.encode(self.producers), durable=durable)

    def assign_epoch(self, epoch: int, start_offset: int) -> None:
        """Note that a leader epoch begins at an offset, if that is news."""
        if self.epochs.assign(epoch, start_offset):
            self._save_epochs()

    def _save_epochs(self) -> bool:
        """Replace the checkpoint, to be fsynced by the next flush; False when that must try again."""
        self._epochs_durable = False
        self._epochs_written += 1
        try:
            self._storage.write_atomically(f"{self.directory}/{LEADER_EPOCHS}", self.epochs.render(), durable=False)
        except OSError as error:
            self.fail(error)
            return False
        self.epochs.dirty = False
        return True

    # Reading.

    def read(self, offset: int, max_bytes: int, upper_offset: int, *, at_least_one: bool = True) -> list[Buffer]:
        """Whole batches from the one that holds `offset`, below `upper_offset`: at most `max_bytes`, but `at_least_one`."""
        if offset >= self.log_end_offset:
            return []
        segment, position = self._read_ends.get(offset) or (None, 0)
        if segment is None or (position >= segment.size and segment is not self.active):
            found = self._find(offset)
            if found is None:
                return []
            segment, position = found
        data, last = segment.read_at(position, max_bytes, upper_offset, at_least_one=at_least_one)
        if not data:
            return []
        self._remember_end(read_header(data, last).next_offset, segment, position + len(data))
        return [data]

    def _find(self, offset: int) -> tuple[Segment, int] | None:
        number = max(bisect_right(self.segments, offset, key=lambda segment: segment.base_offset) - 1, 0)
        while number < len(self.segments):
            found = self.segments[number].position_of(offset)
            if found is not None:
                return self.segments[number], found[0]
            # Offsets may be missing at a segment's end; the next one goes on.
            number += 1
        return None

    def _remember_end(self, offset: int, segment: Segment, position: int) -> None:
        self._read_ends[offset] = segment, position
        if len(self._read_ends) > READ_ENDS_MAX:
            del self._read_ends[next(iter(self._read_ends))]

    def offset_for_timestamp(self, timestamp: int, upper_offset: int) -> TimestampOffset | None:
        """The first record that is not older than `timestamp`; None when there is none below `upper_offset`."""
        for segment in self.segments:
            if segment.largest_timestamp() < timestamp:
                continue
            found = segment.find_timestamp(timestamp, self.log_start_offset)
            if found is not None:
                return TimestampOffset(*found) if found[1] < upper_offset else None
        return None

    def max_timestamp_offset(self) -> TimestampOffset | None:
        """The first record with the largest timestamp."""
        best = max(self.segments, key=lambda segment: (segment.max_timestamp, -segment.base_offset))
        if best.max_timestamp < 0:
            return None
        found = best.find_timestamp(best.max_timestamp, self.log_start_offset)
        return TimestampOffset(*found) if found is not None else None

    def end_offset_for_epoch(self, epoch: int) -> tuple[int, int]:
        """The largest known epoch not above `epoch`, and where it ends."""
        return self.epochs.end_offset(epoch, self.log_end_offset)

    # Retention.

    def apply_retention(self, now_ms: int, high_watermark: int, call_later: Callable[[int, Callable[[], None]], object]) -> int:
        """Drop whole old segments by time and size, only below the high watermark; how many went. `now_ms` is wall time.

        The files are renamed at once and removed after file.delete.delay.ms.
        """
        if "delete" not in self.config.cleanup_policy.split(","):
            return 0
        dropped = 0
        try:
            while self._first_is_due(now_ms, high_watermark):
                if len(self.segments) == 1:
                    self.roll(now_ms)
                self._drop(self.segments[0], call_later)
                del self.segments[0]
                dropped += 1
        except OSError as error:
            self.fail(error)
        if dropped:
            self._read_ends.clear()
            self.log_start_offset = max(self.log_start_offset, self.segments[0].base_offset)
            self.epochs.truncate_from_start(self.log_start_offset)
            self._save_epochs()
        return dropped

    def _first_is_due(self, now_ms: int, high_watermark: int) -> bool:
        first = self.segments[0]
        end = self.segments[1].base_offset if len(self.segments) > 1 else self.log_end_offset
        if end > high_watermark or not first.size:
            return False
        config = self.config
        too_old = config.retention_ms >= 0 and now_ms - first.largest_timestamp() > config.retention_ms
        return too_old or 0 <= config.retention_bytes <= self.size_bytes - first.size

    def _drop(self, segment: Segment, call_later: Callable[[int, Callable[[], None]], object]) -> None:
        if segment in self._loose_indexes:
            self._loose_indexes.remove(segment)
        segment.close()
        paths = segment.mark_deleted()
        snapshot = segment_path(self.directory, segment.base_offset, SNAPSHOT)
        if self._storage.exists(snapshot):
            self._storage.remove(snapshot)

        def remove() -> None:
            for path in paths:
                if self._storage.exists(path):
                    self._storage.remove(path)

        call_later(self.config.file_delete_delay_ms, remove)

    # Durability.

    @property
    def needs_flush(self) -> bool:
        """Whether something of this log would not survive the death of the machine, or is not noted as such."""
        return self.recovery_point < self.log_end_offset

    def flush_soon(self, done: Callable[[OSError | None], None]) -> None:
        """fsync on the worker what was appended before this call. One is in flight; the next covers all who came meanwhile."""
        self._flush_waiting.append(done)
        if not self._flushing:
            self._flush()

    def _flush(self) -> None:
        self._flushing = True
        waiting, self._flush_waiting = self._flush_waiting, []
        segments = self._unflushed()
        rest = segments[SEGMENTS_PER_FLUSH:]
        target = rest[0].base_offset if rest else self.log_end_offset
        epochs_written = self._epochs_written
        indexed: list[Segment] = []

        def finished(error: OSError | None) -> None:
            self._flushing = False
            if error is not None:
                self._on_failure(LogDirFailure(self.directory, error))
            elif not self._closed:
                self._note_durable(target, indexed, epochs_written)
                if rest:
                    self._flush_waiting = [*waiting, *self._flush_waiting]
                    self._flush()
                    return
            answered = waiting
            if self._closed:
                answered, self._flush_waiting = [*waiting, *self._flush_waiting], []
            for done in answered:
                done(error)
            if self._flush_waiting and error is None and not self._flushing:
                self._flush()

        try:
            files, small = [segment.log.get() for segment in segments[:SEGMENTS_PER_FLUSH]], self._small_files()
            epochs_written = self._epochs_written
            indexed += self._written_indexes()
            files += [index.file.get() for segment in indexed for index in (segment.offset_index, segment.time_index)]
            directories = [self.directory] if self._names_durable else [self.directory, posixpath.dirname(self.directory)]
            self._storage.fsync_soon([*files, *small], finished, directories)
        except OSError as error:
            finished(error)
            return
        for file in small:
            file.close()

    def _unflushed(self) -> list[Segment]:
        """Segments with bytes that were not fsynced."""
        first = max(bisect_right(self.segments, self.persisted_end_offset, key=lambda segment: segment.base_offset) - 1, 0)
        return self.segments[first:]

    def _small_files(self) -> list[File]:
        """The checkpoint of the epochs and the topic id, as far as they have to be fsynced."""
        names = []
        if not self._epochs_durable and (not self.epochs.dirty or self._save_epochs()):
            names.append(LEADER_EPOCHS)
        if not self._names_durable:
            names.append(PARTITION_METADATA)
        paths = [f"{self.directory}/{name}" for name in names]
        return [self._storage.open(path) for path in paths if self._storage.exists(path)]

    def _written_indexes(self) -> list[Segment]:
        """Sealed segments whose indexes were not fsynced and are written completely: all, unless the disk is full."""
        found = []
        for segment in self._loose_indexes[:SEGMENTS_PER_FLUSH]:
            try:
                segment.flush_indexes()
            except OSError as error:
                self.fail(error)
                break
            found.append(segment)
        return found

    def _note_durable(self, end_offset: int, indexed: list[Segment], epochs_written: int) -> None:
        """Everything up to `end_offset`, some indexes and a version of the epochs are durable."""
        for segment in indexed:
            segment.indexes_durable = True
        self._loose_indexes = [segment for segment in self._loose_indexes if not segment.indexes_durable]
        if epochs_written == self._epochs_written and not self.epochs.dirty:
            self._epochs_durable = True
        self._names_durable = True
        self.persisted_end_offset = max(self.persisted_end_offset, end_offset)
        if self._epochs_durable:
            ends = [self.persisted_end_offset, *(segment.base_offset for segment in self._loose_indexes[:1])]
            self.recovery_point = max(self.recovery_point, min(ends))

    def close(self, *, clean: bool) -> None:
        """On a clean stop everything is fsynced and the producers are kept in a snapshot. OSError says what could not be."""
        self._closed = True
        try:
            if clean:
                self._make_durable()
        finally:
            for segment in self.segments:
                segment.close()

    def _fsync_topic_id(self) -> None:
        path = f"{self.directory}/{PARTITION_METADATA}"
        if self._storage.exists(path):
            file = self._storage.open(path)
            try:
                file.fsync()
            finally:
                file.close()

    def _make_durable(self) -> None:
        if not self.log_end_offset:
            return  # An empty log is made again.
        self.active.seal()
        # A log that got nothing since it was durable has its snapshot, and no records in an epoch that the file lacks.
        appended = self.recovery_point < self.log_end_offset
        if appended or not self._storage.exists(segment_path(self.directory, self.log_end_offset, SNAPSHOT)):
            self._write_snapshot(durable=len(self.producers) > 0)
        if self.persisted_end_offset < self.log_end_offset:
            for segment in self._unflushed():
                segment.log.get().fsync()
        for segment in [*self._loose_indexes, self.active]:
            if not segment.indexes_durable:
                segment.fsync_indexes()
        if not self._names_durable:
            self._fsync_topic_id()
        if appended or self.epochs.dirty:
            self._storage.write_atomically(f"{self.directory}/{LEADER_EPOCHS}", self.epochs.render())
        self.persisted_end_offset = self.recovery_point = self.log_end_offset
