"""How many files of logs are open at a time: each is opened when it is used and closed again when too many are.

A thousand partitions have three files each, and most of them sleep. The order of closing is first in, first out, with a
second chance for what was used meanwhile, so that the hot path pays one assignment.
"""

from collections.abc import Sequence

from broker.storage.port import Buffer, File, Storage

OPEN_FILES_MAX = 512


class OpenFiles:
    """The files that are open now, at most `limit`."""

    def __init__(self, storage: Storage, limit: int = OPEN_FILES_MAX) -> None:
        self.storage = storage
        self._limit = limit
        self._open: dict[LogFile, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, file: "LogFile") -> None:
        """Called by a file that has just been opened."""
        while len(self._open) >= self._limit:
            oldest = next(iter(self._open))
            if oldest.used:
                oldest.used = False
                self._open.pop(oldest)
                self._open[oldest] = None
            else:
                oldest.close()
        self._open[file] = None

    def remove(self, file: "LogFile") -> None:
        self._open.pop(file, None)


class LogFile:
    """A file of a log: its path and size are always known, its descriptor is there while it is used."""

    __slots__ = ("_file", "_files", "path", "size", "used")

    def __init__(self, files: OpenFiles, path: str, *, exists: bool) -> None:
        self._files = files
        self._file: File | None = None
        self.path = path
        self.used = False
        self.size = files.storage.size(path) if exists else 0

    def get(self) -> File:
        """The open file."""
        if self._file is None:
            # One use is no habit: what is used again before its turn to be closed stays open.
            self.used = False
            self._file = self._files.storage.open(self.path)
            self.size = self._file.size
            self._files.add(self)
        else:
            self.used = True
        return self._file

    def append(self, buffers: Sequence[Buffer]) -> int:
        """Where the buffers went. On OSError nothing of them stays."""
        file = self._file
        if file is None:
            file = self.get()
        else:
            self.used = True
        position = file.append(buffers)
        self.size = file.size
        return position

    def pread(self, length: int, position: int) -> bytes:
        return self.get().pread(length, position)

    def truncate(self, size: int) -> None:
        self.get().truncate(size)
        self.size = size

    def close(self) -> None:
        """Give the descriptor back; the next use opens the file again."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._files.remove(self)

    def move(self, path: str) -> None:
        """Rename the file."""
        self.close()
        self._files.storage.rename(self.path, path)
        self.path = path
