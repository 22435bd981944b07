"""What a handler is given: the parts of the node it may use."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from broker.clock.port import Clock
from broker.clock.randomness import Randomness
from broker.config import BrokerConfig
from broker.group.manager import GroupManager
from broker.log.log_manager import LogManager
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
    quorum: RaftDriver
    producer_ids: "ProducerIds"
    fetch_sessions: FetchSessions = field(default_factory=lambda: FetchSessions(0))
    # Topics whose automatic creation is under way.
    creating: dict[str, None] = field(default_factory=dict)

    @property
    def node_id(self) -> int:
        return self.config.node_id


@dataclass(slots=True)
class RequestContext:
    """One request: who asks, over which listener, in which version; `respond` is called exactly once."""

    api_version: int
    client_id: str | None
    client_host: str
    listener_name: str
    respond: Callable[[Response], None]


class Deferred:
    """What a handler returns when it answers later."""


class NoResponse:
    """What a handler returns when nothing is sent (acks=0)."""


DEFERRED = Deferred()
NO_RESPONSE = NoResponse()
Reply = Response | Deferred | NoResponse


class CloseConnection(Exception):
    """A handler wants the connection closed; the message is logged."""
