"""A disk that can be filled while a broker uses it: the real storage, and a switch that a test throws from outside.

Owns: what a full disk is like, as ext4 has it: a file grows to the end of its last block, what goes beyond is cut off again and
refused with ENOSPC; new files stay empty, there are no new directories; reading, fsync, cutting, renaming and removing go on.
What is freed meanwhile stays taken until the switch is thrown back. The switch is a byte in a file that the broker's process
has mapped, so it costs a write next to nothing, holds from the next write on, and outlives the process.
Leaves out: who throws it (`process`). See docs/adr/0013.
"""

import errno
import mmap
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from broker.storage.port import Buffer
from broker.storage.real import RealFile, RealStorage

BLOCK_BYTES = 4096


def throw_switch(path: Path, *, full: bool) -> None:
    """Say in the file at `path`, made when it is absent, whether the disk is full. It is never shorter than its byte."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.pwrite(descriptor, bytes([full]), 0)
    finally:
        os.close(descriptor)


class Switch:
    """The broker's side of it: a file that `throw_switch` has made."""

    def __init__(self, path: str) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._byte = mmap.mmap(descriptor, 1, access=mmap.ACCESS_READ)
        finally:
            os.close(descriptor)

    @property
    def full(self) -> bool:
        return self._byte[0] != 0


class FillableFile(RealFile):
    """See the module."""

    __slots__ = ("_switch",)

    def __init__(self, path: str, switch: Switch) -> None:
        super().__init__(path)
        self._switch = switch

    def append(self, buffers: Sequence[Buffer]) -> int:
        if not self._switch.full:
            return super().append(buffers)
        room = -self.size % BLOCK_BYTES
        data = b"".join(buffers)
        position = super().append([data[:room]])
        if len(data) > room:
            self.truncate(position)
            raise _no_space(self.path)
        return position


class FillableStorage(RealStorage):
    """See the module."""

    def __init__(self, call_soon_threadsafe: Callable[[Callable[[], None]], object], switch: Switch) -> None:
        super().__init__(call_soon_threadsafe)
        self._switch = switch

    def open(self, path: str) -> FillableFile:
        return FillableFile(path, self._switch)

    def write_atomically(self, path: str, data: bytes, *, durable: bool = True) -> None:
        if self._switch.full and data:
            raise _no_space(path)
        super().write_atomically(path, data, durable=durable)

    def make_directory(self, path: str) -> None:
        if self._switch.full and not self.exists(path):
            raise _no_space(path)
        super().make_directory(path)

    def space(self, path: str) -> tuple[int, int]:
        total, free = super().space(path)
        return total, 0 if self._switch.full else free


def _no_space(path: str) -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
