"""The two brokers that are compared, behind one face: start, bootstrap servers, CPU seconds, resident memory, stop."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Protocol

from peers.apache_kafka import HOST, ApacheKafka
from peers.ports import free_ports

READY_TIMEOUT_SECONDS = 30.0
STOP_TIMEOUT_SECONDS = 15.0


class Broker(Protocol):
    """A running broker that can be measured from outside."""

    name: str
    started_at: float

    @property
    def bootstrap_servers(self) -> str: ...

    @property
    def pids(self) -> list[int]: ...

    def __enter__(self) -> "Broker": ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class OurBroker:
    """`broker start` with its shipped defaults, as a process of its own."""

    name = "ours"

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="board-bench-"))
        self.port, self.controller_port = free_ports(2)
        self.process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0

    @property
    def bootstrap_servers(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def pids(self) -> list[int]:
        assert self.process is not None
        return [self.process.pid]

    def __enter__(self) -> "OurBroker":
        listeners = f"PLAINTEXT://{HOST}:{self.port},CONTROLLER://{HOST}:{self.controller_port}"
        overrides = {
            "listeners": listeners,
            "advertised.listeners": listeners,
            "controller.quorum.voters": f"1@{HOST}:{self.controller_port}",
            "log.dirs": str(self.directory / "data"),
        }
        arguments = [argument for key, value in overrides.items() for argument in ("--override", f"{key}={value}")]
        command = [str(Path(sys.executable).with_name("broker")), "start", *arguments]
        self.started_at = time.monotonic()
        with (self.directory / "log").open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self.process is not None
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


class TheirBroker:
    """Apache Kafka with its shipped defaults."""

    name = "Apache Kafka"

    def __init__(self) -> None:
        self.kafka = ApacheKafka()
        self.started_at = 0.0

    @property
    def bootstrap_servers(self) -> str:
        return self.kafka.bootstrap_servers

    @property
    def pids(self) -> list[int]:
        return self.kafka.pids

    def __enter__(self) -> "TheirBroker":
        # Formatting is a JVM of its own and belongs to the installation: the clock starts with the broker process.
        self.kafka._format(1)
        self.started_at = time.monotonic()
        self.kafka.start(1)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kafka.__exit__(kind, error, trace)


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of the processes, all threads."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_mb(pids: list[int]) -> float:
    """Resident memory of the processes, in MB."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
