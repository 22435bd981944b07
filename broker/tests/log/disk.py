"""What the tests of the log share: a simulated disk with one partition's directory, logs opened on it, and batches."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from broker.clock.simulated import WALL_START_MS, SimulatedClock
from broker.log.failure import LogDirFailure
from broker.log.open_files import OpenFiles
from broker.log.partition_log import AppendInfo, PartitionLog
from broker.record.batch import BatchHeader, iter_batches
from broker.record.builder import build_batch
from broker.record.records import Record, iter_records
from broker.storage.simulated import CrashMode, SimulatedStorage

DIRECTORY = "/data/t-0"


@dataclass
class Config:
    """The settings of a log, small, so that everything happens soon."""

    segment_bytes: int = 1500
    segment_ms: int = 2**63 - 1
    segment_index_bytes: int = 10 * 2**20
    index_interval_bytes: int = 256
    max_message_bytes: int = 2**20
    message_timestamp_type: str = "CreateTime"
    message_timestamp_before_max_ms: int = 2**63 - 1
    message_timestamp_after_max_ms: int = 2**63 - 1
    retention_ms: int = -1
    retention_bytes: int = -1
    file_delete_delay_ms: int = 60_000
    cleanup_policy: str = "delete"


@dataclass
class Disk:
    """A node's disk, and what became of it."""

    clock: SimulatedClock = field(default_factory=SimulatedClock)
    failures: list[LogDirFailure] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.storage = SimulatedStorage(self.clock)
        self.files = OpenFiles(self.storage)
        self.storage.make_directory(DIRECTORY)
        for path in ("/", "/data"):
            self.storage.fsync_directory(path)

    def open(
        self, config: Config | None = None, *, recovery_point: int = 0, clean: bool = False, start_offset: int = 0
    ) -> PartitionLog:
        return PartitionLog(
            self.files,
            DIRECTORY,
            config or Config(),
            recovery_point=recovery_point,
            start_offset=start_offset,
            clean=clean,
            now_ms=self.clock.wall_ms(),
            on_failure=self.failures.append,
        )

    def crash(self, seed: int = 0, mode: CrashMode = "process") -> None:
        """The node dies: its open files are dead, new ones take over."""
        self.storage.crash(random.Random(seed), mode)
        self.files = OpenFiles(self.storage)

    def settle(self) -> None:
        """Let everything happen that is under way."""
        self.clock.run_until(self.clock.now_ms + 1000)

    def names(self) -> list[str]:
        return self.storage.list_directory(DIRECTORY)

    def overwrite(self, name: str, data: bytes) -> None:
        file = self.storage.open(f"{DIRECTORY}/{name}")
        file.truncate(0)
        file.append([data])

    def read(self, name: str) -> bytes:
        return self.storage.read(f"{DIRECTORY}/{name}")


def batch(count: int = 1, *, value: bytes = b"v" * 50, timestamp: int = WALL_START_MS, step: int = 1, **settings: Any) -> bytes:
    """A batch of records whose timestamps grow by `step`; `settings` are those of `build_batch` (producer_id, …)."""
    records = [Record(0, timestamp + number * step, b"%d" % number, value) for number in range(count)]
    return build_batch(records, **settings)


def append(log: PartitionLog, count: int = 1, *, epoch: int = 0, **settings: Any) -> AppendInfo:
    """Append a batch as a client would."""
    return log.append_as_leader(batch(count, **settings), epoch, WALL_START_MS)


def headers(log: PartitionLog, offset: int | None = None, max_bytes: int = 1 << 20) -> Iterator[BatchHeader]:
    """All batches that a reader sees who goes on where the last answer ended."""
    position = log.log_start_offset if offset is None else offset
    while position < log.log_end_offset:
        buffers = log.read(position, max_bytes, log.log_end_offset)
        if not buffers:
            return
        for buffer in buffers:
            for header, _ in iter_batches(buffer):
                yield header
                position = header.next_offset


def records(log: PartitionLog) -> list[Record]:
    """Every record of a log."""
    found: list[Record] = []
    position = log.log_start_offset
    while position < log.log_end_offset:
        buffers = log.read(position, 1 << 20, log.log_end_offset)
        if not buffers:
            break
        for buffer in buffers:
            for header, content in iter_batches(buffer):
                found += iter_records(content, header)
                position = header.next_offset
    return found


def index_entries(log: PartitionLog) -> list[tuple[list[tuple[int, int]], list[tuple[int, int]]]]:
    """(offset index, time index) of every segment, pending entries included."""
    return [
        (
            [segment.offset_index.entry(number) for number in range(segment.offset_index.count)],
            [segment.time_index.entry(number) for number in range(segment.time_index.count)],
        )
        for segment in log.segments
    ]
