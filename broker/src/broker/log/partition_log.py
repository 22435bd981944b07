"""The log of one partition: gives offsets, checks producers, rolls segments, reads, retains.

Invariants: segments are consecutive, the last one is active; `log_start_offset <= log_end_offset`; an append either happened
whole or not at all. An append is done when write(2) returned; only `flush_soon` and a clean close make it durable. Below
the recovery point the log, its indexes and its leader epochs are durable, and a start after a crash trusts them unseen.
Leaves out: who may append and what is visible (`replication`), which logs exist (`log_manager`).
Source: ``UnifiedLog``, ``LocalLog``.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from broker.log import producer_snapshot
from broker.log.durability import Durability
from broker.log.failure import DISK_FULL, LogDirFailure
from broker.log.file_names import SNAPSHOT, segment_path
from broker.log.leader_epochs import UNDEFINED_EPOCH
from broker.log.log_config import LogConfig
from broker.log.open_files import OpenFiles
from broker.log.recovery import LogLoader, drop_snapshots_before, load_producers
from broker.log.segment import Segment
from broker.protocol.errors import ErrorCode, KafkaError
from broker.record.batch import (
    BatchHeader,
    Buffer,
    CorruptBatch,
    TimestampType,
    check_crc,
    iter_batches,
    patch,
    read_header,
    stamp,
)
from broker.record.validation import ValidationRules, only_batch, validate_client_batch

LOG_APPEND_TIME = "LogAppendTime"
# How many ends of reads are remembered, so that a consumer that goes on where it stopped needs no index.
READ_ENDS_MAX = 16


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
    """See the module. `on_failure` hears of a directory not to be trusted, `on_full` of a full disk, `on_cut` of less durable."""

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
        on_full: Callable[[OSError], None] = lambda error: None,
        on_cut: Callable[[], None] = lambda: None,
    ) -> None:
        self._files = files
        self._storage = files.storage
        self.directory = directory
        self._on_failure, self._on_full = on_failure, on_full
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
        self.durability = Durability(self, self._storage, recovery_point, on_failure, on_cut, clean=clean)
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

    def append_as_follower(self, buffer: Buffer) -> AppendInfo:
        """Write whole batches as the leader has them, offsets and epochs included; a torn last one is left out.

        KafkaError, with nothing written, when a checksum is wrong or the batches do not go on where this log ends. What the
        disk refuses in the middle leaves the batches before it. Time, as far as rolling asks for it, is that of the batches.
        """
        batches = list(iter_batches(buffer))
        expected = self.log_end_offset
        for header, batch in batches:
            if header.base_offset != expected or header.last_offset_delta < 0:
                raise KafkaError(
                    ErrorCode.OFFSET_OUT_OF_RANGE,
                    f"a batch from the leader has offsets {header.base_offset} to {header.last_offset}, {expected} comes next",
                )
            check_crc(batch, header)
            expected = header.next_offset
        if not batches:
            raise CorruptBatch("the leader sent no whole batch")
        first = self.log_end_offset
        position = 0
        while position < len(batches):
            position += self._write_run(batches[position:])
        return AppendInfo(first, self.log_end_offset - 1, -1)

    def _write_run(self, batches: list[tuple[BatchHeader, memoryview]]) -> int:
        """Write as many of the leader's batches as go into one segment, at once; how many."""
        now_ms = batches[0][0].max_timestamp
        self._roll_for(batches[0][0], batches[0][0].size, now_ms)
        size = count = 0
        for header, _ in batches:
            size += header.size
            if count and self._is_due(header, size, now_ms):
                break
            count += 1
        run = batches[:count]
        self._append([header for header, _ in run], [batch for _, batch in run])
        for header, batch in run:
            if header.producer_id >= 0:
                self.producers.update(header, batch if header.is_control else None)
            self.assign_epoch(header.partition_leader_epoch, header.base_offset)
        return count

    def _write(self, header: BatchHeader, buffers: list[Buffer], now_ms: int) -> None:
        """Append one batch of this node's own leadership. A full disk leaves everything as it was."""
        self._roll_for(header, header.size, now_ms)
        self._append((header,), buffers)
        if header.producer_id >= 0:
            self.producers.update(header)
        self.assign_epoch(header.partition_leader_epoch, header.base_offset)

    def _is_due(self, header: BatchHeader, size: int, now_ms: int) -> bool:
        """Whether `size` bytes that end with this batch belong into a new segment."""
        config = self.config
        return self.active.should_roll(
            header,
            header.last_offset,
            size,
            now_ms,
            segment_bytes=config.segment_bytes,
            segment_ms=config.segment_ms,
            index_bytes=config.segment_index_bytes,
        )

    def _roll_for(self, header: BatchHeader, size: int, now_ms: int) -> None:
        """Begin a new segment when this batch needs one; KafkaError when none can hold it."""
        if size > self.config.segment_bytes:
            raise KafkaError(
                ErrorCode.RECORD_LIST_TOO_LARGE,
                f"the batch has {size} bytes, more than segment.bytes={self.config.segment_bytes}",
            )
        try:
            if self._is_due(header, size, now_ms):
                self.roll(now_ms)
        except OSError as error:
            raise self._refusal(error) from error

    def _append(self, headers: Sequence[BatchHeader], buffers: Sequence[Buffer]) -> None:
        """The only place that appends."""
        try:
            self.active.append(headers, buffers)
        except OSError as error:
            raise self._refusal(error) from error
        self.log_end_offset = headers[-1].next_offset

    def _refusal(self, error: OSError) -> KafkaError:
        """What the writer is told; anything but a full disk is the end of the directory."""
        self.fail(error)
        return KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self.directory}: {error.strerror or error}")

    def fail(self, error: OSError) -> None:
        """Tell the node that the directory has failed, unless the disk is just full."""
        if error.errno in DISK_FULL:
            self._on_full(error)
        else:
            self._on_failure(LogDirFailure(self.directory, error))

    def roll(self, now_ms: int) -> None:
        """Close the active segment and begin the next at the log end offset, with a snapshot of the producers.

        OSError leaves everything as it was.
        """
        self.write_snapshot()
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
        self.durability.sealed(self.active)
        self.segments.append(new)
        self.flush_soon(lambda error: None)

    def write_snapshot(self, *, durable: bool = False) -> None:
        """Keep what is known of the producers at the log end offset. OSError."""
        path = segment_path(self.directory, self.log_end_offset, SNAPSHOT)
        self._storage.write_atomically(path, producer_snapshot.encode(self.producers), durable=durable)

    def assign_epoch(self, epoch: int, start_offset: int) -> None:
        """Note that a leader epoch begins here, if that is news. Its first records write it down; a leader change does not."""
        if self.epochs.assign(epoch, start_offset):
            self.durability.epochs_changed()
        if self.epochs.dirty and start_offset < self.log_end_offset:
            self.durability.save_epochs()

    # Truncating.

    def truncate_to(self, offset: int) -> bool:
        """Cut off the batch that holds `offset` and everything after it; False when the log ends there or before.

        Indexes, epochs and producers are then those of the shorter log. OSError of the disk is the end of the directory.
        """
        if offset >= self.log_end_offset:
            # Epochs without a record of their own go all the same: this node led, and another one was chosen before anything
            # was written. Asked about by them, the leader would answer the same for ever (``UnifiedLog.truncateTo``).
            self.epochs.truncate_from_end(self.log_end_offset)
            if self.epochs.dirty:
                self.durability.save_epochs()
            return False
        if offset <= self.log_start_offset:
            self.truncate_fully(offset)
            return True
        try:
            while self.active.base_offset > offset:
                self._remove(self.segments.pop())
            end_offset = max(self.active.truncate_to(offset, self.active.created_ms), self.active.base_offset)
            self.epochs.truncate_from_end(end_offset)
            self._cut_back_to(end_offset)
            self.producers, _ = load_producers(self._storage, self.directory, self.segments, end_offset)
        except OSError as error:
            raise self._refusal(error) from error
        return True

    def truncate_fully(self, offset: int, epoch: int = UNDEFINED_EPOCH) -> None:
        """Drop everything and begin anew at `offset`, behind records of `epoch` that are not here (a snapshot has them)."""
        try:
            for segment in reversed(self.segments):
                self._remove(segment)
            self.segments = [
                Segment(
                    self._files,
                    self.directory,
                    offset,
                    index_interval_bytes=self.config.index_interval_bytes,
                    created_ms=self.active.created_ms,
                )
            ]
            self.active.create()
            self.producers, _ = load_producers(self._storage, self.directory, [], -1)  # all snapshots go
            self.epochs.clear()
            self.epochs.assign(epoch, offset)
            self.log_start_offset = offset
            self._cut_back_to(offset)
        except OSError as error:
            raise self._refusal(error) from error

    def _cut_back_to(self, end_offset: int) -> None:
        self.log_end_offset = end_offset
        self._read_ends.clear()
        self.durability.dropped(self.active)
        self.durability.cut_back(end_offset)
        self.durability.save_epochs()

    def _remove(self, segment: Segment) -> None:
        self.durability.dropped(segment)
        segment.remove()

    def advance_start(self, offset: int) -> bool:
        """The log begins at `offset` from now on; segments that end before it are removed. False when it did already.

        What lies beyond the end of the log is as far as it goes.
        """
        offset = min(offset, self.log_end_offset)
        if offset <= self.log_start_offset:
            return False
        self.log_start_offset = offset
        gone = 0
        while gone + 1 < len(self.segments) and self.segments[gone + 1].base_offset <= offset:
            gone += 1
        try:
            for segment in self.segments[:gone]:
                self._remove(segment)
            del self.segments[:gone]
            drop_snapshots_before(self._storage, self.directory, self.segments[0].base_offset)
            self.epochs.truncate_from_start(offset)
            self.durability.save_epochs()
        except OSError as error:
            raise self._refusal(error) from error
        self._read_ends.clear()
        return True

    # Reading.

    def read(self, offset: int, max_bytes: int, upper_offset: int, *, at_least_one: bool = True) -> list[Buffer]:
        """Whole batches from the one that holds `offset`, below `upper_offset`: at most `max_bytes`, but `at_least_one`."""
        if offset >= upper_offset:
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
            self.durability.save_epochs()
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
        self.durability.dropped(segment)
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
    def persisted_end_offset(self) -> int:
        """What of the log survives the death of the machine."""
        return self.durability.persisted_end_offset

    @property
    def recovery_point(self) -> int:
        """Below it a start after a crash trusts the log unseen."""
        return self.durability.recovery_point

    @property
    def needs_flush(self) -> bool:
        """Whether something of the log would not survive the death of the machine, or is not noted as such."""
        return self.durability.needs_flush

    def flush_soon(self, done: Callable[[OSError | None], None]) -> None:
        """fsync on the worker what was appended before this call; `done` is told when that is done, or the error."""
        self.durability.flush_soon(done)

    def close(self, *, clean: bool) -> None:
        """On a clean stop everything is fsynced and the producers are kept in a snapshot. OSError says what could not be."""
        self.durability.close()
        try:
            if clean:
                self.durability.make_durable()
        finally:
            for segment in self.segments:
                segment.close()
