"""The log directory of a node: its identity, its partitions, its checkpoints, its clean-shutdown marker.

Invariant: a recovery point is written only after what lies below it was fsynced. A failed fsync is never retried: the
directory has failed and the node is told (`on_failure`). Source: ``LogManager``.
Not done: more than one directory, compaction.
"""

import json
import posixpath
import uuid
from collections.abc import Callable

from broker.clock.port import Clock
from broker.log.checkpoints import CheckpointWriter, Offsets, encode_offsets, read_offsets
from broker.log.failure import LogDirFailure
from broker.log.file_names import PARTITION_METADATA
from broker.log.open_files import OpenFiles
from broker.log.partition_log import LogConfig, PartitionLog
from broker.log.properties import DirectoryError, MetaProperties
from broker.protocol.types import uuid_to_base64
from broker.storage.port import Lock, Storage

CLEAN_SHUTDOWN = ".kafka_cleanshutdown"
RECOVERY_POINTS = "recovery-point-offset-checkpoint"
LOG_STARTS = "log-start-offset-checkpoint"
HIGH_WATERMARKS = "replication-offset-checkpoint"
DELETE_SUFFIX = "-delete"
METADATA_TOPIC = "__cluster_metadata"
Key = tuple[str, int]


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
        self._lock: Lock | None = None
        self.clean = False
        self.meta: MetaProperties | None = None

    # The directory.

    def claim(self) -> None:
        """Take the directory, making it when it is absent, and read whose it is. DirectoryError when another node has it."""
        self._storage.make_directory(self.directory)
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
            self._storage.remove(self._path(CLEAN_SHUTDOWN))
        self._recovery_points = read_offsets(self._storage, self._path(RECOVERY_POINTS))
        self._log_starts = read_offsets(self._storage, self._path(LOG_STARTS))
        self.high_watermarks = read_offsets(self._storage, self._path(HIGH_WATERMARKS))
        for name in self._storage.list_directory(self.directory):
            if name.endswith(DELETE_SUFFIX):
                self._storage.remove_tree(self._path(name))

    def format(self, meta: MetaProperties) -> None:
        """Write the directory's identity."""
        self._storage.write_atomically(self._path(MetaProperties.FILE), meta.render())
        self.meta = meta

    def fail(self, failure: LogDirFailure) -> None:
        """The directory can no longer be trusted."""
        if self._on_failure is not None:
            tell, self._on_failure = self._on_failure, None
            tell(failure)

    def _path(self, name: str) -> str:
        return posixpath.join(self.directory, name)

    # Partitions.

    def get_or_create(self, topic: str, partition: int, topic_id: uuid.UUID, config: LogConfig) -> PartitionLog:
        """Open the partition, making its directory when it is new. A directory of another topic id is removed first."""
        key = (topic, partition)
        if key in self.logs:
            return self.logs[key]
        directory = self._path(f"{topic}-{partition}")
        self._claim(directory, topic_id)
        self.topic_ids[key] = topic_id
        log = self.logs[key] = PartitionLog(
            self._files,
            directory,
            config,
            recovery_point=self._recovery_points.get(key, 0),
            start_offset=self._log_starts.get(key, 0),
            clean=self.clean,
            now_ms=self._clock.wall_ms(),
            on_failure=self.fail,
        )
        return log

    def _claim(self, directory: str, topic_id: uuid.UUID) -> None:
        """A topic made again under its old name must not find the old one's records."""
        path = posixpath.join(directory, PARTITION_METADATA)
        content = f"version: 0\ntopic_id: {uuid_to_base64(topic_id)}".encode()
        if self._storage.exists(path):
            if self._storage.read(path).strip() == content:
                return
            self._storage.remove_tree(directory)
        self._storage.make_directory(directory)
        self._storage.write_atomically(path, content, durable=False)

    def delete(self, topic: str, partition: int, delay_ms: int) -> None:
        """Rename the directory at once, remove it later."""
        key = (topic, partition)
        log = self.logs.pop(key)
        topic_id = self.topic_ids.pop(key)
        log.close(clean=False)
        target = self._path(f"{topic}-{partition}.{topic_id.hex}{DELETE_SUFFIX}")
        self._storage.rename(log.directory, target)
        for offsets in (self._recovery_points, self._log_starts, self.high_watermarks):
            offsets.pop(key, None)
        self._call_later(delay_ms, lambda: self._storage.remove_tree(target))

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
        waiting = [log for log in self.logs.values() if log.persisted_end_offset < log.log_end_offset]
        left = len(waiting)

        def finished(error: OSError | None) -> None:
            nonlocal left
            left -= 1
            if left == 0 and error is None and self._lock is not None:
                self.write_recovery_points()

        for log in waiting:
            log.flush_soon(finished)

    def write_recovery_points(self) -> None:
        """Note how much of each log is durable, and where the ones that begin inside a segment begin."""
        points = {key: log.persisted_end_offset for key, log in self.logs.items()}
        starts = {
            key: log.log_start_offset for key, log in self.logs.items() if log.log_start_offset > log.segments[0].base_offset
        }
        self._checkpoints.write_soon(self._path(RECOVERY_POINTS), encode_offsets(points))
        self._checkpoints.write_soon(self._path(LOG_STARTS), encode_offsets(starts))

    def write_high_watermarks(self, offsets: Offsets) -> None:
        """Remember up to where consumers could read."""
        self.high_watermarks = offsets
        self._checkpoints.write_soon(self._path(HIGH_WATERMARKS), encode_offsets(offsets))

    def close(self, *, clean: bool, broker_epoch: int = -1) -> None:
        """Close all logs; on a clean stop write checkpoints and, last, the marker that spares the next start its checks."""
        for log in self.logs.values():
            log.close(clean=clean)
        if clean:
            points = {key: log.log_end_offset for key, log in self.logs.items()}
            self._checkpoints.write_now(self._path(RECOVERY_POINTS), encode_offsets(points))
            self._checkpoints.write_now(self._path(HIGH_WATERMARKS), encode_offsets(self.high_watermarks))
            marker = json.dumps({"version": 0, "brokerEpoch": broker_epoch}, separators=(",", ":"))
            self._storage.write_atomically(self._path(CLEAN_SHUTDOWN), marker.encode())
        self.logs.clear()
        self.release()
