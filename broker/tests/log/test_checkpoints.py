"""Checkpoint files: Kafka's text, broken ones that count as absent, and replacing them off the hot path."""

import errno
import random

import pytest
from broker.log.checkpoints import CheckpointWriter, encode_lines, encode_offsets, read_lines, read_offsets

from .disk import DIRECTORY, Disk

PATH = f"{DIRECTORY}/checkpoint"


def writer(disk: Disk) -> tuple[CheckpointWriter, list[tuple[str, int | None]]]:
    failures: list[tuple[str, int | None]] = []
    return CheckpointWriter(disk.storage, lambda path, error: failures.append((path, error.errno))), failures


def test_the_text_is_kafkas() -> None:
    assert encode_offsets({("b", 1): 5, ("a", 0): 7}) == b"0\n2\na 0 7\nb 1 5\n"
    assert encode_lines([]) == b"0\n0\n"


def test_what_is_written_is_read() -> None:
    disk = Disk()
    offsets = {("topic.with-all_signs", 12): 2**40, ("a", 0): 0}
    disk.storage.open(PATH).append([encode_offsets(offsets)])
    assert read_offsets(disk.storage, PATH) == offsets


def test_an_absent_file() -> None:
    disk = Disk()
    assert read_lines(disk.storage, PATH) is None
    assert read_offsets(disk.storage, PATH) == {}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"0\n",
        b"0\n0",
        b"1\n0\n",
        b"0\n2\na 0 7\n",
        b"0\n1\na 0 7\nb 0 7\n",
        b"0\nx\n",
        b"0\n1\na 0\n",
        b"0\n1\na 0 x\n",
        b"\xff\xfe\0",
    ],
)
def test_a_broken_file_counts_as_absent(data: bytes) -> None:
    disk = Disk()
    disk.storage.open(PATH).append([data])
    assert read_offsets(disk.storage, PATH) == {}


def test_every_cut_of_a_file_is_all_or_nothing() -> None:
    disk = Disk()
    offsets = {("a", 0): 17, ("b", 1): 23}
    whole = encode_offsets(offsets)
    for end in range(len(whole)):
        for tail in (b"", b"\0", b"7"):
            disk.overwrite("checkpoint", whole[:end] + tail)
            assert read_offsets(disk.storage, PATH) == {}, whole[:end] + tail


def test_now_is_durable_when_it_returns() -> None:
    disk = Disk()
    checkpoints, failures = writer(disk)
    checkpoints.write_now(PATH, b"one")
    disk.storage.crash(random.Random(1), "torn")
    assert (disk.storage.read(PATH), failures) == (b"one", [])


def test_soon_is_durable_after_the_fsync() -> None:
    disk = Disk()
    checkpoints, _ = writer(disk)
    checkpoints.write_soon(PATH, b"one")
    assert not disk.storage.exists(PATH)
    disk.settle()
    assert disk.storage.read(PATH) == b"one"
    assert disk.names() == ["checkpoint"]


def test_a_later_write_overtakes_an_earlier_one() -> None:
    disk = Disk()
    checkpoints, _ = writer(disk)
    for data in (b"one", b"two", b"three"):
        checkpoints.write_soon(PATH, data)
    disk.settle()
    assert disk.storage.read(PATH) == b"three"
    checkpoints.write_soon(PATH, b"four")
    checkpoints.write_now(PATH, b"five")
    disk.settle()
    assert disk.storage.read(PATH) == b"five"


def test_a_full_disk_leaves_the_old_one() -> None:
    disk = Disk()
    checkpoints, failures = writer(disk)
    checkpoints.write_now(PATH, b"old")
    disk.storage.capacity_bytes = disk.storage.used_bytes
    checkpoints.write_soon(PATH, b"new")
    disk.settle()
    assert (disk.storage.read(PATH), failures) == (b"old", [])
    disk.storage.capacity_bytes = None
    checkpoints.write_soon(PATH, b"newer")
    disk.settle()
    assert disk.storage.read(PATH) == b"newer"


def test_other_errors_are_told() -> None:
    disk = Disk()
    checkpoints, failures = writer(disk)
    disk.storage.fail_writes = True
    checkpoints.write_soon(PATH, b"x")
    assert failures == [(PATH, errno.EIO)]
    disk.storage.fail_writes = False
    disk.storage.fail_fsync = True
    checkpoints.write_soon(PATH, b"x")
    disk.settle()
    assert failures[1:] == [(PATH, errno.EIO)]
    assert not disk.storage.exists(PATH)
