"""The simulated twin of the storage port: a file system in memory that knows what would survive a power cut.

Every file has its content and the content that was fsynced; every directory its entries, the entries that were fsynced,
and the operations since. `crash(rng, "process")` keeps what was written; `crash(rng, "torn")` keeps what was fsynced and,
of the rest, a prefix of the bytes (sometimes followed by zeros or garbage) and a prefix of each directory's operations.
Handles and callbacks of before a crash are dead after it. `die_after` makes the node die in the midst of an operation: a
write has happened in part or as a whole, a replaced file stands under its temporary name, an fsync has not come back.
Everything is decided by the arguments: no clock, no randomness of its own.

Not done: reordering of writes within one file, damage to bytes that were fsynced (tests flip bits themselves).
"""

import errno
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

from broker.storage.port import Buffer, File

CrashMode = Literal["process", "torn"]


class NodeDied(BaseException):
    """The node died within an operation; whoever runs the simulation catches it and crashes the rest of the node.

    No `Exception`, for no handler of errors may survive its own death.
    """

    def __init__(self, storage: "SimulatedStorage") -> None:
        super().__init__()
        self.storage = storage


FSYNC_DELAY_MS = 2
# A torn tail of a file: how often nothing, zeros or garbage follows the bytes that made it.
_TAILS = ("none", "none", "zeros", "garbage")


class Clock(Protocol):
    """What the simulated disk needs of the clock (`broker.clock` is a sibling, so its port is not imported)."""

    def monotonic_ms(self) -> int: ...

    def wall_ms(self) -> int: ...

    def call_at(self, deadline_ms: int, callback: Callable[[], None], /) -> object: ...


class RandomSource(Protocol):
    """What a crash needs of `random.Random`."""

    def randrange(self, stop: int, /) -> int: ...

    def randbytes(self, n: int, /) -> bytes: ...


class _Inode:
    """A file: what was written, and what was fsynced. `common` bytes at the start of both are equal; it was cut `cuts` times."""

    __slots__ = ("common", "content", "cuts", "durable", "modified_ms")

    def __init__(self, content: bytes = b"") -> None:
        self.content = bytearray(content)
        self.durable = bytearray()
        self.common = 0
        self.cuts = 0
        self.modified_ms = 0

    def survives(self) -> bytes:
        """What any crash leaves: a cut that was not fsynced may come undone, so only what both have in common is sure."""
        return bytes(self.durable[: self.common])

    def sync(self, size: int | None = None) -> None:
        """Make the first `size` bytes durable (all when None)."""
        end = len(self.content) if size is None else min(size, len(self.content))
        del self.durable[self.common :]
        self.durable += self.content[self.common : end]
        self.common = len(self.durable)

    def cut(self, size: int) -> None:
        self.cuts += 1
        del self.content[size:]
        self.common = min(self.common, size)

    def tear(self, rng: RandomSource) -> None:
        """What a power cut leaves."""
        if self.common < len(self.durable) and rng.randrange(2):
            self.content = bytearray(self.durable)  # the truncation never reached the disk
            self.cuts += 1
        else:
            unsynced = len(self.content) - self.common
            kept = rng.randrange(unsynced + 1) if unsynced else 0
            tail = _TAILS[rng.randrange(len(_TAILS))] if kept < unsynced else "none"
            lost = unsynced - kept
            self.cut(self.common + kept)
            if tail != "none":
                length = rng.randrange(lost) + 1
                self.content += bytes(length) if tail == "zeros" else rng.randbytes(length)
        self.durable = bytearray(self.content)
        self.common = len(self.content)


