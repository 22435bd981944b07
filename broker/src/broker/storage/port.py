"""The storage port: files and directories as the log needs them, with durability made explicit.

`append` returns after write(2): the bytes survive the death of the process, not of the machine. Only `fsync`,
`fsync_soon` and `write_atomically` make bytes durable. Paths are absolute strings.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

Buffer = bytes | bytearray | memoryview


class File(Protocol):
    """An open file that is appended to and read at positions."""

    path: str

    @property
    def size(self) -> int:
        """Bytes in the file."""

    def append(self, buffers: Sequence[Buffer]) -> int:
        """Write all buffers at the end and return the position they start at.

        On OSError (ENOSPC, EIO) nothing stays: what was partly written is cut off again before the error is raised.
        """

    def pread(self, length: int, position: int) -> bytes:
        """Up to `length` bytes from `position`; shorter only at the end of the file."""

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes."""

    def fsync(self) -> None:
        """Make what was written durable, blocking; for start, shutdown and small files."""

    def close(self) -> None:
        """Release the descriptor."""


class Lock(Protocol):
    """An exclusive claim on a directory, held until released or the process dies."""

    def release(self) -> None:
        """Give it back."""


class Storage(Protocol):
    """The directories of one node."""

    def open(self, path: str) -> File:
        """Open for append and read, creating the file when it is absent."""

    def read(self, path: str) -> bytes:
        """The whole of a small file; FileNotFoundError when absent."""

    def write_atomically(self, path: str, data: bytes, *, durable: bool = True) -> None:
        """Replace a small file as one step: temporary file, fsync, rename, fsync of the directory."""

    def exists(self, path: str) -> bool: ...

    def size(self, path: str) -> int:
        """Bytes in a file that need not be open; FileNotFoundError when absent."""

    def modified_ms(self, path: str) -> int:
        """When the file was last written, in milliseconds since the Unix epoch; FileNotFoundError when absent."""

    def list_directory(self, path: str) -> list[str]:
        """Sorted names; FileNotFoundError when absent."""

    def make_directory(self, path: str) -> None:
        """With parents; harmless when present."""

    def rename(self, source: str, target: str) -> None: ...

    def remove(self, path: str) -> None:
        """A file; FileNotFoundError when absent."""

    def remove_tree(self, path: str) -> None:
        """A directory with all it holds; harmless when absent."""

    def fsync_directory(self, path: str) -> None: ...

    def space(self, path: str) -> tuple[int, int]:
        """Bytes of the volume that holds `path`: all, and those that can still be used."""

    def lock(self, path: str) -> Lock:
        """Claim the lock file `path`; BlockingIOError when another process holds it."""

    def fsync_soon(self, files: Sequence[File], done: Callable[[OSError | None], None], directories: Sequence[str] = ()) -> None:
        """fsync files, then directories, on a worker thread; then `done` on the node's thread, with the error if one failed.

        What was written before the call is covered. A file may be closed meanwhile.
        """

    @property
    def fsyncs_waiting(self) -> int:
        """Calls of `fsync_soon` that are not done."""

    @property
    def fsyncs_done(self) -> int:
        """How many files and directories the worker has fsynced: while that grows, the disk moves."""

    def close(self, *, finish: bool = True) -> None:
        """Finish what `fsync_soon` has taken on, unless nobody waits for it, and end the worker; its callbacks may not run."""
