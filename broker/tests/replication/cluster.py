"""What the tests of several replicas share: brokers with real logs and handlers, whose fetches and wishes a test lets through.

Nothing moves by itself: a fetch lies on its way until `Cluster.fetch` hands it to the leader, a wish for another ISR until
`Cluster.decide` lets the controller's own decision be made, a commit is heard by everybody who is up and not deaf.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from broker.client.exchange import OnDone, RequestFailed
from broker.clock.randomness import Randomness
from broker.clock.simulated import NodeClock, SimulatedClock
from broker.config import BrokerConfig
from broker.config.sources import SHIPPED
from broker.controller import brokers, isr
from broker.controller.context import Context
from broker.controller.elections import changes_with, changes_without
from broker.controller.sessions import BrokerSessions
from broker.log.failure import LogDirFailure
from broker.log.log_manager import LogManager
from broker.log.properties import MetaProperties
from broker.metadata.image import MetadataImage
from broker.metadata.publisher import MetadataPublisher
from broker.metadata.records import encode_record
from broker.protocol import codec
from broker.protocol.message import Record, Request
from broker.protocol.messages.alter_partition import AlterPartitionRequest, AlterPartitionResponse
from broker.protocol.messages.fetch import FetchRequest, FetchResponse
from broker.protocol.messages.metadata_records import (
    BrokerEndpoint,
    BrokerRegistrationChangeRecord,
    FeatureLevelRecord,
    RegisterBrokerRecord,
)
from broker.replication.fetcher import FetchLimits, ReplicaFetcher
from broker.replication.manager import ReplicaManager
from broker.replication.partition import Partition
from broker.server.fetch_sessions import FetchSessions
from broker.server.handlers import fetch as fetch_handler
from broker.server.services import DEFERRED, BrokerServices, RequestContext
from broker.storage.simulated import CrashMode, SimulatedStorage

from .node import ROOT, topic_id

CLUSTER_ID = "4L6g3nShT-eMCtK--X86sw"
LISTENER = "PLAINTEXT"
VERSION = 17


@dataclass
class Carried:
    """A fetch on its way, as bytes."""

    line: "Line"
    data: bytes
    on_done: OnDone


class Line:
    """A connection to a leader: what is asked lies here until it is carried over."""

    def __init__(self, owner: "Replica", leader_id: int) -> None:
        self._owner, self.leader_id = owner, leader_id

    def submit(
        self, request: Request, timeout_ms: int, on_done: OnDone, *, version_max: int | None = None, answered: bool = True
    ) -> None:
        assert version_max == VERSION
        self._owner.fetches.append(Carried(self, b"".join(codec.encode(request, VERSION)), on_done))

    def close(self) -> None:
        gone = [carried for carried in self._owner.fetches if carried.line is self]
        self._owner.fetches = [carried for carried in self._owner.fetches if carried.line is not self]
        for carried in gone:
            carried.on_done(RequestFailed("this side closed the connection"))


class Replica:
    """One broker: its disk outlives it."""

    def __init__(self, cluster: "Cluster", node_id: int) -> None:
        self._cluster = cluster
        self.node_id = node_id
        self.clock = NodeClock(cluster.clock)
        self.storage = SimulatedStorage(self.clock)
        self.storage.make_directory(ROOT)
        self.storage.fsync_directory("/")
        voters = ",".join(f"{one}@b{one}:9093" for one in cluster.node_ids)
        settings = SHIPPED | {"node.id": str(node_id), "controller.quorum.voters": voters} | cluster.settings
        self.config = BrokerConfig(settings)
        self.failures: list[LogDirFailure] = []
        self.heard = 0
        self.epoch = -1
        self.up = False

    def start(self, agreed: Sequence[Sequence[bytes]]) -> None:
        """A new life that knows the first of what was agreed on."""
        self.fetches: list[Carried] = []
        self.wishes: list[tuple[AlterPartitionRequest, Callable[[Any], None]]] = []
        self.logs = LogManager(self.storage, self.clock, ROOT, self.failures.append)
        self.logs.claim()
        if self.logs.meta is None:
            self.logs.format(MetaProperties(CLUSTER_ID, self.node_id, topic_id(100 + self.node_id)))
        self.logs.open()
        self.metadata = MetadataPublisher()
        self.replicas = ReplicaManager(
            self.config, self.clock, self.logs, self, own_epoch=lambda: self.epoch, make_fetcher=self._make_fetcher
        )
        self.metadata.subscribe(self.replicas.apply)
        self.heard = 0
        for batch in agreed:
            self.hear(batch)
        self.services = BrokerServices(
            config=self.config,
            cluster_id=CLUSTER_ID,
            clock=self.clock,
            randomness=Randomness(self.node_id),
            metadata=self.metadata,
            replicas=self.replicas,
            groups=None,  # type: ignore[arg-type]
            logs=self.logs,
            controller=self,
            local_controller=None,  # type: ignore[arg-type]
            quorum=None,  # type: ignore[arg-type]
            producer_ids=None,  # type: ignore[arg-type]
            fetch_sessions=FetchSessions(100, Randomness(self.node_id)),
            on_peer_lost=lambda node_id: None,
            in_doubt=lambda node_id: False,
        )
        self.up = True
        self.metadata.begin()
        self.replicas.start()

    def hear(self, batch: Sequence[bytes]) -> None:
        self.metadata.handle_commit(batch, self.metadata.image.offset + len(batch))
        self.heard += 1

    def submit(self, request: Request, version: int, on_done: Callable[[Any], None]) -> None:
        """The way to the controller: a wish lies here until it is decided on."""
        assert isinstance(request, AlterPartitionRequest)
        decoded = codec.decode(AlterPartitionRequest, version, b"".join(codec.encode(request, version)))
        self.wishes.append((decoded, on_done))

    def _make_fetcher(self, leader_id: int, host: str, port: int) -> ReplicaFetcher:
        line = Line(self, leader_id)
        limits = FetchLimits(
            self.config.replica_fetch_max_bytes,
            self.config.replica_fetch_response_max_bytes,
            self.config.replica_fetch_min_bytes,
            self._cluster.max_wait_ms,
            self.config.replica_fetch_backoff_ms,
        )
        return ReplicaFetcher(self.node_id, leader_id, line, self.clock, limits, own_epoch=lambda: self.epoch)  # type: ignore[arg-type]

    def crash(self, mode: CrashMode = "process", seed: int = 0) -> None:
        self.up = False
        self.clock.crash()
        self.storage.crash(random.Random(seed), mode)

    def partition(self, topic: str = "t", index: int = 0) -> Partition:
        return self.replicas.find(topic, index)


class Cluster:
    """See the module. `max_wait_ms`: how long leaders hold a follower's fetch."""

    def __init__(self, node_ids: Iterable[int] = (1, 2, 3), *, max_wait_ms: int = 0, **settings: str) -> None:
        self.clock = SimulatedClock()
        self.settings = {name.replace("_", "."): value for name, value in settings.items()}
        self.max_wait_ms = max_wait_ms
        self.image = MetadataImage()
        self.agreed: list[list[bytes]] = []
        self.deaf: set[int] = set()
        self.sessions = BrokerSessions(9000)
        self.node_ids = tuple(node_ids)
        self.replicas: dict[int, Replica] = {}
        self.replicas |= {node_id: Replica(self, node_id) for node_id in self.node_ids}
        self.agree(FeatureLevelRecord(name="eligible.leader.replicas.version", feature_level=1))
        for replica in self.replicas.values():
            self.register(replica.node_id)
            replica.start(self.agreed)
            self.unfence(replica.node_id)

    def __getitem__(self, node_id: int) -> Replica:
        return self.replicas[node_id]

    # The controller.

    @property
    def context(self) -> Context:
        config = next(iter(self.replicas.values())).config
        now = self.clock.now_ms
        return Context(self.image, self.image.offset + 1, config, Randomness(1), self.sessions, CLUSTER_ID, now)

    def agree(self, *records: Record) -> None:
        """Commit records together: everybody hears of it who is up and not deaf."""
        if not records:
            return
        self.image = self.image.apply(records, self.image.offset + len(records))
        self.agreed.append([encode_record(record) for record in records])
        for replica in self.replicas.values():
            if replica.node_id not in self.deaf:
                self.hear(replica.node_id)

    def hear(self, node_id: int) -> None:
        """Tell a node of everything it has not heard of."""
        replica = self.replicas[node_id]
        if replica.up:
            for batch in self.agreed[replica.heard :]:
                replica.hear(batch)

    def register(self, node_id: int, *, clean: bool = True) -> None:
        """A new life of a broker, fenced until it is let in."""
        known = self.image.brokers.get(node_id)
        records = changes_without(self.context, node_id, unclean_shutdown=not clean) if known is not None else []
        epoch = self.image.offset + 1
        self.replicas[node_id].epoch = epoch
        self.agree(
            *records,
            RegisterBrokerRecord(
                broker_id=node_id,
                broker_epoch=epoch,
                incarnation_id=topic_id(1000 + epoch),
                end_points=[BrokerEndpoint(name=LISTENER, host=f"b{node_id}", port=9092, security_protocol=0)],
                log_dirs=[topic_id(100 + node_id)],
            ),
        )

    def fence(self, node_id: int) -> None:
        self.agree(*brokers.fence(self.image.brokers[node_id], self.context))

    def unfence(self, node_id: int) -> None:
        known = self.image.brokers[node_id]
        change = BrokerRegistrationChangeRecord(broker_id=node_id, broker_epoch=known.epoch, fenced=brokers.UNFENCE)
        self.agree(change, *changes_with(self.context, node_id))

    def decide(self, node_id: int, *, drop: str = "") -> AlterPartitionResponse | None:
        """Let the controller decide on a broker's oldest wish, if any. `drop`: what is lost, `wish` or `answer`."""
        self.turn()
        replica = self.replicas[node_id]
        if not replica.wishes:
            return None
        request, on_done = replica.wishes.pop(0)
        if drop == "wish":
            on_done(AlterPartitionResponse(error_code=41))
            return None
        result = isr.alter_partition(request, self.context)
        self.agree(*result.records)
        if drop == "answer":
            on_done(AlterPartitionResponse(error_code=41))
        else:
            on_done(codec.decode(AlterPartitionResponse, 3, b"".join(codec.encode(result.response, 3))))
        return result.response

    # Time and fetches.

    def turn(self) -> None:
        self.clock.run_until(self.clock.now_ms)

    def tick(self, milliseconds: int) -> None:
        self.clock.run_until(self.clock.now_ms + milliseconds)

    def fetch(self, node_id: int, *, drop: str = "") -> tuple[FetchRequest, FetchResponse | None] | None:
        """Carry a follower's oldest fetch to its leader, and the answer back: (request, answer).

        `drop`: what is lost on the way, `request` or `answer`. The answer is None when it was lost, or is not there yet.
        """
        self.turn()
        replica = self.replicas[node_id]
        if not replica.fetches:
            return None
        carried = replica.fetches.pop(0)
        request = codec.decode(FetchRequest, VERSION, carried.data)
        leader = self.replicas[carried.line.leader_id]
        if drop == "request" or not leader.up:
            carried.on_done(RequestFailed("the connection was lost"))
            return request, None
        answers: list[FetchResponse] = []

        def respond(response: Any) -> None:
            answer = codec.decode(FetchResponse, VERSION, b"".join(bytes(part) for part in codec.encode(response, VERSION)))
            answers.append(answer)
            carried.on_done(RequestFailed("the connection was lost") if drop == "answer" else answer)

        context = RequestContext(VERSION, f"broker-{node_id}", "127.0.0.1", LISTENER, respond)
        reply = fetch_handler.handle(request, context, leader.services)
        if reply is not DEFERRED:
            respond(reply)
        return request, answers[0] if answers and not drop else None

    def catch_up(self, *node_ids: int) -> None:
        """Fetch and decide until nobody learns anything new."""
        for _ in range(30):
            for node_id in node_ids:
                self.fetch(node_id)
            for replica in self.replicas.values():
                if replica.up:
                    self.decide(replica.node_id)
