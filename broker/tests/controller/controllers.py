"""Controllers on voters of a simulated quorum, one or several, and the brokers that they hear."""

from typing import Any

from broker.config import BrokerConfig
from broker.controller.manager import ControllerManager
from broker.metadata.image import PartitionImage
from broker.metadata.publisher import MetadataPublisher
from broker.protocol.errors import ErrorCode
from broker.protocol.message import Request
from broker.protocol.messages.broker_heartbeat import BrokerHeartbeatRequest
from broker.protocol.messages.broker_registration import BrokerRegistrationRequest, Feature
from broker.protocol.types import UUID

from ..raft.quorum import CLUSTER_ID, PORT, Quorum, Voter
from .cluster import codes, create, topic

FEATURES = {"metadata.version": 30, "eligible.leader.replicas.version": 1}
SESSION_MS = 9000


class Controller(Voter):
    """A voter with a controller and the published image. Every life has its own; the disk stays."""

    def __init__(self, quorum: Quorum | None = None, node_id: int = 1, **settings: str) -> None:
        self.settings = {name.replace("_", "."): value for name, value in settings.items()}
        super().__init__(quorum, node_id)

    def config(self) -> BrokerConfig:
        voters = ",".join(f"{one}@node-{one}:{PORT}" for one in self.voters)
        return BrokerConfig(
            {
                "node.id": str(self.node_id),
                "listeners": f"PLAINTEXT://{self.host}:9092,CONTROLLER://{self.host}:{PORT}",
                "controller.quorum.voters": voters,
                "broker.session.timeout.ms": str(SESSION_MS),
            }
            | self.settings
        )

    def open(self) -> None:
        super().open()
        self.active = 0
        self.responses: list[Any] = []
        self.metadata = MetadataPublisher()
        self.manager = ControllerManager(
            self.config(), CLUSTER_ID, self.clock, self.randomness, self.driver, on_active=self._on_active
        )
        self.driver.register(self.metadata)
        self.driver.register(self.manager)

    def _on_active(self) -> None:
        self.active += 1

    def submit(self, request: Request) -> None:
        self.manager.submit(request, 0, self.responses.append)

    def ask(self, request: Request) -> Any:
        """The answer to a request of its own."""
        found: list[Any] = []
        self.manager.submit(request, 0, found.append)
        self.settle()
        (response,) = found
        return response

    def enter(self, broker_id: int = 1, life: int = 1) -> None:
        """A broker registers, and serves."""
        response = self.ask(registration(broker_id, life))
        assert response.error_code == ErrorCode.NONE
        self.hear(broker_id)
        assert not self.metadata.image.brokers[broker_id].fenced

    def hear(self, broker_id: int = 1) -> None:
        assert self.ask(self.heartbeat(broker_id)).error_code == ErrorCode.NONE

    def heartbeat(self, broker_id: int = 1) -> BrokerHeartbeatRequest:
        image = self.metadata.image
        epoch = image.brokers[broker_id].epoch
        return BrokerHeartbeatRequest(broker_id=broker_id, broker_epoch=epoch, current_metadata_offset=image.offset)

    def begin(self, *broker_ids: int) -> None:
        """Lead, with these brokers registered and unfenced."""
        self.lead()
        for broker_id in broker_ids or (1,):
            self.enter(broker_id)

    def live(self, milliseconds: int, *broker_ids: int) -> None:
        """Time goes by, in which these brokers show themselves once a second."""
        end = self.quorum.clock.now_ms + milliseconds
        while self.quorum.clock.now_ms < end:
            for broker_id in broker_ids:
                self.submit(self.heartbeat(broker_id))
            self.settle(min(1000, end - self.quorum.clock.now_ms))

    def make(self, name: str, *replicas: int) -> None:
        assert codes(self.ask(create(topic(name, -1, -1, [(0, replicas)]))).topics) == [(name, "NONE")]

    def partition(self, name: str) -> PartitionImage:
        return self.metadata.image.topics[name].partitions[0]

    def fenced(self) -> list[int]:
        return [broker_id for broker_id, known in sorted(self.metadata.image.brokers.items()) if known.fenced]


class Controllers(Quorum):
    """Several of them, on one set of wires."""

    def __init__(self, size: int = 3, seed: int = 0) -> None:
        super().__init__(0, seed)
        self.ids = tuple(range(1, size + 1))
        self.controllers = {one: Controller(self, one) for one in self.ids}
        self.nodes.update(self.controllers)

    @property
    def active(self) -> Controller:
        """The only one that decides; waits for it."""
        node_id = self.leader.node_id
        self.settle()
        assert [one.node_id for one in self.controllers.values() if one.up and one.manager.active] == [node_id]
        return self.controllers[node_id]

    def cut_off(self, controller: Controller) -> None:
        for other in self.controllers.values():
            self.wires.part(controller.host, other.host)
            self.wires.part(other.host, controller.host)


def registration(broker_id: int = 1, life: int = 1) -> BrokerRegistrationRequest:
    return BrokerRegistrationRequest(
        broker_id=broker_id,
        cluster_id=CLUSTER_ID,
        incarnation_id=UUID(int=life),
        features=[Feature(name=name, min_supported_version=0, max_supported_version=level) for name, level in FEATURES.items()],
        log_dirs=[UUID(int=1000 + broker_id)],
    )
