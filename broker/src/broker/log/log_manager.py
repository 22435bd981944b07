"""The log directory of a node: its identity, its partitions, its checkpoints, its clean-shutdown marker.

Invariant: a recovery point is written only after what lies below it was fsynced. A failed fsync is never retried: the
directory has failed and the node is told (`on_failure`). Source: ``LogManager``.
Not done: more than one directory, compaction.
"""

import json
import logging
import posixpath
import uuid
from collections.abc import Callable, Collection

from broker.clock.port import Clock
from broker.log.checkpoints import CheckpointWriter, Offsets, encode_offsets, read_offsets
from broker.log.failure import DISK_FULL, LogDirFailure
from broker.log.file_names import (
    DELETE_DIRECTORY,
    LOG,
    PARTITION_METADATA,
    STRAY_DIRECTORY,
    partition_in_name,
    set_aside_name,
)
from broker.log.log_config import LogConfig
from broker.log.open_files import OpenFiles
from broker.log.partition_log import PartitionLog
from broker.log.properties import DirectoryError, MetaProperties
from broker.protocol.types import uuid_from_base64, uuid_to_base64
from broker.storage.port import Lock, Storage

CLEAN_SHUTDOWN = ".kafka_cleanshutdown"
RECOVERY_POINTS = "recovery-point-offset-checkpoint"
LOG_STARTS = "log-start-offset-checkpoint"
HIGH_WATERMARKS = "replication-offset-checkpoint"
METADATA_TOPIC = "__cluster_metadata"
NO_BROKER_EPOCH = -1
Key = tuple[str, int]
FULL_SAID_EVERY_MS = 10_000

log = logging.getLogger("broker.log")


