"""What the storage port promises, held against both twins: the same calls, the same outcomes, the same errors."""

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest
from broker.clock.simulated import SimulatedClock
from broker.storage.port import Storage
from broker.storage.real import RealStorage
from broker.storage.simulated import SimulatedStorage

DONE_TIMEOUT_S = 30


class Twin:
    """A storage with a directory to work in, and a way to run until `fsync_soon` has answered."""

    def __init__(self, storage: Storage, root: str, run_one: Callable[[], None]) -> None:
        self.storage = storage
        self.root = root
        self.run_one = run_one

    def path(self, name: str) -> str:
        return f"{self.root}/{name}"


@pytest.fixture(params=["real", "simulated"])
def twin(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Twin]:
    if request.param == "real":
        calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        real = RealStorage(calls.put)

        def run_one() -> None:
            call = calls.get(timeout=DONE_TIMEOUT_S)
            call()

        yield Twin(real, str(tmp_path), run_one)
        real.close()
    else:
        clock = SimulatedClock()
        simulated = SimulatedStorage(clock)
        simulated.make_directory("/disk")
        yield Twin(simulated, "/disk", lambda: None if clock.step() else pytest.fail("nothing is due"))


def test_a_file_is_appended_to_and_read_at_positions(twin: Twin) -> None:
    file = twin.storage.open(twin.path("log"))
    assert file.path == twin.path("log")
    assert file.size == 0
    assert file.append([b"abc", bytearray(b"de"), memoryview(b"f")]) == 0
    assert file.append([b"gh"]) == 6
    assert file.append([]) == 8
    assert file.size == 8
    assert file.pread(3, 2) == b"cde"
    assert file.pread(100, 6) == b"gh"
    assert file.pread(1, 8) == b""
    assert file.pread(5, 100) == b""
    assert file.pread(0, 0) == b""
    assert type(file.pread(1, 0)) is bytes
    file.close()
    assert twin.storage.read(twin.path("log")) == b"abcdefgh"


def test_a_file_is_found_again_and_continued(twin: Twin) -> None:
    file = twin.storage.open(twin.path("log"))
    file.append([b"one"])
    file.close()
    again = twin.storage.open(twin.path("log"))
    assert again.size == 3
    assert again.append([b"two"]) == 3
    assert twin.storage.size(twin.path("log")) == 6
    again.close()
    again.close()


def test_more_buffers_than_one_call_takes(twin: Twin) -> None:
    file = twin.storage.open(twin.path("log"))
    buffers = [b"%05d" % number for number in range(3000)]
    assert file.append(buffers) == 0
    assert file.pread(20_000, 0) == b"".join(buffers)
    file.close()


def test_truncation(twin: Twin) -> None:
    file = twin.storage.open(twin.path("log"))
    file.append([b"0123456789"])
    file.truncate(4)
    assert file.size == 4
    assert file.append([b"x"]) == 4
    assert file.pread(10, 0) == b"0123x"
    file.close()


def test_a_closed_file_is_an_error(twin: Twin) -> None:
    file = twin.storage.open(twin.path("log"))
    file.append([b"x"])
    file.close()
    for use in (lambda: file.append([b"x"]), lambda: file.pread(1, 0), file.fsync, lambda: file.truncate(0)):
        with pytest.raises((OSError, ValueError)):
            use()


def test_a_small_file_is_replaced_as_a_whole(twin: Twin) -> None:
    path = twin.path("checkpoint")
    for data, durable in ((b"first", True), (b"second", False), (b"", True)):
        twin.storage.write_atomically(path, data, durable=durable)
        assert twin.storage.read(path) == data
    assert twin.storage.list_directory(twin.root) == ["checkpoint"]


def test_an_open_file_outlives_its_name(twin: Twin) -> None:
    """A reader of a deleted or renamed segment goes on reading."""
    file = twin.storage.open(twin.path("log"))
    file.append([b"data"])
    twin.storage.rename(twin.path("log"), twin.path("log.deleted"))
    assert file.pread(4, 0) == b"data"
    twin.storage.remove(twin.path("log.deleted"))
    assert file.pread(4, 0) == b"data"
    file.close()
    assert twin.storage.list_directory(twin.root) == []


def test_directories(twin: Twin) -> None:
    storage = twin.storage
    storage.make_directory(twin.path("a/b/c"))
    storage.make_directory(twin.path("a/b/c"))
    storage.open(twin.path("a/z")).close()
    storage.open(twin.path("a/y")).close()
    assert storage.list_directory(twin.path("a")) == ["b", "y", "z"]
    assert storage.exists(twin.path("a/b"))
    assert not storage.exists(twin.path("a/x"))
    storage.rename(twin.path("a"), twin.path("d"))
    assert storage.list_directory(twin.root) == ["d"]
    storage.fsync_directory(twin.path("d"))
    storage.remove_tree(twin.path("d"))
    storage.remove_tree(twin.path("d"))
    assert storage.list_directory(twin.root) == []


