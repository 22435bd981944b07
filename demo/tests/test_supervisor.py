"""Children are started in order, restarted when they die, and none is left, whatever happens to the supervisor."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo.layout import Layout
from demo.state import State, running_state
from waiting import wait_until

PROGRAM = Path(__file__).with_name("fake_board.py")


class Supervised:
    """A supervisor process and what it says."""

    def __init__(self, data: Path) -> None:
        self.layout = Layout(data)
        self.said: list[str] = []
        self.process: subprocess.Popen[str] | None = None

    def start(self, *children: str) -> None:
        command = [sys.executable, str(PROGRAM), str(self.layout.data), *children]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def until(self, text: str) -> None:
        """Read on to a line that holds `text`."""
        assert self.process is not None and self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line.rstrip())
            if text in line:
                return
        raise AssertionError(f"never said {text!r}: {self.said}")

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def end(self) -> int:
        """Everything that is still said, and the exit status."""
        assert self.process is not None
        out, _ = self.process.communicate()
        self.said += out.splitlines()
        return self.process.returncode

    def pids(self, name: str) -> list[int]:
        """Of all starts of a child so far."""
        path = self.layout.data / f"{name}.pids"
        return [int(line) for line in path.read_text().splitlines()] if path.exists() else []

    def state(self) -> State:
        state = running_state(self.layout)
        assert state is not None
        return state

    def left_behind(self) -> list[int]:
        return [int(pid) for path in self.layout.data.glob("*.pids") for pid in path.read_text().split() if is_alive(int(pid))]


def is_alive(pid: int) -> bool:
    try:
        # A zombie has ended; only its parent has not looked yet.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[Supervised]:
    one = Supervised(tmp_path / "data")
    yield one
    if one.process is not None and one.process.stdout is not None:
        one.process.kill()
        one.process.wait()
        one.process.stdout.close()
    wait_until(lambda: one.left_behind() == [], "no child left")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_starts_in_order_and_leaves_nothing(supervised: Supervised, number: int) -> None:
    supervised.start("store=good", "web=good", "worker=good")
    supervised.until("ready")
    assert supervised.said == [
        "starting store",
        *(f"migrating {name}" for name in ("article", "comment")),
        "creating topics on 127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094",
        "starting web",
        "starting worker",
        "ready",
    ]
    state = supervised.state()
    assert state.phase == "ready"
    assert [(p.name, p.status, p.restarts) for p in state.processes] == [(n, "ready", 0) for n in ("store", "web", "worker")]
    assert [p.pid for p in state.processes] == [supervised.pids(n)[0] for n in ("store", "web", "worker")]
    supervised.send(number)
    assert supervised.end() == 0
    assert supervised.said[-1] == "stopping"
    assert supervised.left_behind() == []
    assert list((supervised.layout.data / "run").iterdir()) == []


def test_a_child_that_dies_is_restarted_and_that_is_said(supervised: Supervised) -> None:
    supervised.start("store=good", "web=good")
    supervised.until("ready")
    os.kill(supervised.pids("web")[0], signal.SIGKILL)
    supervised.until("web died (killed by SIGKILL); starting it again in 0.5 s; log: ")
    supervised.until("web is ready again")
    # Soon after, it is given more time.
    os.kill(supervised.pids("web")[1], signal.SIGTERM)
    supervised.until("web died (killed by SIGTERM); starting it again in 1 s")
    supervised.until("web is ready again")
    assert len(supervised.pids("web")) == 3
    assert len(supervised.pids("store")) == 1
    assert supervised.state().processes[1].restarts == 2


def test_one_that_dies_while_others_start_is_waited_for(supervised: Supervised) -> None:
    supervised.start("store=once", "web=good")
    supervised.until("ready")
    if len(supervised.pids("store")) == 1:  # the start was faster than its death
        supervised.until("store is ready again")
    assert [(process.name, process.status) for process in supervised.state().processes] == [("store", "ready"), ("web", "ready")]
    assert len(supervised.pids("store")) == 2


def test_one_that_never_starts_is_given_up_with_the_end_of_its_log(supervised: Supervised) -> None:
    supervised.start("store=good", "web=dies")
    assert supervised.end() == 1
    message = "\n".join(supervised.said)
    assert "error: web does not start (exit status 1); the end of " in message
    assert "    no reason to live" in supervised.said
    assert len(supervised.pids("web")) == 3
    assert supervised.left_behind() == []
    assert list((supervised.layout.data / "run").iterdir()) == []


def test_one_that_dies_for_ever_later_is_tried_on(supervised: Supervised) -> None:
    """The board goes on with what it has; a disk that has room again, for instance, mends it."""
    supervised.start("store=good", "web=good")
    supervised.until("ready")
    port_holder = supervised.layout.data / "web.pids"
    first = supervised.pids("web")[0]
    # Its pids file becomes a directory: it cannot even begin.
    port_holder.rename(port_holder.with_suffix(".old"))
    port_holder.mkdir()
    os.kill(first, signal.SIGKILL)
    supervised.until("web dies at every start and is tried on; the end of ")
    assert supervised.state().phase == "ready"
    port_holder.rmdir()
    supervised.until("web is ready again")


def test_one_that_does_not_listen_to_sigterm_is_killed_and_named(supervised: Supervised) -> None:
    supervised.start("store=good", "web=stubborn", "worker=stubborn")
    supervised.until("ready")
    began = time.monotonic()
    supervised.send(signal.SIGTERM)
    assert supervised.end() == 0
    assert [line.split()[0] for line in supervised.said if "is killed" in line] == ["web", "worker"]
    # They wait side by side, not one after the other; 10 s are promised, the rest is for a slow machine.
    assert time.monotonic() - began < 20
    assert supervised.left_behind() == []


def test_a_stopped_child_ends_as_well(supervised: Supervised) -> None:
    supervised.start("store=good", "web=good")
    supervised.until("ready")
    os.kill(supervised.pids("web")[0], signal.SIGSTOP)
    supervised.send(signal.SIGTERM)
    assert supervised.end() == 0
    assert not [line for line in supervised.said if "is killed" in line]


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's PR_SET_PDEATHSIG")
def test_children_die_with_a_killed_supervisor_and_the_next_one_starts(supervised: Supervised) -> None:
    supervised.start("store=good", "web=stubborn")
    supervised.until("ready")
    supervised.send(signal.SIGKILL)
    assert supervised.end() == -signal.SIGKILL
    wait_until(lambda: supervised.left_behind() == [], "no child left")
    assert running_state(supervised.layout) is None
    supervised.start("store=good", "web=good")
    supervised.until("ready")


def test_a_second_supervisor_is_told_who_runs(supervised: Supervised) -> None:
    supervised.start("store=good")
    supervised.until("ready")
    assert supervised.process is not None
    second = Supervised(supervised.layout.data)
    second.start("store=good")
    assert second.end() == 1
    assert f"error: a board already runs on {supervised.layout.data} (process {supervised.process.pid})" in second.said[-1]
    assert supervised.state().phase == "ready"
    assert len(supervised.pids("store")) == 1


def test_a_stop_while_it_starts_is_heard(supervised: Supervised) -> None:
    supervised.start("store=dies", "web=good")
    supervised.until("store died")
    supervised.send(signal.SIGTERM)
    assert supervised.end() == 0
    assert supervised.said[-1] == "stopping"
    assert supervised.pids("web") == []
