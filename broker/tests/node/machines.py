"""Three whole brokers in one simulated world, each on a machine of its own, that are killed and started again."""

import random
from collections.abc import Callable
from typing import Any

from broker.client.connection import ClientConnection
from broker.client.exchange import Outcome
from broker.clock.randomness import Randomness
from broker.clock.simulated import NodeClock, SimulatedClock
from broker.config import BrokerConfig
from broker.config.sources import SHIPPED
from broker.metadata.image import BrokerImage, PartitionImage
from broker.network.simulated import SimulatedNetwork, Wires
from broker.node.broker import Broker, World
from broker.protocol.errors import ErrorCode
from broker.protocol.message import Request
from broker.protocol.messages.create_topics import CreatableReplicaAssignment, CreatableTopic, CreateTopicsRequest
from broker.protocol.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from broker.record.builder import build_batch
from broker.storage.simulated import CrashMode, SimulatedStorage

CLUSTER_ID = "4L6g3nShT-eMCtK--X86sw"
IDS = (1, 2, 3)
SETTINGS = {
    "controller.quorum.voters": ",".join(f"{one}@b{one}:9093" for one in IDS),
    "log.dirs": "/data",
    "min.insync.replicas": "2",
    "default.replication.factor": "3",
    "offsets.topic.replication.factor": "3",
    "offsets.topic.num.partitions": "2",
}
WAIT_MS = 60_000


class Machine:
    """Where one broker is started, one life after the other."""

    def __init__(self, machines: "Machines", node_id: int) -> None:
        self.node_id = node_id
        self.host = f"b{node_id}"
        self.clock = NodeClock(machines.time)
        self.storage = SimulatedStorage(self.clock)
        self.network = SimulatedNetwork(machines.wires, self.host)
        self.fatal: list[str] = []
        self.ready = False
        self.up = False
        self._lives = 0
        self._machines = machines

    def start(self) -> None:
        """Begin to start; `ready` when clients are served."""
        self._lives += 1
        listeners = f"PLAINTEXT://{self.host}:9092,CONTROLLER://{self.host}:9093"
        own = {"node.id": str(self.node_id), "listeners": listeners, "advertised.listeners": f"PLAINTEXT://{self.host}:9092"}
        config = BrokerConfig(SHIPPED | SETTINGS | own | self._machines.settings)
        world = World(self.clock, Randomness(10 * self.node_id + self._lives), self.storage, self.network)
        self.broker = Broker(config, world, self.fatal.append, CLUSTER_ID)
        self.up = True
        self.broker.start(self._on_ready)

    def _on_ready(self) -> None:
        self.ready = True

    def kill(self, mode: CrashMode = "process") -> None:
        self.up = self.ready = False
        self.clock.crash()
        self.network.crash()
        self.storage.crash(random.Random(1), mode)

    def stop(self) -> None:
        """In order; returns when it has stopped."""
        stopped: list[bool] = []
        self.broker.stop(lambda: stopped.append(True))
        self._machines.until(lambda: bool(stopped))
        self.up = self.ready = False

    @property
    def registration(self) -> BrokerImage | None:
        return self.broker.metadata.image.brokers.get(self.node_id)


class Machines:
    """See the module. Settings are those of all brokers; dots in their names are written as underscores."""

    def __init__(self, seed: int = 1, **settings: str) -> None:
        self.time = SimulatedClock()
        self.wires = Wires(self.time, random.Random(seed))
        self.settings = {name.replace("_", "."): value for name, value in settings.items()}
        self.machines = {one: Machine(self, one) for one in IDS}
        self.client = SimulatedNetwork(self.wires, "client")
        self._connections: dict[int, ClientConnection] = {}

    def __getitem__(self, node_id: int) -> Machine:
        return self.machines[node_id]

    @property
    def up(self) -> list[Machine]:
        return [one for one in self.machines.values() if one.up]

    def start(self, *node_ids: int) -> None:
        """Start these and wait until they serve."""
        for one in node_ids or IDS:
            self[one].start()
        self.until(lambda: all(self[one].ready for one in node_ids or IDS))

    def until(self, holds: Callable[[], bool]) -> int:
        """Let time pass until something holds; how long it took in milliseconds."""
        began = self.time.now_ms
        while not holds():
            assert self.time.now_ms - began < WAIT_MS, "it does not happen"
            assert self.time.step(), "nothing will ever happen"
        return self.time.now_ms - began

    def run(self, milliseconds: int) -> None:
        self.time.run_until(self.time.now_ms + milliseconds)

    # Asking.

    def ask(self, node_id: int, request: Request, timeout_ms: int = 30_000) -> Any:
        """Ask a broker as a client does."""
        answers: list[Outcome] = []
        if node_id not in self._connections:
            self._connections[node_id] = ClientConnection(self.client, self.time, self[node_id].host, 9092, "client")
        self._connections[node_id].submit(request, timeout_ms, answers.append)
        self.until(lambda: bool(answers))
        return answers[0]

    def create(self, name: str = "t", replicas: tuple[int, ...] = IDS) -> None:
        assignment = CreatableReplicaAssignment(partition_index=0, broker_ids=list(replicas))
        topic = CreatableTopic(name=name, num_partitions=-1, replication_factor=-1, assignments=[assignment])
        response = self.ask(self.up[0].node_id, CreateTopicsRequest(topics=[topic], timeout_ms=10_000))
        assert response.topics[0].error_code == ErrorCode.NONE, response
        self.until(lambda: all(name in one.broker.metadata.image.topics for one in self.up))

    def partition(self, name: str = "t") -> PartitionImage:
        """As the broker that knows most has it."""
        images = [one.broker.metadata.image for one in self.up if name in one.broker.metadata.image.topics]
        return max(images, key=lambda image: image.offset).topics[name].partitions[0]

    def produce(self, name: str = "t", acks: int = -1, timeout_ms: int = 5000) -> ErrorCode:
        """One record to the leader, which must be there, as soon as it knows that it leads."""
        leader = self.partition(name).leader
        self.until(lambda: self[leader].broker.services.replicas.find(name, 0).is_leader)
        image = self.up[0].broker.metadata.image
        data = PartitionProduceData(index=0, records=build_batch([(b"k", b"v")], 1_700_000_000_000))
        topic = TopicProduceData(topic_id=image.topics[name].topic_id, partition_data=[data])
        request = ProduceRequest(acks=acks, timeout_ms=timeout_ms, topic_data=[topic])
        response = self.ask(leader, request)
        return ErrorCode(response.responses[0].partition_responses[0].error_code)

    def wait_until_in_sync(self, name: str = "t") -> int:
        return self.until(lambda: len(self.partition(name).isr) == len(self.partition(name).replicas))

    @property
    def controller(self) -> int:
        """The node whose controller is active; waits for it."""
        self.until(lambda: any(one.broker.controller.active for one in self.up))
        return next(one.node_id for one in self.up if one.broker.controller.active)
