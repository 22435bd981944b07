"""The two processes of a service, for real: how they start, what they say when they cannot, and how they end."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from service_suite import Database, ServiceProcess
from servicekit import processes
from servicekit.processes import Worker, make_worker
from waiting import wait_until

MANAGE = Path(__file__).parent / "sample_service/manage.py"
OPTIONS = {"web": ("--port", "--host"), "worker": ("--health-port", "--health-host")}
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
both_kinds = pytest.mark.parametrize("kind", ["web", "worker"])


def command(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A process that must end by itself."""
    return subprocess.run(
        [sys.executable, str(MANAGE), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@both_kinds
def test_it_starts_is_ready_and_ends(kind: str, database: Database, tmp_path: Path) -> None:
    with ServiceProcess(MANAGE, kind, tmp_path / "log") as process:
        answer = process.ready()
        assert (answer.status_code, answer.json()) == (200, {"status": "ok", "problems": {}})
    lines = [json.loads(line) for line in process.log_text().splitlines()]
    assert any("sample_service" in line["message"] for line in lines)
    assert not [line for line in lines if line["level"] in ("ERROR", "CRITICAL")]


@both_kinds
@on_sqlite
def test_it_ends_on_ctrl_c(kind: str, database: Database, tmp_path: Path) -> None:
    process = ServiceProcess(MANAGE, kind, tmp_path / "log").start()
    assert process.process is not None
    process.process.send_signal(signal.SIGINT)
    assert process.process.wait(60) == 0


@on_sqlite
def test_a_request_that_has_begun_is_finished(database: Database, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    process = ServiceProcess(MANAGE, "web", tmp_path / "log").start()
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(requests.get, f"{process.url}/v1/slow", params={"mark": str(mark)}, timeout=60)
        wait_until(mark.exists, "the request to begin")
        assert process.process is not None
        process.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not accepts(process.port), "the process to take no more requests")
        mark.unlink()
        assert answer.result(60).json() == {"done": True}
    assert process.process.wait(60) == 0


def accepts(port: int) -> bool:
    """Whether a new request is answered; the one on its way must not be what answers."""
    try:
        return requests.get(f"http://127.0.0.1:{port}/livez", timeout=0.3).ok
    except (requests.ConnectionError, requests.Timeout):
        return False


@both_kinds
def test_a_port_that_is_taken(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = command(kind, OPTIONS[kind][0], str(port))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"CommandError: cannot listen on 127.0.0.1:{port}: ")
    assert "Address already in use" in done.stderr
    assert "Traceback" not in done.stderr


@both_kinds
@pytest.mark.parametrize("host", ["192.0.2.7", "no.such.host.invalid"])
def test_a_host_that_is_not_ours(kind: str, host: str) -> None:
    port_option, host_option = OPTIONS[kind]
    done = command(kind, port_option, "0", host_option, host)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"CommandError: cannot listen on {host}:0: ")
    assert "Traceback" not in done.stderr


@both_kinds
@pytest.mark.parametrize("port", ["99999", "-1", "http", "", "9" * 5000])
def test_a_port_that_is_none(kind: str, port: str) -> None:
    done = command(kind, f"{OPTIONS[kind][0]}={port}")
    assert done.returncode == 2
    assert "a port from 0 to 65535 is needed" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@both_kinds
@pytest.mark.parametrize(
    ("name", "value"),
    [("DATABASE_URL", "mysql://x/y"), ("KAFKA_BOOTSTRAP_SERVERS", "broker"), ("LOG_LEVEL", "loud"), ("VALKEY_URL", "x")],
)
def test_a_bad_variable_ends_it_with_one_line(kind: str, name: str, value: str) -> None:
    done = command(kind, OPTIONS[kind][0], "0", **{name: value})
    assert done.returncode == 2
    assert done.stderr.startswith(f"{name}={value!r} is not allowed: ")
    assert done.stderr.count("\n") == 1


@on_sqlite
def test_a_worker_ends_while_the_broker_is_away(database: Database, tmp_path: Path) -> None:
    from servicekit.outbox.models import OutboxEvent

    OutboxEvent.objects.create(topic="article-topic", key="7", value=b"v")
    process = ServiceProcess(MANAGE, "worker", tmp_path / "log").start()
    wait_until(lambda: "Connection refused" in process.log_text(), "the worker to look for its broker")
    started = time.monotonic()
    assert process.stop() == 0
    assert time.monotonic() - started < 10


def test_too_large_a_body_is_refused_before_it_is_read(database: Database, tmp_path: Path) -> None:
    with ServiceProcess(MANAGE, "web", tmp_path / "log") as process:
        with socket.create_connection(("127.0.0.1", process.port), 60) as connection:
            connection.sendall(b"POST /v1/things HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000000\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 413")
        assert requests.get(f"{process.url}/livez", timeout=30).ok


# The worker by itself.


class Part:
    """A component that does as told."""

    def __init__(
        self, name: str, *, fails: bool = False, stops: bool = True, asks_to_end: bool = False, problem: str | None = None
    ) -> None:
        self.name = name
        self.saw_stop = False
        self.release = threading.Event()
        self._fails, self._stops, self._asks_to_end, self._problem = fails, stops, asks_to_end, problem

    def run(self, stop: threading.Event) -> None:
        if self._fails:
            raise ZeroDivisionError(f"{self.name} has a defect")
        if self._asks_to_end:
            os.kill(os.getpid(), signal.SIGTERM)
        stop.wait(60)
        self.saw_stop = stop.is_set()
        if not self._stops:
            self.release.wait(60)

    def problem(self) -> str | None:
        return self._problem


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """A worker that runs in this process takes the signals over."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_failure_of_a_part_ends_the_worker(caplog: pytest.LogCaptureFixture) -> None:
    healthy = Part("healthy")
    assert Worker([Part("broken", fails=True), healthy]).run("127.0.0.1", 0) == 1
    assert healthy.saw_stop
    assert "broken failed; the worker ends" in caplog.text
    assert "broken has a defect" in caplog.text


def test_a_part_that_does_not_stop_is_left_behind(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STOP_TIMEOUT_SECONDS", 0.1)
    stubborn = Part("stubborn", stops=False, asks_to_end=True)
    with caplog.at_level(logging.WARNING):
        assert Worker([stubborn]).run("127.0.0.1", 0) == 0
    stubborn.release.set()
    assert "stubborn did not stop" in caplog.text


@pytest.mark.usefixtures("database")
def test_the_problems_of_its_parts_are_the_workers() -> None:
    worker = Worker([Part("relay", problem="3 events wait"), Part("consumer")])
    assert worker.problems() == {"relay": "3 events wait"}


def test_a_service_names_the_parts_of_its_worker() -> None:
    assert [component.name for component in make_worker()._components] == ["relay"]
