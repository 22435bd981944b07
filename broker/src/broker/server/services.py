"""What a handler is given: the parts of the node it may use."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from broker.clock.port import Clock
from broker.clock.randomness import Randomness
from broker.config import BrokerConfig
from broker.group.manager import GroupManager
from broker.log.log_manager import LogManager
from broker.metadata.image import BrokerImage, EndpointImage
from broker.metadata.publisher import MetadataPublisher
from broker.protocol.message import Request, Response
from broker.raft.driver import RaftDriver
from broker.replication.manager import ReplicaManager
from broker.server.fetch_sessions import FetchSessions

if TYPE_CHECKING:
    from broker.server.producer_ids import ProducerIds

OnDone = Callable[[Any], None]


class Controller(Protocol):
    """The active controller, wherever it is."""

    def submit(self, request: Request, version: int, on_done: OnDone) -> None:
        """Decide, append, and call `on_done(response)` when the decision is committed."""


class LocalController(Controller, Protocol):
    """This node's own controller, which refuses with NOT_CONTROLLER when it is not the active one."""

    def decides(self, request: type[Request]) -> bool:
        """Whether requests of this kind are the controller's business."""


@dataclass
class BrokerServices:
    """One broker as its handlers see it."""

    config: BrokerConfig
    cluster_id: str
    clock: Clock
    randomness: Randomness
    metadata: MetadataPublisher
    replicas: ReplicaManager
    groups: GroupManager
    logs: LogManager
    controller: Controller
    local_controller: LocalController
    quorum: RaftDriver
    producer_ids: "ProducerIds"
    fetch_sessions: FetchSessions
    # Called when a connection from another node has ended.
    on_peer_lost: Callable[[int], None]
    # Whether another node's connections have just ended, so that clients should not be sent to it.
    in_doubt: Callable[[int], bool]
    # Topics whose automatic creation is under way.
    creating: dict[str, None] = field(default_factory=dict)
    # Topics that could not be made automatically, of which that was said.
    refused: dict[str, None] = field(default_factory=dict)

    @property
    def node_id(self) -> int:
        return self.config.node_id

    def leader_of(self, topic: str, index: int) -> tuple[int, int]:
        """Who leads a partition, and in which epoch; -1 and -1 when it is not known (KIP-951)."""
        found = self.metadata.image.topics.get(topic)
        partition = found.partitions.get(index) if found is not None else None
        return (partition.leader, partition.leader_epoch) if partition is not None else (-1, -1)

    def reachable(self, node_id: int, listener_name: str) -> tuple[BrokerImage, EndpointImage] | None:
        """A broker that is up, and where the clients of a listener reach it."""
        broker = self.metadata.image.brokers.get(node_id)
        endpoint = broker.endpoint(listener_name) if broker is not None and not broker.fenced else None
        return (broker, endpoint) if broker is not None and endpoint is not None else None


@dataclass(slots=True)
class RequestContext:
    """One request: who asks, over which listener, in which version; `respond` is called exactly once.

    A handler that answers later may set `abandon`: it is called when the client is gone and nobody waits any more. `is_peer`
    tells that another node of the cluster is at the other end, so that the end of the connection is a sign of its death.
    """

    api_version: int
    client_id: str | None
    client_host: str
    listener_name: str
    respond: Callable[[Response], None]
    abandon: Callable[[], None] | None = None
    is_peer: Callable[[int], None] = lambda node_id: None


class Deferred:
    """What a handler returns when it answers later."""


class NoResponse:
    """What a handler returns when nothing is sent (acks=0)."""


DEFERRED = Deferred()
NO_RESPONSE = NoResponse()
Reply = Response | Deferred | NoResponse


class CloseConnection(Exception):
    """A handler wants the connection closed; the message is logged."""
