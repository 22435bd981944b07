"""Ending: also what is stale, and what is just starting."""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from demo.commands import down
from demo.layout import DemoError, Layout
from demo.state import State

HOLDER = """
import signal, sys, time
from pathlib import Path
from demo import lock
held = lock.take(Path(sys.argv[1]))
def end(*arguments):
    held.release()
    sys.exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if len(sys.argv) > 2 else end)
print("held", flush=True)
while True:
    time.sleep(1000)
"""


def holder_of(layout: Layout, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", HOLDER, str(layout.lock_file), *more]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    process.stdout.close()
    return process


def run(data: Path) -> int:
    return down.run(argparse.Namespace(data=data))


def test_a_supervisor_that_is_only_starting_is_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It holds the lock and has written nothing yet."""
    process = holder_of(Layout(tmp_path))
    assert run(tmp_path) == 0
    assert process.wait() == 0
    assert capsys.readouterr().out == "down\n"


def test_what_a_killed_supervisor_left_is_taken_away_and_nobody_is_signalled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = Layout(tmp_path)
    layout.lock_file.parent.mkdir()
    # Its process id belongs to somebody else by now: to this test, which SIGTERM would end.
    layout.lock_file.write_text(str(os.getpid()))
    State(os.getpid(), 8000, phase="ready").save(layout.state_file)
    assert run(tmp_path) == 0
    assert capsys.readouterr().out == f"no board is running on {tmp_path}\n"
    assert list(layout.lock_file.parent.iterdir()) == []


def test_one_that_does_not_end_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(down, "DOWN_TIMEOUT_SECONDS", 0.3)
    process = holder_of(Layout(tmp_path), "deaf")
    try:
        with pytest.raises(DemoError, match=rf"\(process {process.pid}\) is still there .* kill -9 {process.pid}"):
            run(tmp_path)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
