"""One node in a simulated world: its clock, disk and wires are at hand, and outlive it."""

import random

import pytest
from broker.clock.randomness import Randomness
from broker.clock.simulated import NodeClock, SimulatedClock
from broker.config import BrokerConfig
from broker.config.sources import SHIPPED
from broker.network.simulated import SimulatedNetwork, Wires
from broker.node.broker import Broker, World
from broker.storage.simulated import SimulatedStorage

HOST = "broker-1"
SETTINGS = {
    "listeners": f"PLAINTEXT://{HOST}:9092,CONTROLLER://{HOST}:9093",
    "controller.quorum.voters": f"1@{HOST}:9093",
    "log.dirs": "/data",
    "offsets.topic.num.partitions": "2",
}


class Machine:
    """Where nodes are started, one after the other."""

    def __init__(self) -> None:
        self.time = SimulatedClock()
        self.clock = NodeClock(self.time)
        self.storage = SimulatedStorage(self.clock)
        self.wires = Wires(self.time, random.Random(1))
        self.network = SimulatedNetwork(self.wires, HOST)
        self.fatal: list[str] = []
        self.ready = 0

    def node(self, cluster_id: str | None = None, **settings: str) -> Broker:
        """A broker that is not started. Dots in names of settings are written as underscores."""
        config = BrokerConfig(SHIPPED | SETTINGS | {name.replace("_", "."): value for name, value in settings.items()})
        return Broker(config, World(self.clock, Randomness(1), self.storage, self.network), self.fatal.append, cluster_id)

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


@pytest.fixture
def machine() -> Machine:
    return Machine()
