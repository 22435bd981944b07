"""A broker on this machine: what `serve` promises to those who run it, and the signals that end a process."""

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop
from broker.config import BrokerConfig
from broker.config.sources import SHIPPED
from broker.node.broker import Broker
from broker.node.runtime import StartError, serve

HOST = "127.0.0.1"
TIMEOUT_S = 60


def config(directory: Path, port: int = 0) -> BrokerConfig:
    return BrokerConfig(SHIPPED | {"listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:0", "log.dirs": str(directory)})


def run(work: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(work, TIMEOUT_S)

    uvloop.run(limited())


def serve_until_ready(directory: Path, then: Callable[[Broker, asyncio.Event], None], *, cluster_id: str | None = None) -> None:
    """Serve, and do something as soon as it is ready."""

    async def main() -> None:
        stop = asyncio.Event()
        await serve(config(directory), cluster_id, lambda broker: then(broker, stop), stop)

    run(main())


def test_it_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    answered: list[bool] = []

    def then(broker: Broker, stop: asyncio.Event) -> None:
        port = int(broker.bootstrap_servers.rpartition(":")[2])
        with socket.create_connection((HOST, port), TIMEOUT_S):
            answered.append(True)
        stop.set()

    serve_until_ready(tmp_path / "data", then)
    assert answered == [True]
    assert (tmp_path / "data/.kafka_cleanshutdown").exists()
    serve_until_ready(tmp_path / "data", lambda broker, stop: stop.set())


def test_what_hinders_a_start_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StartError, match=r"has no meta\.properties and is not empty \(it holds notes\.txt\)"):
        serve_until_ready(tmp_path, lambda broker, stop: pytest.fail("it started"))
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match="file"):
        serve_until_ready(tmp_path / "file", lambda broker, stop: pytest.fail("it started"))
    with socket.create_server((HOST, 0)) as taken:

        async def main() -> None:
            stop = asyncio.Event()
            port = taken.getsockname()[1]
            await serve(config(tmp_path / "data", port), None, lambda broker: pytest.fail("it started"), stop)

        with pytest.raises(StartError, match=f"cannot listen on {HOST}:{taken.getsockname()[1]}: Address already in use"):
            run(main())


def test_a_start_that_failed_holds_on_to_nothing(tmp_path: Path) -> None:
    """Neither the directory nor an address: the next start, even in this process, has both."""
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        listeners = {"listeners": f"PLAINTEXT://{HOST}:0,CONTROLLER://{HOST}:{port}", "log.dirs": str(tmp_path / "data")}

        async def main() -> None:
            await serve(BrokerConfig(SHIPPED | listeners), None, lambda broker: pytest.fail("it started"), asyncio.Event())

        with pytest.raises(StartError, match="Address already in use"):
            run(main())
    serve_until_ready(tmp_path / "data", lambda broker, stop: stop.set())


def test_a_failure_ends_it_with_the_reason_and_without_the_clean_marker(tmp_path: Path) -> None:
    def then(broker: Broker, stop: asyncio.Event) -> None:
        client = socket.create_connection((HOST, int(broker.bootstrap_servers.rpartition(":")[2])), TIMEOUT_S)
        clients.append(client)
        asyncio.get_running_loop().call_later(0.1, broker.on_fatal, "the disk is gone")

    clients: list[socket.socket] = []
    with pytest.raises(StartError, match="the disk is gone"):
        serve_until_ready(tmp_path / "data", then)
    with clients[0] as client, contextlib.suppress(ConnectionResetError):
        assert client.recv(1) == b"", "its clients are cut off"
    assert not (tmp_path / "data/.kafka_cleanshutdown").exists()


SCRIPT = """
import sys
from pathlib import Path
from broker.config import BrokerConfig
from broker.config.sources import SHIPPED
from broker.node import runtime

def ready(broker):
    if sys.argv[2] == "hang":
        broker.stop = lambda on_stopped: print("hangs", flush=True)
    print("ready", flush=True)

settings = {"listeners": "PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0", "log.dirs": sys.argv[1]}
runtime.run(BrokerConfig(SHIPPED | settings), None, ready)
print("ended", flush=True)
"""


def process(directory: Path, how: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", SCRIPT, str(directory), how]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with process(tmp_path / "data", "stop") as running:
        running.send_signal(number)
        output, _ = running.communicate(timeout=TIMEOUT_S)
    assert (running.returncode, output) == (0, "ended\n")
    assert (tmp_path / "data/.kafka_cleanshutdown").exists()


def test_a_second_signal_ends_a_stop_that_hangs(tmp_path: Path) -> None:
    with process(tmp_path / "data", "hang") as running:
        assert running.stdout is not None
        running.send_signal(signal.SIGTERM)
        assert running.stdout.readline() == "hangs\n"
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=TIMEOUT_S)
    assert running.returncode == 1
