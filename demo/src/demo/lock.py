"""The lock of a data directory: a file that carries its holder's process id and is locked by it as long as it lives.

Invariants: the lock, not the file, says that a board runs, so a killed holder leaves nothing that hinders; the file gets
its name only once it is locked and written, so whoever finds it locked reads the right process id; the holder takes the
file away when it ends. Only on local disks (flock).
"""

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import IO

ATTEMPTS = 10
RETRY_SECONDS = 0.05


class Held(Exception):
    """Another process holds it; `pid` is its id."""

    def __init__(self, pid: int) -> None:
        super().__init__(f"held by process {pid}")
        self.pid = pid


class Lock:
    """A lock that was taken; `release` gives it back."""

    def __init__(self, path: Path, handle: IO[str]) -> None:
        self._path = path
        self._handle = handle

    def release(self) -> None:
        self._path.unlink(missing_ok=True)
        self._handle.close()


def take(path: Path) -> Lock:
    """Claim `path` for this process; Held when another one has it, OSError when the file cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    own_path = path.with_name(f"{path.name}.{os.getpid()}")
    with contextlib.ExitStack() as undo:
        handle = undo.enter_context(own_path.open("w"))
        undo.callback(own_path.unlink, missing_ok=True)
        handle.write(str(os.getpid()))
        handle.flush()
        fcntl.flock(handle, fcntl.LOCK_EX)
        for _ in range(ATTEMPTS):  # a holder that is just ending, or one who only looks, is gone in a moment
            try:
                os.link(own_path, path)
            except FileExistsError:
                if not _remove_if_free(path):
                    time.sleep(RETRY_SECONDS)
            else:
                own_path.unlink()
                undo.pop_all()
                return Lock(path, handle)
        raise Held(holder(path) or 0)


def holder(path: Path) -> int | None:
    """The process id of whoever holds it; None when nobody does."""
    try:
        with path.open() as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(handle.read() or 0)
    except FileNotFoundError:
        pass
    return None


def _remove_if_free(path: Path) -> bool:
    """Take away the file of a holder that was killed; whether the name is free now."""
    try:
        with path.open() as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            # Between opening and locking, another process may have put its own file here.
            if _is_same(path, handle):
                path.unlink()
            return True
    except FileNotFoundError:
        return True


def _is_same(path: Path, handle: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle.fileno()))
    except FileNotFoundError:
        return False