def test_what_is_absent_is_an_error(twin: Twin) -> None:
    storage, absent = twin.storage, twin.path("absent")
    for use in (storage.read, storage.size, storage.modified_ms, storage.list_directory, storage.remove, storage.fsync_directory):
        with pytest.raises(FileNotFoundError):
            use(absent)
    with pytest.raises(FileNotFoundError):
        storage.rename(absent, twin.path("other"))
    with pytest.raises(FileNotFoundError):
        storage.open(twin.path("absent/log"))
    with pytest.raises(FileNotFoundError):
        storage.write_atomically(twin.path("absent/checkpoint"), b"x")


def test_a_directory_is_no_file(twin: Twin) -> None:
    twin.storage.make_directory(twin.path("d"))
    with pytest.raises(IsADirectoryError):
        twin.storage.open(twin.path("d"))
    twin.storage.open(twin.path("f")).close()
    with pytest.raises(FileExistsError):
        twin.storage.make_directory(twin.path("f"))


def test_renaming_replaces(twin: Twin) -> None:
    for name in ("old", "new"):
        file = twin.storage.open(twin.path(name))
        file.append([name.encode()])
        file.close()
    twin.storage.rename(twin.path("new"), twin.path("old"))
    assert twin.storage.list_directory(twin.root) == ["old"]
    assert twin.storage.read(twin.path("old")) == b"new"


def test_a_directory_is_claimed_by_one(twin: Twin) -> None:
    lock = twin.storage.lock(twin.path(".lock"))
    with pytest.raises(BlockingIOError):
        twin.storage.lock(twin.path(".lock"))
    lock.release()
    lock.release()
    second = twin.storage.lock(twin.path(".lock"))
    second.release()
    assert twin.storage.exists(twin.path(".lock"))


def test_fsyncing_answers_later_and_in_order(twin: Twin) -> None:
    answers: list[tuple[str, OSError | None]] = []
    file = twin.storage.open(twin.path("log"))
    file.append([b"x"])
    twin.storage.fsync_soon([file], lambda error: answers.append(("file", error)))
    twin.storage.fsync_soon([], lambda error: answers.append(("directory", error)), [twin.root])
    twin.storage.fsync_soon([], lambda error: answers.append(("nothing", error)))
    assert answers == []
    for _ in range(3):
        twin.run_one()
    assert answers == [("file", None), ("directory", None), ("nothing", None)]
    file.close()


def test_it_is_known_whether_the_disk_moves(twin: Twin) -> None:
    file = twin.storage.open(twin.path("log"))
    file.append([b"a"])
    assert (twin.storage.fsyncs_waiting, twin.storage.fsyncs_done) == (0, 0)
    answers: list[OSError | None] = []
    twin.storage.fsync_soon([file, file], answers.append, [twin.root])
    twin.storage.fsync_soon([], answers.append)
    for _ in range(2):
        twin.run_one()
    assert answers == [None, None]
    assert (twin.storage.fsyncs_waiting, twin.storage.fsyncs_done) == (0, 3)
    file.close()


def test_a_file_may_be_closed_while_it_is_fsynced(twin: Twin) -> None:
    answers: list[OSError | None] = []
    file = twin.storage.open(twin.path("log"))
    file.append([b"x"])
    twin.storage.fsync_soon([file], answers.append)
    file.close()
    twin.run_one()
    assert answers == [None]


def test_only_files_of_this_storage_are_fsynced(twin: Twin) -> None:
    class Foreign:
        path = "foreign"
        size = 0

    with pytest.raises(TypeError, match="not opened by this storage"):
        twin.storage.fsync_soon([Foreign()], lambda error: None)  # type: ignore[list-item]


def test_times_and_space(twin: Twin) -> None:
    twin.storage.write_atomically(twin.path("f"), b"x")
    assert twin.storage.modified_ms(twin.path("f")) > 1_600_000_000_000
    total, usable = twin.storage.space(twin.root)
    assert 0 < usable <= total


def test_closing_is_harmless(twin: Twin) -> None:
    twin.storage.close()
    twin.storage.close()


def test_errors_carry_a_number(twin: Twin) -> None:
    with pytest.raises(OSError, match="absent") as caught:
        twin.storage.read(twin.path("absent"))
    assert caught.value.errno == errno.ENOENT
