"""What stands in the logs of a cluster, read from the disks as it is written, in Kafka's file format.

A `LogView` is one replica of one partition; what was read once is not read again, unless it was cut. `Disk.look` says what
came and what went. A torn tail is no part of a log; a disk is looked at only while a broker runs on it, which has cut such tails
off when it started.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from broker.protocol.errors import KafkaError
from broker.protocol.types import uuid_from_base64
from broker.record.batch import crc_is_right, iter_batches
from broker.record.records import iter_records
from broker.storage.simulated import SimulatedStorage
from simulation.disk_view import IDENTITY, PARTITION_DIRECTORY, Key
from simulation.world import DATA


class Batch(NamedTuple):
    """One batch: `crc` covers all of it but the offset and the epoch; `values` are those of its records."""

    base: int
    end: int
    epoch: int
    crc: int
    values: tuple[bytes, ...]
    is_control: bool


@dataclass
class _Segment:
    """How far a segment file was read."""

    name: str
    file: Any
    cuts: int
    position: int = 0


@dataclass
class LogView:
    """One replica. `batches` by base offset, in their order; `start` and `end` are offsets."""

    topic: str
    directory: object
    batches: dict[int, Batch] = field(default_factory=dict)
    records: dict[int, bytes] = field(default_factory=dict)
    start: int = 0
    end: int = 0
    # How often it began anew behind what it had.
    restarts: int = 0
    _segments: dict[int, _Segment] = field(default_factory=dict)

    def look(self, inside: Mapping[str, Any]) -> tuple[list[Batch], int | None]:
        """What came since the last look, and where the first batch stood that was cut off, None when none was."""
        if self._is_read(inside):
            return [], None
        files = sorted((int(name[:-4]), file) for name, file in inside.items() if name.endswith(".log"))
        before = self._forget(dict(files))
        came: list[Batch] = []
        for base, file in files:
            segment = self._segments.get(base)
            if segment is None:
                if base != self.end:
                    # The log begins anew behind a snapshot, or behind the leader's start; or it is seen for the first time.
                    self.restarts += self.end > 0
                    self.batches, self.records, self.end, before = {}, {}, base, {}
                segment = self._segments[base] = _Segment(f"{base:020d}.log", file, file.cuts)
            self._read(segment, came)
        self.start = files[0][0] if files else self.end
        gone = [base for base, batch in before.items() if self.batches.get(base) != batch]
        return [batch for batch in came if before.get(batch.base) != batch], min(gone, default=None)

    def _is_read(self, inside: Mapping[str, Any]) -> bool:
        """Whether there are no other segments, and all that these hold was read."""
        count = sum(name.endswith(".log") for name in inside)
        return count == len(self._segments) and all(
            inside.get(one.name) is one.file and one.cuts == one.file.cuts and one.position == len(one.file.content)
            for one in self._segments.values()
        )

    def _forget(self, files: Mapping[int, Any]) -> dict[int, Batch]:
        """Segments that were replaced or cut are read again from their beginning: what was known of them."""
        for base in list(self._segments):
            if base not in files and all(other > base for other in files):
                del self._segments[base]  # Old segments go at the front.
        stale = [
            base
            for base, segment in self._segments.items()
            if files.get(base) is not segment.file or segment.cuts != segment.file.cuts
        ]
        if not stale:
            return {}
        lowest = min(stale)
        for base in [base for base in self._segments if base >= lowest]:
            del self._segments[base]
        before = {base: batch for base, batch in self.batches.items() if base >= lowest}
        self.batches = {base: batch for base, batch in self.batches.items() if base < lowest}
        self.records = {offset: value for offset, value in self.records.items() if offset < lowest}
        self.end = min(lowest, self.end)
        return before

    def between(self, start: int, end: int) -> Iterator[Batch]:
        """The batches from an offset, where one begins, up to another."""
        while start < end and (batch := self.batches.get(start)) is not None:
            yield batch
            start = batch.end

    def _read(self, segment: _Segment, came: list[Batch]) -> None:
        content = segment.file.content
        if segment.position == len(content):
            return
        # A torn tail may be anything: what reads as no batch is the end.
        with contextlib.suppress(KafkaError):
            for header, data in iter_batches(bytes(content[segment.position :])):
                if header.base_offset != self.end or not crc_is_right(data, header):
                    break
                values = tuple(record.value or b"" for record in iter_records(data, header))
                place = (header.base_offset, header.next_offset, header.partition_leader_epoch)
                batch = Batch(*place, header.crc, values, header.is_control)
                self.batches[batch.base] = batch
                if not batch.is_control:
                    self.records.update(enumerate(values, batch.base))
                self.end = batch.end
                segment.position += header.size
                came.append(batch)


class Change(NamedTuple):
    """What a look has found in one log."""

    key: Key
    log: LogView
    came: list[Batch]
    # Where the first batch stood that is there no more.
    cut_to: int | None


class Disk:
    """All logs on the disk of one host, by topic id and index."""

    def __init__(self, storage: SimulatedStorage) -> None:
        self._storage = storage
        self.logs: dict[Key, LogView] = {}
        self._directories: dict[str, tuple[object, Key]] = {}
        self._looked_at = -1

    def look(self, on_change: Callable[[Change], None], only: str | None = None) -> None:
        """Read what is new, and tell of every log that changed. `only`: the topic to look at."""
        if self._looked_at == self._storage.changes:
            return
        self._looked_at = self._storage.changes if only is None else -1
        top = self._storage.inside(DATA)
        self._forget_gone(top)
        for name, directory in list(top.items()):
            if only is not None and not name.startswith(only):
                continue
            known = self._directories.get(name)
            if known is None or known[0] is not directory:
                known = self._identify(name, directory)
                if known is None:
                    continue
            key = known[1]
            log = self.logs.get(key)
            if log is None or log.directory is not directory:
                log = self.logs[key] = LogView(name.rpartition("-")[0], directory)
            came, cut_to = log.look(directory.entries)
            if came or cut_to is not None:
                on_change(Change(key, log, came, cut_to))

    def _forget_gone(self, top: Mapping[str, Any]) -> None:
        """Directories that were renamed to be deleted, or replaced."""
        for name in [name for name, (directory, _) in self._directories.items() if top.get(name) is not directory]:
            self.logs.pop(self._directories.pop(name)[1], None)

    def _identify(self, name: str, directory: Any) -> tuple[object, Key] | None:
        if not PARTITION_DIRECTORY.fullmatch(name):
            return None
        file = directory.entries.get("partition.metadata")
        found = IDENTITY.fullmatch(bytes(file.content).decode(errors="replace").strip()) if file is not None else None
        if found is None:
            return None
        known = self._directories[name] = (directory, (uuid_from_base64(found[1]), int(name.rpartition("-")[2])))
        return known
