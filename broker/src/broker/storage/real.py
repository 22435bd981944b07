"""The real twin of the storage port: files of the operating system, and one worker thread that fsyncs.

Invariants: a file's size is tracked here and every write goes to that position, so that a partial write can be cut off
and nothing depends on O_APPEND; after an error the bytes beyond `size` are never seen by a reader. The worker makes
single calls that release the interpreter lock, on duplicates of the descriptors, so a file may be closed meanwhile.

Not done: direct I/O, pre-allocation, memory maps.
"""

import contextlib
import fcntl
import os
import queue
import shutil
import threading
from collections.abc import Callable, Sequence
from typing import ClassVar

from broker.storage.port import Buffer, File

# POSIX lets writev take this many buffers at once (IOV_MAX on Linux).
WRITE_BUFFERS_MAX = 1024
_CLOSED = -1


class RealFile:
    """One descriptor, appended to at the tracked end."""

    __slots__ = ("_descriptor", "_size", "_tail_is_dirty", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._size = os.fstat(self._descriptor).st_size
        self._tail_is_dirty = False

    @property
    def size(self) -> int:
        return self._size

    def append(self, buffers: Sequence[Buffer]) -> int:
        position = self._size
        if self._tail_is_dirty:
            self.truncate(position)
        length = 0
        for buffer in buffers:
            length += len(buffer)
        try:
            written = os.pwritev(self._descriptor, buffers[:WRITE_BUFFERS_MAX], position)
            if written != length:
                self._write_rest(buffers, position, written, length)
        except OSError:
            self._cut_off(position)
            raise
        self._size = position + length
        return position

    def _write_rest(self, buffers: Sequence[Buffer], position: int, written: int, length: int) -> None:
        """A short write, or more buffers than one call takes."""
        rest = b"".join(buffers)
        while written < length:
            written += os.pwrite(self._descriptor, memoryview(rest)[written:], position + written)

    def _cut_off(self, position: int) -> None:
        """Remove a partial write. When even that fails, the next append tries again before it writes."""
        try:
            os.ftruncate(self._descriptor, position)
            self._tail_is_dirty = False
        except OSError:
            self._tail_is_dirty = True

    def pread(self, length: int, position: int) -> bytes:
        available = self._size - position
        if length > available:
            length = max(0, available)
        data = os.pread(self._descriptor, length, position)
        while len(data) < length:
            more = os.pread(self._descriptor, length - len(data), position + len(data))
            if not more:
                break
            data += more
        return data

    def truncate(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)
        self._size = size
        self._tail_is_dirty = False

    def fsync(self) -> None:
        os.fsync(self._descriptor)

    def duplicate(self) -> int:
        """A second descriptor of the same file, for the worker."""
        return os.dup(self._descriptor)

    def close(self) -> None:
        if self._descriptor != _CLOSED:
            os.close(self._descriptor)
            self._descriptor = _CLOSED


class RealLock:
    """A POSIX record lock, as Kafka takes, and a list of our own, for such a lock does not exclude its own process."""

    _held: ClassVar[set[str]] = set()

    def __init__(self, path: str) -> None:
        self._path = os.path.realpath(path)
        if self._path in self._held:
            raise BlockingIOError(f"{path} is locked by this process")
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise BlockingIOError(f"{path} is locked by another process") from error
        self._held.add(self._path)

    def release(self) -> None:
        if self._path in self._held:
            self._held.discard(self._path)
            os.close(self._descriptor)


# Descriptors with the paths they are of, and who is told.
_Job = tuple[list[tuple[int, str]], Callable[[OSError | None], None]]


class RealStorage:
    """The directories of one node on the operating system's file systems.

    `call_soon_threadsafe` hands a callback from the worker to the node's thread, as an event loop's method of that name does.
    """

    def __init__(self, call_soon_threadsafe: Callable[[Callable[[], None]], object]) -> None:
        self._call_soon_threadsafe = call_soon_threadsafe
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._worker: threading.Thread | None = None
        # One thread counts up each of them, and nobody down.
        self._jobs_taken = self._jobs_done = 0
        self.fsyncs_done = 0

    @property
    def fsyncs_waiting(self) -> int:
        return self._jobs_taken - self._jobs_done

    def open(self, path: str) -> RealFile:
        return RealFile(path)

    def read(self, path: str) -> bytes:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            parts = []
            while part := os.read(descriptor, 1 << 20):
                parts.append(part)
            return b"".join(parts)
        finally:
            os.close(descriptor)

    def write_atomically(self, path: str, data: bytes, *, durable: bool = True) -> None:
        temporary = path + ".tmp"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            if durable:
                os.fsync(descriptor)
        except OSError:
            os.unlink(temporary)
            raise
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
        if durable:
            self.fsync_directory(os.path.dirname(path))

    def exists(self, path: str) -> bool:
        return os.path.exists(path)

    def size(self, path: str) -> int:
        return os.stat(path).st_size

    def modified_ms(self, path: str) -> int:
        return os.stat(path).st_mtime_ns // 1_000_000

    def list_directory(self, path: str) -> list[str]:
        return sorted(os.listdir(path))

    def make_directory(self, path: str) -> None:
        os.makedirs(path, exist_ok=True)

    def rename(self, source: str, target: str) -> None:
        os.rename(source, target)

    def remove(self, path: str) -> None:
        os.unlink(path)

    def remove_tree(self, path: str) -> None:
        shutil.rmtree(path, ignore_errors=False) if os.path.isdir(path) else None

    def fsync_directory(self, path: str) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def space(self, path: str) -> tuple[int, int]:
        status = os.statvfs(path)
        return status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize

    def lock(self, path: str) -> RealLock:
        return RealLock(path)

    def fsync_soon(self, files: Sequence[File], done: Callable[[OSError | None], None], directories: Sequence[str] = ()) -> None:
        descriptors: list[tuple[int, str]] = []
        try:
            for file in files:
                if not isinstance(file, RealFile):
                    raise TypeError(f"{file.path} was not opened by this storage")
                descriptors.append((file.duplicate(), file.path))
            for path in directories:
                descriptors.append((os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), path))
        except OSError as error:
            _close_all(descriptors)
            failure = error
            self._call_soon_threadsafe(lambda: done(failure))
            return
        if self._worker is None:
            self._worker = threading.Thread(target=self._work, name="fsync", daemon=True)
            self._worker.start()
        self._jobs_taken += 1
        self._jobs.put((descriptors, done))

    def _work(self) -> None:
        """The worker's life: one job at a time, in order, until None comes."""
        while (job := self._jobs.get()) is not None:
            descriptors, done = job
            failure: OSError | None = None
            path = ""
            try:
                for descriptor, path in descriptors:  # noqa: B007 - the error names the one that failed
                    os.fsync(descriptor)
                    self.fsyncs_done += 1
            except OSError as error:
                failure = OSError(error.errno, error.strerror, path)
            _close_all(descriptors)
            self._jobs_done += 1
            self._report(done, failure)

    def _report(self, done: Callable[[OSError | None], None], failure: OSError | None) -> None:
        # RuntimeError: the loop is closed, nobody waits for the answer any more.
        with contextlib.suppress(RuntimeError):
            self._call_soon_threadsafe(lambda: done(failure))

    def close(self, *, finish: bool = True) -> None:
        """Without `finish` a call that hangs is left to itself: the thread does not keep the process."""
        if self._worker is not None:
            self._jobs.put(None)
            if finish:
                self._worker.join()
            self._worker = None


def _close_all(descriptors: Sequence[tuple[int, str]]) -> None:
    for descriptor, _ in descriptors:
        os.close(descriptor)
