"""The two sides that are compared, behind one face: start, bootstrap servers, CPU seconds, memory, breaking them, stop.

One broker each, or three with replication factor 3, acks=all and min.insync.replicas=2.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Protocol

from broker.testing import Cluster
from broker.testing.ports import free_ports
from peers.apache_kafka import HOST, ApacheKafka

READY_TIMEOUT_SECONDS = 30.0
STOP_TIMEOUT_SECONDS = 15.0


class Broker(Protocol):
    """One or more running brokers that can be measured from outside."""

    name: str
    started_at: float
    replication_factor: int

    @property
    def bootstrap_servers(self) -> str: ...

    @property
    def pids(self) -> list[int]: ...

    def __enter__(self) -> "Broker": ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class OurBroker:
    """`broker start` with its shipped defaults, as a process of its own."""

    name = "ours"
    replication_factor = 1

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


class Breakable(Broker, Protocol):
    """Several brokers, each of which can be ended and started again."""

    def kill(self, node_id: int) -> None: ...

    def pause(self, node_id: int) -> None: ...

    def resume(self, node_id: int) -> None: ...

    def start(self, node_id: int) -> None: ...


class OurCluster:
    """Three of them."""

    name = "ours"
    replication_factor = 3

    def __init__(self) -> None:
        self.cluster = Cluster(3)
        self.started_at = 0.0

    @property
    def bootstrap_servers(self) -> str:
        return self.cluster.bootstrap_servers

    @property
    def pids(self) -> list[int]:
        return [broker.pid for broker in self.cluster.brokers.values() if broker.running]

    def __enter__(self) -> "OurCluster":
        self.started_at = time.monotonic()
        self.cluster.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.cluster.__exit__(kind, error, trace)

    def kill(self, node_id: int) -> None:
        self.cluster.kill(node_id)

    def pause(self, node_id: int) -> None:
        self.cluster.pause(node_id)

    def resume(self, node_id: int) -> None:
        self.cluster.resume(node_id)

    def start(self, node_id: int) -> None:
        self.cluster.start(node_id)


class TheirBroker:
    """Apache Kafka with its shipped defaults."""

    name = "Apache Kafka"
    count = 1

    def __init__(self) -> None:
        overrides = {} if self.count == 1 else {"default.replication.factor": "3", "min.insync.replicas": "2"}
        self.kafka = ApacheKafka(self.count, overrides=overrides)
        self.started_at = 0.0

    @property
    def replication_factor(self) -> int:
        return self.count

    @property
    def bootstrap_servers(self) -> str:
        return self.kafka.bootstrap_servers

    @property
    def pids(self) -> list[int]:
        return self.kafka.pids

    def __enter__(self) -> "TheirBroker":
        # Formatting is a JVM of its own and belongs to the installation: the clock starts with the broker process.
        for node_id in range(1, self.count + 1):
            self.kafka._format(node_id)
        self.started_at = time.monotonic()
        for node_id in range(1, self.count + 1):
            self.kafka.start(node_id)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kafka.__exit__(kind, error, trace)


class TheirCluster(TheirBroker):
    """Three of them."""

    count = 3

    def kill(self, node_id: int) -> None:
        self.kafka.kill(node_id)

    def pause(self, node_id: int) -> None:
        self.kafka.processes[node_id].send_signal(signal.SIGSTOP)

    def resume(self, node_id: int) -> None:
        self.kafka.processes[node_id].send_signal(signal.SIGCONT)

    def start(self, node_id: int) -> None:
        self.kafka.start(node_id)


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
