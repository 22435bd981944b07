"""Who holds a data directory, also when holders are killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from demo import lock

HOLDER = """
import sys, time
from pathlib import Path
from demo import lock
held = lock.take(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
held.release()
"""


def start(code: str, path: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@contextmanager
def another_process_holds(path: Path) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def test_a_lock_is_there_while_it_is_held(tmp_path: Path) -> None:
    path = tmp_path / "run" / "lock"
    assert lock.holder(path) is None
    held = lock.take(path)
    assert lock.holder(path) == os.getpid()
    held.release()
    assert lock.holder(path) is None
    assert list(path.parent.iterdir()) == []


def test_a_second_one_is_told_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with another_process_holds(path) as process:
        assert lock.holder(path) == process.pid
        with pytest.raises(lock.Held) as raised:
            lock.take(path)
        assert raised.value.pid == process.pid
        assert list(tmp_path.iterdir()) == [path]  # the attempt leaves nothing
    lock.take(path).release()


def test_a_killed_holder_does_not_hinder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with another_process_holds(path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert path.exists()
        assert lock.holder(path) is None
        held = lock.take(path)
        assert lock.holder(path) == os.getpid()
        held.release()
    assert list(tmp_path.iterdir()) == []


def test_of_many_at_once_one_has_it(tmp_path: Path) -> None:
    """Over a stale file, which each of them wants to take away."""
    path = tmp_path / "lock"
    path.write_text("1")
    code = HOLDER.replace(
        "held = lock.take(Path(sys.argv[1]))", "try:\n held = lock.take(Path(sys.argv[1]))\nexcept lock.Held:\n sys.exit(3)"
    )
    processes = [start(code, path) for _ in range(6)]
    answers = []
    for process in processes:
        assert process.stdout is not None
        answers.append(process.stdout.readline())
    holders = [process.pid for process, answer in zip(processes, answers, strict=True) if answer == "held\n"]
    assert len(holders) == 1
    assert lock.holder(path) == holders[0]
    statuses = []
    for process in processes:
        process.communicate()
        statuses.append(process.returncode)
    assert sorted(statuses) == [0, 3, 3, 3, 3, 3]