class LogManager:
    """All partitions on one directory. `on_failure` hears of the first failure only."""

    def __init__(self, storage: Storage, clock: Clock, directory: str, on_failure: Callable[[LogDirFailure], None]) -> None:
        self._storage = storage
        self._clock = clock
        self.directory = directory
        self._on_failure: Callable[[LogDirFailure], None] | None = on_failure
        self._files = OpenFiles(storage)
        self._checkpoints = CheckpointWriter(storage, lambda path, error: self.fail(LogDirFailure(path, error)))
        self.logs: dict[Key, PartitionLog] = {}
        self.topic_ids: dict[Key, uuid.UUID] = {}
        self.high_watermarks: Offsets = {}
        self._recovery_points: Offsets = {}
        self._log_starts: Offsets = {}
        self._forgetting = False
        self._full_said_again_ms = 0
        self._lock: Lock | None = None
        self.clean = False
        # The epoch of the life that ended with a clean stop; the controller lets such a broker stay in its ISRs (KIP-966).
        self.previous_broker_epoch = NO_BROKER_EPOCH
        self.meta: MetaProperties | None = None

    # The directory.

    def claim(self) -> None:
        """Take the directory, making it when it is absent, and read whose it is. DirectoryError when another node has it."""
        if not self._storage.exists(self.directory):
            self._storage.make_directory(self.directory)
            self._storage.fsync_directory(posixpath.dirname(self.directory.rstrip("/")) or ".")
        try:
            self._lock = self._storage.lock(self._path(".lock"))
        except BlockingIOError as error:
            raise DirectoryError(
                f"log.dirs={self.directory} is used by another process; stop it, or choose another directory"
            ) from error
        if self._storage.exists(self._path(MetaProperties.FILE)):
            self.meta = MetaProperties.parse(self._storage.read(self._path(MetaProperties.FILE)), self.directory)

    def release(self) -> None:
        """Give the directory back."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def open(self) -> None:
        """Take over the claimed directory: its checkpoints, and whether it was closed cleanly."""
        self.clean = self._storage.exists(self._path(CLEAN_SHUTDOWN))
        if self.clean:
            self.previous_broker_epoch = self._epoch_in_marker()
            self._storage.remove(self._path(CLEAN_SHUTDOWN))
            # Before anything is written: a power cut that brought the marker back would make the next start trust it.
            self._storage.fsync_directory(self.directory)
        self._recovery_points = read_offsets(self._storage, self._path(RECOVERY_POINTS))
        self._log_starts = read_offsets(self._storage, self._path(LOG_STARTS))
        self.high_watermarks = read_offsets(self._storage, self._path(HIGH_WATERMARKS))
        for name in self._storage.list_directory(self.directory):
            if name.endswith(DELETE_DIRECTORY):
                self._storage.remove_tree(self._path(name))

    def _epoch_in_marker(self) -> int:
        try:
            return int(json.loads(self._storage.read(self._path(CLEAN_SHUTDOWN)))["brokerEpoch"])
        except (ValueError, KeyError, TypeError):
            return NO_BROKER_EPOCH

    def format(self, meta: MetaProperties) -> None:
        """Write the directory's identity."""
        self._storage.write_atomically(self._path(MetaProperties.FILE), meta.render())
        self.meta = meta

    def fail(self, failure: LogDirFailure) -> None:
        """The directory can no longer be trusted."""
        if self._on_failure is not None:
            tell, self._on_failure = self._on_failure, None
            tell(failure)

    def _full(self, error: OSError) -> None:
        """Say that there is no room; not for each write of each partition."""
        now = self._clock.monotonic_ms()
        if now >= self._full_said_again_ms:
            self._full_said_again_ms = now + FULL_SAID_EVERY_MS
            text = "%s: %s; what is written is refused until there is room, what is there can be read"
            log.error(text, self.directory, error.strerror or error)

    def _path(self, name: str) -> str:
        return posixpath.join(self.directory, name)

    # Partitions.

    def get_or_create(self, topic: str, partition: int, topic_id: uuid.UUID, config: LogConfig) -> PartitionLog:
        """Open the partition, making its directory when it is new. A directory of another topic id is set aside first."""
        key = (topic, partition)
        if key in self.logs:
            return self.logs[key]
        directory = self._path(f"{topic}-{partition}")
        was_there = self._claim(directory, key, topic_id)
        self.topic_ids[key] = topic_id
        opened = self.logs[key] = PartitionLog(
            self._files,
            directory,
            config,
            recovery_point=self._recovery_points.get(key, 0),
            start_offset=self._log_starts.get(key, 0),
            # Nothing of what is made now is durable, however this node was stopped before.
            clean=self.clean and was_there,
            now_ms=self._clock.wall_ms(),
            on_failure=self.fail,
            on_full=self._full,
            on_cut=self._recovery_point_went_back,
        )
        if opened.cut_bytes:
            log.warning(
                "%s-%d: %d bytes behind offset %d were no batches and are cut off", *key, opened.cut_bytes, opened.log_end_offset
            )
        return opened

    def _claim(self, directory: str, key: Key, topic_id: uuid.UUID) -> bool:
        """Make the directory of a partition, unless it is there: whether it was.

        A topic made again under its old name must not find the old one's records.

        An id that a power cut has torn says nothing, so the records may be those of a topic of this name that is gone. They are
        set aside: the id is made durable by the first fsync of its log, so nothing was promised of them (`log.durability`).
        There is one metadata log, and beside it lie the votes: it stays where it is.
        """
        path = posixpath.join(directory, PARTITION_METADATA)
        found = self._topic_id(directory)
        if found == topic_id:
            return True
        if found is not None or (key[0] != METADATA_TOPIC and self._has_records(directory)):
            self._set_aside(key)
        if not self._storage.exists(directory):
            if any(key in offsets for offsets in (self._recovery_points, self._log_starts, self.high_watermarks)):
                self._forget_offsets(key)
            self._storage.make_directory(directory)
        content = f"version: 0\ntopic_id: {uuid_to_base64(topic_id)}".encode()
        self._storage.write_atomically(path, content, durable=False)
        return False

    def _has_records(self, directory: str) -> bool:
        """Whether a directory is there, with a segment that is not empty."""
        if not self._storage.exists(directory):
            return False
        names = [name for name in self._storage.list_directory(directory) if name.endswith(LOG)]
        return any(self._storage.size(posixpath.join(directory, name)) for name in names)

    def _topic_id(self, directory: str) -> uuid.UUID | None:
        """Whose directory it is; None when it does not say so."""
        path = posixpath.join(directory, PARTITION_METADATA)
        if not self._storage.exists(path):
            return None
        try:
            lines = dict(line.split(": ", 1) for line in self._storage.read(path).decode().splitlines())
            return uuid_from_base64(lines["topic_id"].strip())
        except (ValueError, KeyError):
            return None

    def set_strays_aside(self, known: Collection[Key] = ()) -> None:
        """Rename partitions that the cluster does not know (any more). Called when it was tried to open all that it knows.

        `known`: those that it knows; some of them may not be open, because the disk is full.
        """
        for name in self._storage.list_directory(self.directory):
            key = partition_in_name(name)
            if key is None or key in self.logs or key in known:
                continue
            if self._storage.exists(posixpath.join(self._path(name), PARTITION_METADATA)):
                self._set_aside(key)

    def _set_aside(self, key: Key) -> None:
        """Kafka's way with records that belong to nobody: they are kept, under another name."""
        topic, partition = key
        found = self._topic_id(self._path(f"{topic}-{partition}"))
        number = found.int if found is not None else 0
        while self._storage.exists(target := self._path(set_aside_name(topic, partition, f"{number:032x}", STRAY_DIRECTORY))):
            number += 1
        log.warning("the cluster does not know %s-%d with this topic id; its directory becomes %s", topic, partition, target)
        self._storage.rename(self._path(f"{topic}-{partition}"), target)

    def delete(self, topic: str, partition: int, delay_ms: int) -> None:
        """Rename the directory at once, remove it later."""
        key = (topic, partition)
        closed = self.logs.pop(key)
        topic_id = self.topic_ids.pop(key)
        closed.close(clean=False)
        target = self._path(set_aside_name(topic, partition, topic_id.hex, DELETE_DIRECTORY))
        try:
            self._storage.rename(closed.directory, target)
        except OSError as error:
            self.fail(LogDirFailure(closed.directory, error))
            return
        self._forget_offsets(key)
        self._call_later(delay_ms, lambda: self._storage.remove_tree(target))

    def _forget_offsets(self, key: Key) -> None:
        """A topic made again under its old name must not find the old one's checkpoints either, now or after the next start."""
        for offsets in (self._recovery_points, self._log_starts, self.high_watermarks):
            offsets.pop(key, None)
        if not self._forgetting:
            self._forgetting = True
            self._clock.call_soon(self._write_what_is_left)

    def _write_what_is_left(self) -> None:
        """The checkpoints without what was forgotten in this turn, before anything else can stand there."""
        self._forgetting = False
        if self._lock is None:
            return
        for name, offsets in (self._checkpointed() | {HIGH_WATERMARKS: self.high_watermarks}).items():
            try:
                self._checkpoints.write_now(self._path(name), encode_offsets(offsets))
            except OSError as error:
                if error.errno not in DISK_FULL:
                    self.fail(LogDirFailure(self._path(name), error))

    def space(self) -> tuple[int, int]:
        """Bytes of the volume: all, and those that can still be used."""
        return self._storage.space(self.directory)

    # Upkeep.

    def apply_retention(self, high_watermark_of: Callable[[Key], int]) -> None:
        """Called every log.retention.check.interval.ms."""
        now = self._clock.wall_ms()
        for key, log in self.logs.items():
            if key[0] != METADATA_TOPIC:
                log.apply_retention(now, high_watermark_of(key), self._call_later)

    def expire_producers(self, expiration_ms: int) -> None:
        """Forget producers that were silent for so long."""
        now = self._clock.wall_ms()
        for log in self.logs.values():
            log.producers.expire(now, expiration_ms)

    def _call_later(self, delay_ms: int, callback: Callable[[], None]) -> None:
        self._clock.call_at(self._clock.monotonic_ms() + delay_ms, callback)

    def flush_soon(self) -> None:
        """fsync every log that has grown, then note the recovery points. Called every flush interval."""
        waiting = [partition for partition in self.logs.values() if partition.needs_flush]
        left = len(waiting)

        def finished(error: OSError | None) -> None:
            nonlocal left
            left -= 1
            if left == 0 and error is None and self._lock is not None:
                self.write_recovery_points()

        for partition in waiting:
            partition.flush_soon(finished)

    def write_recovery_points(self) -> None:
        """Note how much of each log is durable, and where the ones that begin inside a segment begin."""
        for name, offsets in self._checkpointed().items():
            self._checkpoints.write_soon(self._path(name), encode_offsets(offsets))

    def _checkpointed(self) -> dict[str, Offsets]:
        """The checkpoints that this class keeps, by file."""
        points = {key: one.recovery_point for key, one in self.logs.items()}
        starts = {
            key: one.log_start_offset for key, one in self.logs.items() if one.log_start_offset > one.segments[0].base_offset
        }
        return {RECOVERY_POINTS: points, LOG_STARTS: starts}

    def _recovery_point_went_back(self) -> None:
        """A log was cut below what was durable of it. A start must not trust what will stand there before that is durable."""
        try:
            points = self._checkpointed()[RECOVERY_POINTS]
            self._checkpoints.write_now(self._path(RECOVERY_POINTS), encode_offsets(points))
        except OSError as error:
            self.fail(LogDirFailure(self._path(RECOVERY_POINTS), error))

    def write_high_watermarks(self, offsets: Offsets) -> None:
        """Remember up to where consumers could read."""
        self.high_watermarks = offsets
        self._checkpoints.write_soon(self._path(HIGH_WATERMARKS), encode_offsets(offsets))

    def close(self, *, clean: bool, broker_epoch: int = -1) -> None:
        """Close all logs; on a clean stop write checkpoints and, last, the marker that spares the next start its checks.

        What cannot be written (a full disk) is said, and there is no marker: the next start checks the logs.
        """
        for key, one in self.logs.items():
            try:
                one.close(clean=clean)
            except OSError as error:
                log.error("%s-%d could not be closed cleanly: %s", *key, error)
                clean = False
        if clean:
            try:
                self._write_marker(broker_epoch)
            except OSError as error:
                log.error("%s could not be closed cleanly: %s", self.directory, error)
        self.logs.clear()
        self.release()

    def _write_marker(self, broker_epoch: int) -> None:
        for name, offsets in (self._checkpointed() | {HIGH_WATERMARKS: self.high_watermarks}).items():
            self._checkpoints.write_now(self._path(name), encode_offsets(offsets))
        marker = json.dumps({"version": 0, "brokerEpoch": broker_epoch}, separators=(",", ":"))
        self._storage.write_atomically(self._path(CLEAN_SHUTDOWN), marker.encode())
