"""Starting in the background: what the supervisor says is shown, and its end is the end."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from demo.__main__ import build_parser
from demo.commands import up
from demo.layout import DemoError, Layout
from demo.terminal import Terminal


def follow(tmp_path: Path, code: str) -> int:
    log_path = tmp_path / "supervisor.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen([sys.executable, "-u", "-c", code], stdout=log, stderr=log)
    try:
        return up._follow(process, log_path, Terminal())
    finally:
        process.kill()
        process.wait()


def test_it_returns_when_the_supervisor_is_ready(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert follow(tmp_path, "import time\nprint('board: starting broker')\nprint('ready')\ntime.sleep(1000)") == 0
    assert capsys.readouterr().out == "board: starting broker\nready\n"


def test_a_supervisor_that_ends_is_shown_with_all_it_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert follow(tmp_path, "import sys\nprint('board: starting broker')\nsys.exit('board: the port is taken')") == 1
    assert capsys.readouterr().out == "board: starting broker\nboard: the port is taken\n"


def test_an_end_before_ready_is_never_a_success(tmp_path: Path) -> None:
    assert follow(tmp_path, "print('board: stopping')") == 1


def test_a_supervisor_that_says_nothing_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "DETACH_TIMEOUT_SECONDS", 0.3)
    with pytest.raises(DemoError, match=r"was not ready within 0 s; see .*supervisor.log"):
        follow(tmp_path, "import time\ntime.sleep(1000)")


@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("brokers", [1, 3])
def test_the_number_of_brokers_reaches_the_supervisor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, brokers: int, detach: bool
) -> None:
    monkeypatch.delenv(up.EXTERNAL_BROKER, raising=False)
    started: list[list[str]] = []

    def popen(command: list[str], **options: Any) -> None:
        started.append(command)

    class Supervisor:
        def __init__(self, layout: Layout, say: object) -> None:
            started.append(["--brokers", str(len(layout.broker_ids))])

        def run(self, on_ready: object) -> None:
            pass

    monkeypatch.setattr(subprocess, "Popen", popen)
    monkeypatch.setattr(up, "_follow", lambda process, log_path, terminal: 0)
    monkeypatch.setattr(up, "Supervisor", Supervisor)
    arguments = ["up", "--data", str(tmp_path), "--brokers", str(brokers), *["--detach"] * detach]
    assert up.run(build_parser().parse_args(arguments)) == 0
    assert [command[-2:] for command in started] == [["--brokers", str(brokers)]]


def test_a_board_of_another_number_of_brokers_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(up.EXTERNAL_BROKER, raising=False)
    (tmp_path / "broker").mkdir()
    with pytest.raises(DemoError, match=r"is of a board with 1 broker; run it as such with ./board up --brokers 1"):
        up.run(build_parser().parse_args(["up", "--data", str(tmp_path), "--detach"]))


@pytest.mark.parametrize("value", ["", "kafka:9092", "a:1,b:2", "127.0.0.1:39092"])
def test_a_broker_elsewhere_is_host_and_port(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(up.EXTERNAL_BROKER, value)
    assert up.external_broker() == value


@pytest.mark.parametrize("value", ["kafka", "kafka:", "kafka:port", "a:1,b", "http://kafka"])
def test_a_bad_address_of_a_broker_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(up.EXTERNAL_BROKER, value)
    with pytest.raises(DemoError, match=f"BOARD_BOOTSTRAP_SERVERS='{value}' is not allowed: host:port"):
        up.external_broker()
