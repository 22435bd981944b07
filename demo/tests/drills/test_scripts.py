"""What the drills do to whom, what they wait for, and that everything runs on afterwards. The brokers are small children."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from demo.api import NoAnswer
from demo.drills import scripts, texts
from demo.drills.scripts import Drill, Posting
from demo.drills.view import OFFSETS_TOPIC, Look, PartitionState
from demo.layout import DemoError, Layout
from demo.state import ProcessState, State
from demo.terminal import Terminal
from waiting import wait_until

ALL = (1, 2, 3)


def look(leader: int, isr: tuple[int, ...] = ALL, brokers: tuple[int, ...] = ALL) -> Look:
    state = PartitionState(leader, isr, ALL)
    return Look(brokers, {(scripts.TOPIC, 0): state, (OFFSETS_TOPIC, 0): state})


class FakeView:
    """Looks that are given; each is seen once, the last one again and again."""

    def __init__(self, *looks: Look) -> None:
        self.looks = list(looks)
        self.said: list[str] = []
        # What was waited for.
        self.watched: list[str] = []

    def look(self) -> Look:
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def say(self, text: str) -> None:
        self.said.append(text)

    def watch(self, until: Callable[[Look], bool], timeout_seconds: float, what: str) -> None:
        self.watched.append(what)
        while not until(found := self.look()):
            if found is self.looks[-1] and len(self.looks) == 1:
                raise DemoError(f"{what} is still not so")

    def watch_lag(self, timeout_seconds: float) -> None:
        self.watched.append("lag")


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Three processes, which stand for the brokers of the state file."""
    started = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"]) for _ in ALL]
    processes = [ProcessState(f"broker-{number}", "ready", child.pid) for number, child in zip(ALL, started, strict=True)]
    monkeypatch.setattr(scripts, "running_state", lambda layout: State(1, 8000, processes=processes))
    yield started
    for child in started:
        child.kill()
        child.wait()


def drill_with(*looks: Look) -> tuple[Drill, FakeView]:
    drill = Drill(Layout(Path("/data")), Terminal(), "en")
    view = FakeView(*looks)
    drill.view = view  # type: ignore[assignment]
    return drill, view