class _Directory:
    """Names to files and directories, as they are and as they were at the last fsync."""

    __slots__ = ("durable", "entries", "operations")

    def __init__(self) -> None:
        self.entries: dict[str, _Node] = {}
        self.durable: dict[str, _Node] = {}
        self.operations: list[list[tuple[str, _Node | None]]] = []

    def change(self, *changes: tuple[str, "_Node | None"]) -> None:
        """One atomic step: each name gets its node, or goes when it is None."""
        _apply(self.entries, changes)
        self.operations.append(list(changes))

    def sync(self) -> None:
        self.durable = dict(self.entries)
        self.operations.clear()

    def survives(self) -> dict[str, "_Node"]:
        """The entries that any crash leaves as they are."""
        changed = {name for changes in self.operations for name, _ in changes}
        return {name: node for name, node in self.durable.items() if name not in changed}

    def tear(self, rng: RandomSource) -> None:
        survived = rng.randrange(len(self.operations) + 1) if self.operations else 0
        self.entries = dict(self.durable)
        for changes in self.operations[:survived]:
            _apply(self.entries, changes)
        self.sync()
        for name in sorted(self.entries):
            self.entries[name].tear(rng)


_Node = _Inode | _Directory


def _apply(entries: dict[str, _Node], changes: Sequence[tuple[str, _Node | None]]) -> None:
    for name, node in changes:
        if node is None:
            entries.pop(name, None)
        else:
            entries[name] = node


class SimulatedFile:
    """An open file of `SimulatedStorage`."""

    __slots__ = ("_life", "_storage", "inode", "path")

    def __init__(self, storage: "SimulatedStorage", path: str, inode: _Inode) -> None:
        self._storage = storage
        self._life = storage.life
        self.path = path
        self.inode = inode

    @property
    def size(self) -> int:
        return len(self.inode.content)

    def append(self, buffers: Sequence[Buffer]) -> int:
        self._check()
        position = len(self.inode.content)
        self._storage.write(self.inode, b"".join(buffers), self.path)
        return position

    def pread(self, length: int, position: int) -> bytes:
        self._check()
        return bytes(self.inode.content[position : position + max(0, length)])

    def truncate(self, size: int) -> None:
        self._check()
        self._storage.operate()
        self._storage.used_bytes -= max(0, len(self.inode.content) - size)
        self.inode.cut(size)

    def fsync(self) -> None:
        self._check()
        self._storage.operate()
        self._storage.check_fsync(self.path)
        self.inode.sync()

    def close(self) -> None:
        self._life = -1

    def _check(self) -> None:
        if self._life != self._storage.life:
            raise OSError(errno.EBADF, "closed, or the node crashed since it was opened", self.path)


class SimulatedLock:
    """A claim that a crash releases."""

    def __init__(self, storage: "SimulatedStorage", path: str) -> None:
        self._storage = storage
        self._path = path

    def release(self) -> None:
        self._storage.locks.pop(self._path, None)


