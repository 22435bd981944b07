"""Kafka's small text files: version, count, lines. Replaced as one step; a broken one counts as absent.

What a lost checkpoint costs is work, never data: without a recovery point everything is checked, without a high watermark
it is found anew, without leader epochs all batch headers are read. Source: ``CheckpointFile``, ``OffsetCheckpointFile``.
"""

from collections.abc import Callable

from broker.log.failure import DISK_FULL
from broker.storage.port import Storage

VERSION = "0"
Offsets = dict[tuple[str, int], int]


def encode_lines(lines: list[str]) -> bytes:
    return "\n".join([VERSION, str(len(lines)), *lines, ""]).encode()


def encode_offsets(offsets: Offsets) -> bytes:
    """`topic partition offset` lines."""
    return encode_lines([f"{topic} {partition} {offset}" for (topic, partition), offset in sorted(offsets.items())])


def read_lines(storage: Storage, path: str) -> list[str] | None:
    """The lines after version and count; None when the file is absent or not what it says. The last one ends, too."""
    try:
        version, count, *lines, rest = storage.read(path).decode().split("\n")
        return lines if version == VERSION and int(count) == len(lines) and not rest else None
    except (FileNotFoundError, ValueError):
        return None


def read_offsets(storage: Storage, path: str) -> Offsets:
    """Empty when the file is absent or any line of it is broken."""
    offsets: Offsets = {}
    for line in read_lines(storage, path) or []:
        try:
            topic, partition, offset = line.split(" ")
            offsets[topic, int(partition)] = int(offset)
        except ValueError:
            return {}
    return offsets


class CheckpointWriter:
    """Replaces checkpoint files off the hot path: the worker fsyncs the new file, then it is renamed.

    A later write to the same path overtakes an earlier one that is still under way. While the disk is full the file stays
    as it was; the next write tries again.
    """

    def __init__(self, storage: Storage, on_failure: Callable[[str, OSError], None]) -> None:
        self._storage = storage
        self._on_failure = on_failure
        self._generations: dict[str, int] = {}

    def write_now(self, path: str, data: bytes) -> None:
        """Durable when it returns."""
        self._generations[path] = self._generations.get(path, 0) + 1
        self._storage.write_atomically(path, data)

    def write_soon(self, path: str, data: bytes) -> None:
        """Durable some time later."""
        generation = self._generations[path] = self._generations.get(path, 0) + 1
        temporary = f"{path}.{generation % 2}.tmp"
        try:
            file = self._storage.open(temporary)
        except OSError as error:
            self._fail(path, error)
            return
        try:
            file.truncate(0)
            file.append([data])
        except OSError as error:
            file.close()
            self._fail(path, error)
            return

        def synced(error: OSError | None) -> None:
            file.close()
            if error is not None:
                self._on_failure(path, error)
            elif self._generations[path] == generation:
                try:
                    self._storage.rename(temporary, path)
                except OSError as failure:
                    self._fail(path, failure)

        self._storage.fsync_soon([file], synced)

    def _fail(self, path: str, error: OSError) -> None:
        if error.errno not in DISK_FULL:
            self._on_failure(path, error)
