"""Nodes in a simulated world, one or three: their clocks, disks and wires are at hand, and outlive them."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from broker.clock.randomness import Randomness
from broker.clock.simulated import NodeClock, SimulatedClock
from broker.config import BrokerConfig
from broker.config.sources import SHIPPED
from broker.network.simulated import SimulatedNetwork, Wires
from broker.node.broker import Broker, World
from broker.protocol.errors import ErrorCode
from broker.protocol.message import Request
from broker.storage.simulated import SimulatedStorage

from .machines import Machines

HOST = "broker-1"
CLUSTER_ID = "5L6g3nShT-eMCtK--X86sw"


class Machine:
    """Where nodes are started, one after the other."""

    def __init__(
        self, number: int = 1, machines: int = 1, time: SimulatedClock | None = None, wires: Wires | None = None
    ) -> None:
        self.number = number
        self.host = f"broker-{number}"
        self.time = time or SimulatedClock()
        self.clock = NodeClock(self.time)
        self.storage = SimulatedStorage(self.clock)
        self.wires = wires or Wires(self.time, random.Random(1))
        self.network = SimulatedNetwork(self.wires, self.host)
        self.fatal: list[str] = []
        self.ready = 0
        self.lives = 0
        self.settings = SHIPPED | {
            "node.id": str(number),
            "listeners": f"PLAINTEXT://{self.host}:9092,CONTROLLER://{self.host}:9093",
            "controller.quorum.voters": ",".join(f"{one}@broker-{one}:9093" for one in range(1, machines + 1)),
            "log.dirs": "/data",
            "offsets.topic.num.partitions": "2",
        }

    def node(self, cluster_id: str | None = None, **settings: str) -> Broker:
        """A broker that is not started. Dots in names of settings are written as underscores."""
        config = BrokerConfig(self.settings | {name.replace("_", "."): value for name, value in settings.items()})
        self.lives += 1
        randomness = Randomness(100 * self.number + self.lives)
        return Broker(config, World(self.clock, randomness, self.storage, self.network), self.fatal.append, cluster_id)

    def start(self, cluster_id: str | None = None, **settings: str) -> Broker:
        """A broker that serves."""
        broker = self.node(cluster_id, **settings)
        ready = self.ready
        broker.start(self.on_ready)
        self.run()
        assert self.ready == ready + 1, "it does not become ready"
        return broker

    def on_ready(self) -> None:
        self.ready += 1

    def run(self, duration_ms: int = 1000) -> None:
        self.time.run_until(self.time.now_ms + duration_ms)

    def stop(self, broker: Broker) -> None:
        stopped: list[bool] = []
        broker.stop(lambda: stopped.append(True))
        self.run()
        assert stopped == [True]

    def kill(self) -> None:
        """The process of the node dies."""
        self.clock.crash()
        self.network.crash()
        self.storage.crash(random.Random(1))


class Three:
    """Three machines on one set of wires, with a node on each."""

    def __init__(self, seed: int = 1, **settings: str) -> None:
        self.time = SimulatedClock()
        self.wires = Wires(self.time, random.Random(seed))
        self.machines = {number: Machine(number, 3, self.time, self.wires) for number in (1, 2, 3)}
        self.settings = settings
        self.nodes: dict[int, Broker] = {}
        for number in self.machines:
            self.start(number)
        self.wait(lambda: all(machine.ready == 1 for machine in self.machines.values()), 10_000)

    def start(self, number: int) -> None:
        machine = self.machines[number]
        node = self.nodes[number] = machine.node(CLUSTER_ID, **self.settings)
        node.start(machine.on_ready)

    def kill(self, number: int) -> None:
        self.machines[number].kill()
        del self.nodes[number]

    def wait(self, condition: Callable[[], object], at_most_ms: int = 30_000) -> int:
        """How long it took until something is so, in milliseconds."""
        began = self.time.now_ms
        while not condition():
            assert self.time.now_ms - began < at_most_ms, f"not within {at_most_ms} ms"
            self.time.run_until(self.time.now_ms + 10)
        return self.time.now_ms - began

    @property
    def controller(self) -> int:
        """The node whose controller decides."""
        active = [number for number, node in self.nodes.items() if node.controller.active]
        assert len(active) == 1
        return active[0]

    def ask(self, number: int, request: Request, version: int) -> Any:
        """What the controller decides, asked through a node."""
        found: list[Any] = []
        self.nodes[number].channel.submit(request, version, found.append)
        self.wait(lambda: found)
        return found[0]


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def three() -> Three:
    return Three()


@pytest.fixture
def machines() -> Machines:
    """Three brokers in sync, with a topic that has a record."""
    made = Machines()
    made.start()
    made.create()
    assert made.produce() is ErrorCode.NONE
    made.wait_until_in_sync()
    return made