def became(child: "subprocess.Popen[bytes]", what: int) -> bool:
    """WSTOPPED or WCONTINUED; waits for it."""
    return os.waitid(os.P_PID, child.pid, what | os.WNOWAIT) is not None


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Every (process id, signal), which is sent all the same."""
    signals: list[tuple[int, int]] = []
    kill = os.kill

    def note(pid: int, number: int) -> None:
        signals.append((pid, number))
        kill(pid, number)

    monkeypatch.setattr(os, "kill", note)
    return signals


@pytest.mark.parametrize("raises", [False, True])
def test_what_is_stopped_runs_on_whatever_happens(children: list["subprocess.Popen[bytes]"], raises: bool) -> None:
    drill, view = drill_with(look(1))
    try:
        with drill.stopped(1, 3):
            assert became(children[0], os.WSTOPPED)
            assert became(children[2], os.WSTOPPED)
            if raises:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        assert raises
    assert became(children[0], os.WCONTINUED)
    assert became(children[2], os.WCONTINUED)
    assert [text.split()[0] for text in view.said] == ["stopping", "stopping", "letting", "letting"]


def test_one_that_has_ended_meanwhile_does_not_keep_the_other_stopped(children: list["subprocess.Popen[bytes]"]) -> None:
    drill, _ = drill_with(look(1))
    with drill.stopped(1, 2):
        children[0].kill()
        children[0].wait()
        assert became(children[1], os.WSTOPPED)
    assert became(children[1], os.WCONTINUED)


def test_a_broker_without_a_process_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    drill, _ = drill_with(look(1))
    monkeypatch.setattr(scripts, "running_state", lambda layout: State(1, 8000, processes=[ProcessState("broker-1")]))
    with pytest.raises(DemoError, match="broker-1 is not running"):
        drill.pid_of(1)
    monkeypatch.setattr(scripts, "running_state", lambda layout: None)
    with pytest.raises(DemoError, match="ended in the middle"):
        drill.pid_of(1)


def test_no_leader_is_said() -> None:
    drill, _ = drill_with(look(-1))
    with pytest.raises(DemoError, match=f"{scripts.TOPIC}-0 has no leader"):
        drill.leader()


def test_the_leader_is_killed_and_another_one_waited_for(children: list["subprocess.Popen[bytes]"]) -> None:
    drill, view = drill_with(look(2), look(2), look(-1, (1, 3)), look(3, (1, 3), (1, 3)), look(3, (1, 3)), look(3))
    scripts.leader_dies(drill)
    assert children[1].wait(30) == -signal.SIGKILL
    assert [children[0].poll(), children[2].poll()] == [None, None]
    assert view.watched == ["another leader", "every replica in the ISR"]
    assert view.look() == look(3)


def test_a_leader_that_stays_is_an_error(children: list["subprocess.Popen[bytes]"]) -> None:
    drill, _ = drill_with(look(2))
    with pytest.raises(DemoError, match="another leader"):
        scripts.leader_dies(drill)


def test_a_follower_is_stopped_until_it_has_left_the_isr(
    children: list["subprocess.Popen[bytes]"], monkeypatch: pytest.MonkeyPatch, sent: list[tuple[int, int]]
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    drill, view = drill_with(look(1), look(1), look(1), look(1, (1, 3)), look(1))
    scripts.follower_falls_behind(drill)
    assert sent == [(children[1].pid, signal.SIGSTOP), (children[1].pid, signal.SIGCONT)]
    assert view.watched == ["an ISR without the one that is stopped", "every replica in the ISR"]


def test_two_of_three_are_stopped_for_a_while(
    children: list["subprocess.Popen[bytes]"], monkeypatch: pytest.MonkeyPatch, sent: list[tuple[int, int]]
) -> None:
    monkeypatch.setattr(scripts, "NO_MAJORITY_SECONDS", -1.0)
    drill, view = drill_with(look(1))
    scripts.no_majority(drill)
    two = [children[0].pid, children[1].pid]
    assert sent == [(pid, number) for number in (signal.SIGSTOP, signal.SIGCONT) for pid in two]
    assert view.watched == ["the end of the wait", "every replica in the ISR"]
    assert not any("broker-3" in text for text in view.said)


def test_the_coordinator_is_killed_and_the_new_one_named(
    children: list["subprocess.Popen[bytes]"], monkeypatch: pytest.MonkeyPatch
) -> None:
    drill, view = drill_with(look(3), look(1))
    coordinators = iter([3, 1])
    monkeypatch.setattr(drill, "coordinator", lambda group: next(coordinators))
    scripts.coordinator_dies(drill)
    assert children[2].wait(30) == -signal.SIGKILL
    assert view.said[-1] == "read-view: coordinator 3 -> 1"


def test_a_coordinator_that_cannot_be_found_is_said() -> None:
    drill = Drill(Layout(Path("/data"), external_broker="127.0.0.1:1"), Terminal(), "en")
    with pytest.raises(DemoError, match="group read-view has no coordinator: "):
        drill.coordinator("read-view")


def test_the_brokers_are_ended_one_after_the_other(
    children: list["subprocess.Popen[bytes]"], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = [Look(tuple(one for one in ALL if one != away), look(1).partitions) for away in ALL]
    drill, view = drill_with(look(1), gone[0], look(2), gone[1], look(3), gone[2], look(1))
    asked: list[int] = []

    def pid_of(broker_id: int) -> int:
        """Another one at every question: it was started again."""
        asked.append(broker_id)
        return children[broker_id - 1].pid if asked.count(broker_id) < 3 else 0

    monkeypatch.setattr(drill, "pid_of", pid_of)
    scripts.rolling_restart(drill)
    assert [child.wait(30) for child in children] == [-signal.SIGTERM] * 3
    assert view.watched == ["that the broker has left", "every replica in the ISR"] * 3


def test_a_broker_that_was_never_gone_is_an_error(children: list["subprocess.Popen[bytes]"]) -> None:
    drill, _ = drill_with(look(1), Look((2, 3), look(2).partitions), look(2))
    with pytest.raises(DemoError, match="broker 1 did not end"):
        scripts.rolling_restart(drill)


class FakeBoard:
    """Takes every other post, and shows what it is told to."""

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.asked = 0
        self.shown = False
        self.silent = False

    def create_article(self, board_id: str, title: str, content: str, writer_id: str) -> dict[str, Any]:
        self.asked += 1
        if self.asked % 2 == 0:
            raise NoAnswer("POST")
        self.taken.append(len(self.taken) + 100)
        return {"id": str(self.taken[-1])}

    def pages(self, service: str, path: str, **query: str) -> Iterator[dict[str, Any]]:
        assert (service, path, query) == ("read-view", "articles", {"board_id": scripts.BOARD_ID})
        if self.silent:
            raise NoAnswer("GET")
        for number in sorted(self.taken if self.shown else [], reverse=True):
            yield {"id": str(number)}
        yield {"id": "7"}
        raise AssertionError("what is older than every post that is waited for is not read")


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> FakeBoard:
    monkeypatch.setattr(scripts, "POST_INTERVAL_SECONDS", 0.001)
    return FakeBoard()


def test_every_post_is_counted_and_looked_for_in_the_list(board: FakeBoard) -> None:
    with Posting(board) as posting:  # type: ignore[arg-type]
        wait_until(lambda: board.asked > 10, "posts")
        assert posting.slowest_seconds == 0.0
        board.shown = True
        posting.wait_shown(30)
        assert posting.posted == len(board.taken)
        assert posting.refused == board.asked // 2
        assert posting.slowest_seconds > 0.0


@pytest.mark.parametrize("silent", [False, True])
def test_posts_that_are_never_shown_are_an_error(board: FakeBoard, silent: bool) -> None:
    board.silent = silent
    with Posting(board) as posting:  # type: ignore[arg-type]
        wait_until(lambda: len(board.taken) > 1, "posts")
        with pytest.raises(DemoError, match=r"after 0 s \d+ posts are still not shown"):
            posting.wait_shown(0)


@pytest.mark.parametrize("language", texts.LANGUAGES)
def test_a_drill_is_told_from_beginning_to_end(
    board: FakeBoard, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], language: str
) -> None:
    order: list[str] = []
    view = FakeView(look(1))
    board.shown = True
    monkeypatch.setattr(scripts, "ClusterView", lambda bootstrap_servers, terminal: view)
    monkeypatch.setattr(scripts.Board, "of", lambda layout: board)

    def script(drill: Drill) -> None:
        wait_until(lambda: bool(board.taken), "a post while it is broken")
        order.append("broken")

    monkeypatch.setitem(scripts.SCRIPTS, "leader-dies", script)
    scripts.run("leader-dies", Layout(Path("/data")), Terminal(), language)
    lesson = texts.LESSONS["leader-dies"]
    told = capsys.readouterr().out
    assert told.index(lesson.expect.of(language)) < told.index(lesson.meant.of(language))
    assert order == ["broken"]
    assert view.watched == ["every replica in the ISR", "lag"]
    assert view.said[-1] == texts.BACK.of(language)
    assert view.said[0] == texts.WRITING.of(language, posted=len(board.taken), refused=board.asked // 2)
