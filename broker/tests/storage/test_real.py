"""The real twin under faults of the operating system: partial writes, full disks, failed fsyncs, other processes."""

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest
from broker.storage import real
from broker.storage.real import RealStorage

TIMEOUT_S = 30


@pytest.fixture
def calls() -> "SimpleQueue[Callable[[], None]]":
    return SimpleQueue()


@pytest.fixture
def storage(calls: "SimpleQueue[Callable[[], None]]") -> Iterator[RealStorage]:
    made = RealStorage(calls.put)
    yield made
    made.close()


def test_a_short_write_is_continued(storage: RealStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = storage.open(str(tmp_path / "log"))
    monkeypatch.setattr(os, "pwritev", lambda fd, buffers, position: os.pwrite(fd, b"".join(buffers)[:3], position))
    assert file.append([b"abc", b"defgh"]) == 0
    assert file.pread(100, 0) == b"abcdefgh"
    file.close()


def test_a_full_disk_leaves_nothing_of_the_write(storage: RealStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    file = storage.open(str(path))
    file.append([b"before"])

    def partly(fd: int, buffers: list[bytes], position: int) -> int:
        os.pwrite(fd, b"".join(buffers)[:2], position)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwritev", partly)
        with pytest.raises(OSError, match="No space") as caught:
            file.append([b"lost"])
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == b"before"
    assert file.append([b" and after"]) == 6
    assert path.read_bytes() == b"before and after"
    file.close()


def test_a_tail_that_could_not_be_cut_off_is_never_read_and_cut_later(
    storage: RealStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    file = storage.open(str(path))
    file.append([b"before"])

    def partly(fd: int, buffers: list[bytes], position: int) -> int:
        os.pwrite(fd, b"".join(buffers)[:20], position)
        raise OSError(errno.EIO, "Input/output error")

    def refuse(fd: int, size: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwritev", partly)
        patch.setattr(os, "ftruncate", refuse)
        with pytest.raises(OSError, match="Input/output"):
            file.append([b"lost lost lost lost"])
        assert path.stat().st_size > 6
        assert (file.size, file.pread(100, 0)) == (6, b"before")
    assert file.append([b"!"]) == 6
    assert path.read_bytes() == b"before!"
    file.close()


def test_a_failed_fsync_is_reported(
    storage: RealStorage, calls: "SimpleQueue[Callable[[], None]]", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", refuse)
    file = storage.open(str(tmp_path / "log"))
    answers: list[OSError | None] = []
    storage.fsync_soon([file], answers.append, [str(tmp_path)])
    calls.get(timeout=TIMEOUT_S)()
    (error,) = answers
    assert error is not None
    assert (error.errno, error.filename) == (errno.EIO, file.path)
    with pytest.raises(OSError, match="Input/output"):
        file.fsync()
    with pytest.raises(OSError, match="Input/output"):
        storage.write_atomically(str(tmp_path / "checkpoint"), b"x")
    assert storage.list_directory(str(tmp_path)) == ["log"]
    file.close()


def test_a_directory_that_is_gone_is_reported_by_the_callback(
    storage: RealStorage, calls: "SimpleQueue[Callable[[], None]]", tmp_path: Path
) -> None:
    answers: list[OSError | None] = []
    storage.fsync_soon([], answers.append, [str(tmp_path / "absent")])
    calls.get(timeout=TIMEOUT_S)()
    assert isinstance(answers[0], FileNotFoundError)


def test_fsyncing_keeps_no_descriptor(storage: RealStorage, calls: "SimpleQueue[Callable[[], None]]", tmp_path: Path) -> None:
    file = storage.open(str(tmp_path / "log"))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        storage.fsync_soon([file], lambda error: None, [str(tmp_path)])
    storage.fsync_soon([file], lambda error: None, [str(tmp_path / "absent")])
    for _ in range(51):
        calls.get(timeout=TIMEOUT_S)()
    assert len(os.listdir("/proc/self/fd")) == before
    file.close()


def test_closing_finishes_what_was_taken_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    storage = RealStorage(lambda call: None)
    file = storage.open(str(tmp_path / "log"))
    for _ in range(20):
        storage.fsync_soon([file], lambda error: None)
    storage.close()
    assert len(synced) == 20
    file.close()


def test_an_fsync_that_hangs_keeps_nobody_who_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, released = threading.Event(), threading.Event()

    def hang(descriptor: int) -> None:
        begun.set()
        released.wait(TIMEOUT_S)

    monkeypatch.setattr(os, "fsync", hang)
    others = threading.enumerate()
    storage = RealStorage(lambda call: None)
    file = storage.open(str(tmp_path / "log"))
    storage.fsync_soon([file], lambda error: None)
    assert begun.wait(TIMEOUT_S)
    assert (storage.fsyncs_waiting, storage.fsyncs_done) == (1, 0)
    (worker,) = [thread for thread in threading.enumerate() if thread.name == "fsync" and thread not in others]
    storage.close(finish=False)
    assert worker.is_alive()
    released.set()
    worker.join(TIMEOUT_S)
    assert not worker.is_alive()
    file.close()


def test_a_loop_that_is_closed_is_no_error(tmp_path: Path) -> None:
    def closed(call: Callable[[], None]) -> None:
        raise RuntimeError("Event loop is closed")

    storage = RealStorage(closed)
    file = storage.open(str(tmp_path / "log"))
    storage.fsync_soon([file], lambda error: None)
    storage.close()
    file.close()


HOLD = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.lockf(descriptor, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_another_process_holds_the_lock(storage: RealStorage, tmp_path: Path) -> None:
    """Kafka takes a POSIX lock, too: two brokers, of whatever make, do not share a directory."""
    path = str(tmp_path / ".lock")
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(BlockingIOError, match="another process"):
            storage.lock(path)
        other.stdin.close()
        other.wait(TIMEOUT_S)
    storage.lock(path).release()


def test_the_lock_is_known_by_its_file(storage: RealStorage, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    lock = storage.lock(str(tmp_path / "data" / ".lock"))
    with pytest.raises(BlockingIOError, match="this process"):
        storage.lock(str(tmp_path / "link" / ".lock"))
    lock.release()


def test_a_file_in_place_of_a_tree_is_left(storage: RealStorage, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    storage.remove_tree(str(tmp_path / "file"))
    assert (tmp_path / "file").exists()


def test_the_bound_of_one_call() -> None:
    assert os.sysconf("SC_IOV_MAX") >= real.WRITE_BUFFERS_MAX