class SimulatedStorage:
    """The disk of one simulated node. It outlives the node: crash it, then start a new node on it.

    Faults: `capacity_bytes` (appends beyond it are partly written, cut off again, and end in ENOSPC), `fail_fsync`
    (every fsync ends in EIO and makes nothing durable), `fail_writes` (every write ends in EIO).
    """

    def __init__(self, clock: Clock, *, capacity_bytes: int | None = None, fsync_delay_ms: int = FSYNC_DELAY_MS) -> None:
        self._clock = clock
        self.fsync_delay_ms = fsync_delay_ms
        self._fsyncs_end_ms = 0
        self.fsyncs_waiting = self.fsyncs_done = 0
        self._root = _Directory()
        self.capacity_bytes = capacity_bytes
        self.used_bytes = 0
        self.fail_fsync = False
        self.fail_writes = False
        self.life = 0
        # How often anything was changed, for those who look on.
        self.changes = 0
        # How many operations the node still lives through, and what decides how much of the last one happens.
        self._operations_left: int | None = None
        self._death: RandomSource | None = None
        self.locks: dict[str, SimulatedLock] = {}

    # Files

    def open(self, path: str) -> SimulatedFile:
        directory, name = self._parent(path)
        node = directory.entries.get(name)
        if node is None:
            self.operate()
            node = _Inode()
            node.modified_ms = self._clock.wall_ms()
            directory.change((name, node))
        if isinstance(node, _Directory):
            raise IsADirectoryError(errno.EISDIR, "is a directory", path)
        return SimulatedFile(self, path, node)

    def read(self, path: str) -> bytes:
        return bytes(self._file(path).content)

    def write_atomically(self, path: str, data: bytes, *, durable: bool = True) -> None:
        directory, name = self._parent(path)
        inode = _Inode()
        directory.change((name + ".tmp", inode))
        try:
            self.write(inode, data, path)
            if durable:
                self.operate()
                self.check_fsync(path)
                inode.sync()
        except OSError:
            self.used_bytes -= len(inode.content)
            directory.change((name + ".tmp", None))
            raise
        self.operate()
        replaced = directory.entries.get(name)
        self.used_bytes -= len(replaced.content) if isinstance(replaced, _Inode) else 0
        directory.change((name + ".tmp", None), (name, inode))
        if durable:
            self.operate()
            directory.sync()

    def write(self, inode: _Inode, data: bytes, path: str) -> None:
        """Append to a file, within the capacity of the disk."""
        if self._is_last_operation():
            assert self._death is not None
            # A part of it has happened, or all of it, and nobody was told.
            inode.content += data if self._death.randrange(3) == 0 else data[: self._death.randrange(len(data) + 1)]
        self.operate()
        if self.fail_writes:
            raise OSError(errno.EIO, "simulated write error", path)
        if self.capacity_bytes is not None and self.used_bytes + len(data) > self.capacity_bytes:
            size = len(inode.content)
            inode.content += data[: max(0, self.capacity_bytes - self.used_bytes)]
            inode.cut(size)
            raise OSError(errno.ENOSPC, "no space left on the simulated disk", path)
        inode.content += data
        inode.modified_ms = self._clock.wall_ms()
        self.used_bytes += len(data)

    def exists(self, path: str) -> bool:
        return self._find(path) is not None

    def size(self, path: str) -> int:
        return len(self._file(path).content)

    def modified_ms(self, path: str) -> int:
        return self._file(path).modified_ms

    # Directories

    def list_directory(self, path: str) -> list[str]:
        return sorted(self._directory(path).entries)

    def make_directory(self, path: str) -> None:
        node = self._root
        for name in _split(path):
            child = node.entries.get(name)
            if child is None:
                self.operate()
                child = _Directory()
                node.change((name, child))
            if not isinstance(child, _Directory):
                raise FileExistsError(errno.EEXIST, "is a file", path)
            node = child

    def rename(self, source: str, target: str) -> None:
        directory, name = self._parent(source)
        target_directory, target_name = self._parent(target)
        node = directory.entries.get(name)
        if node is None:
            raise FileNotFoundError(errno.ENOENT, "no such file", source)
        if directory is not target_directory:
            raise OSError(errno.EXDEV, "the simulated disk renames within one directory", source)
        self.operate()
        self.used_bytes -= _bytes(directory.entries.get(target_name))
        directory.change((name, None), (target_name, node))

    def remove(self, path: str) -> None:
        directory, name = self._parent(path)
        self.operate()
        self.used_bytes -= len(self._file(path).content)
        directory.change((name, None))

    def remove_tree(self, path: str) -> None:
        node = self._find(path)
        if node is not None:
            self.operate()
            self.used_bytes -= _bytes(node)
            directory, name = self._parent(path)
            directory.change((name, None))

    def fsync_directory(self, path: str) -> None:
        self.operate()
        self.check_fsync(path)
        self._directory(path).sync()

    def space(self, path: str) -> tuple[int, int]:
        self._directory(path)
        total = 1 << 40 if self.capacity_bytes is None else self.capacity_bytes
        return total, max(0, total - self.used_bytes)

    def lock(self, path: str) -> SimulatedLock:
        if path in self.locks:
            raise BlockingIOError(errno.EWOULDBLOCK, "locked by another node", path)
        self.open(path)
        lock = self.locks[path] = SimulatedLock(self, path)
        return lock

    # Durability

    def fsync_soon(self, files: Sequence[File], done: Callable[[OSError | None], None], directories: Sequence[str] = ()) -> None:
        """Covers what was written before the call, and takes `fsync_delay_ms` of virtual time; one after the other."""
        self.operate()
        life = self.life
        synced = [(file, file.size) for file in files if isinstance(file, SimulatedFile)]
        if len(synced) != len(files):
            raise TypeError("a file was not opened by this storage")
        found = [self._directory(path) for path in directories]

        def finish() -> None:
            if self.life != life:
                return
            self.fsyncs_waiting -= 1
            self.fsyncs_done += len(synced) + len(found)
            if self.fail_fsync:
                done(OSError(errno.EIO, "simulated fsync error", files[0].path if files else ""))
                return
            for file, size in synced:
                file.inode.sync(size)
            for directory in found:
                directory.sync()
            done(None)

        self._fsyncs_end_ms = max(self._fsyncs_end_ms, self._clock.monotonic_ms() + self.fsync_delay_ms)
        self.fsyncs_waiting += 1
        self._clock.call_at(self._fsyncs_end_ms, finish)

    def check_fsync(self, path: str) -> None:
        if self.fail_fsync:
            raise OSError(errno.EIO, "simulated fsync error", path)

    # Endings.

    def die_after(self, operations: int, rng: RandomSource) -> None:
        """Let the node live through so many more operations that change something, and die in the next one (`NodeDied`)."""
        self._operations_left, self._death = operations, rng

    def live_on(self) -> None:
        """Take back `die_after`."""
        self._operations_left = None

    def _is_last_operation(self) -> bool:
        return self._operations_left == 0

    def operate(self) -> None:
        """An operation that changes something begins."""
        self.changes += 1
        if self._operations_left is None:
            return
        if self._is_last_operation():
            self._operations_left = None
            raise NodeDied(self)
        self._operations_left -= 1

    def files(self, *, surviving: bool = False) -> dict[str, bytes]:
        """All files by path. `surviving`: what any crash leaves, files whose names are durable with the bytes that are."""
        found: dict[str, bytes] = {}
        waiting: list[tuple[str, _Node]] = [("", self._root)]
        while waiting:
            path, node = waiting.pop()
            if isinstance(node, _Inode):
                found[path] = node.survives() if surviving else bytes(node.content)
            else:
                entries = node.survives() if surviving else node.entries
                waiting += [(f"{path}/{name}", child) for name, child in entries.items()]
        return dict(sorted(found.items()))

    def inside(self, path: str) -> Mapping[str, "_Node"]:
        """What is in a directory now, for those who look on: files have `content` and `cuts`. Nothing when there is none."""
        node = self._find(path)
        return node.entries if isinstance(node, _Directory) else {}

    def crash(self, rng: RandomSource, mode: CrashMode = "process") -> None:
        """The node dies: locks are released, open files and pending callbacks are dead. `torn`: the power went, too."""
        self.life += 1
        self.changes += 1
        self._operations_left = None
        self.fsyncs_waiting = 0
        self.locks.clear()
        if mode == "torn":
            self._root.tear(rng)
        self.used_bytes = _bytes(self._root)

    def close(self, *, finish: bool = True) -> None:
        """Nothing to end: there is no worker."""

    # Paths

    def _find(self, path: str) -> "_Node | None":
        node: _Node | None = self._root
        for name in _split(path):
            if not isinstance(node, _Directory):
                return None
            node = node.entries.get(name)
        return node

    def _file(self, path: str) -> _Inode:
        node = self._find(path)
        if not isinstance(node, _Inode):
            raise FileNotFoundError(errno.ENOENT, "no such file", path)
        return node

    def _directory(self, path: str) -> _Directory:
        node = self._find(path)
        if not isinstance(node, _Directory):
            raise FileNotFoundError(errno.ENOENT, "no such directory", path)
        return node

    def _parent(self, path: str) -> tuple[_Directory, str]:
        head, _, name = path.rstrip("/").rpartition("/")
        return self._directory(head), name


def _split(path: str) -> list[str]:
    return [name for name in path.split("/") if name]


def _bytes(node: _Node | None) -> int:
    if isinstance(node, _Inode):
        return len(node.content)
    return sum(_bytes(child) for child in node.entries.values()) if node is not None else 0
