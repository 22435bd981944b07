"""The way to the active controller: this node's own when it leads the quorum, else the leader's, over the network.

What clients ask for is forwarded in an Envelope and tried again while the controller moves, until the request's own time is
over; what brokers ask for themselves is sent once, and whoever asked decides when to ask again. Answers come in the order of
the requests, so heartbeats, ISRs and clients have connections of their own: none waits for what another has to wait for.
Source: ``NodeToControllerChannelManager``, ``ForwardingManager``, KIP-590.
"""

import logging
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from broker.client.connection import ClientConnection
from broker.client.exchange import Outcome, RequestFailed, response_class
from broker.clock.port import Clock
from broker.controller.manager import ControllerManager, refuse
from broker.network.port import Network
from broker.protocol import codec
from broker.protocol.errors import ErrorCode
from broker.protocol.headers import RequestHeader, encode_request_header, response_header_size
from broker.protocol.message import Request, Response
from broker.protocol.messages.allocate_producer_ids import AllocateProducerIdsRequest
from broker.protocol.messages.alter_partition import AlterPartitionRequest
from broker.protocol.messages.broker_heartbeat import BrokerHeartbeatRequest
from broker.protocol.messages.broker_registration import BrokerRegistrationRequest
from broker.protocol.messages.controller_registration import ControllerRegistrationRequest
from broker.protocol.messages.envelope import EnvelopeRequest, EnvelopeResponse
from broker.raft.driver import RaftDriver

log = logging.getLogger("broker.node")
SIGNS_OF_LIFE = (BrokerRegistrationRequest, BrokerHeartbeatRequest)
OWN_REQUESTS = (*SIGNS_OF_LIFE, AlterPartitionRequest, AllocateProducerIdsRequest, ControllerRegistrationRequest)
OWN_TIMEOUT_MS = 4_000
FORWARD_TIMEOUT_MS = 30_000
RETRY_MS = 50
# How long a connection attempt between nodes lasts: after a cut the next one gets through, the old one may not.
PEER_CONNECT_MS = 2_000
# A principal nobody reads yet, and a host nobody checks.
ANONYMOUS_HOST = b"\x7f\x00\x00\x01"
OnDone = Callable[[Any], None]


class Line(Enum):
    """What a connection is for."""

    LIFE = "life"
    OWN = "own"
    CLIENTS = "clients"


class ControllerChannel:
    """See the module. `addresses`: the controller listeners of the voters. `on_lost(node id)`: a connection has ended."""

    def __init__(
        self,
        network: Network,
        clock: Clock,
        addresses: Mapping[int, tuple[str, int]],
        *,
        driver: RaftDriver,
        local: ControllerManager,
        client_id: str,
        on_lost: Callable[[int], None],
    ) -> None:
        self._network = network
        self._clock = clock
        self._addresses = addresses
        self._driver = driver
        self._local = local
        self._client_id = client_id
        self._on_lost = on_lost
        self._connections: dict[tuple[int, Line], ClientConnection] = {}
        self._stopped = False

    def submit(self, request: Request, version: int, on_done: OnDone) -> None:
        """`on_done(response)` exactly once. NOT_CONTROLLER or REQUEST_TIMED_OUT stands in it when no controller decided."""
        if isinstance(request, OWN_REQUESTS):
            self._ask(request, version, on_done)
            return
        timeout_ms = getattr(request, "timeout_ms", FORWARD_TIMEOUT_MS)
        _Forwarding(self, self._clock, request, version, timeout_ms=timeout_ms, on_done=on_done).attempt()

    def follow(self, leader_id: int) -> None:
        """There is another leader, or none: what was asked of former ones is not waited for any more."""
        for key in [key for key in self._connections if key[0] != leader_id]:
            self._connections.pop(key).close()

    def stop(self) -> None:
        self._stopped = True
        for connection in self._connections.values():
            connection.close()

    def _ask(self, request: Request, version: int, on_done: OnDone) -> None:
        """Once, of whoever leads now."""
        if self._local.active:
            self._local.submit(request, version, on_done)
            return
        connection = self._connection(Line.LIFE if isinstance(request, SIGNS_OF_LIFE) else Line.OWN)
        if connection is None:
            on_done(refuse(request, ErrorCode.NOT_CONTROLLER))
            return

        def answered(outcome: Outcome) -> None:
            on_done(refuse(request, ErrorCode.NOT_CONTROLLER) if isinstance(outcome, RequestFailed) else outcome)

        connection.submit(request, OWN_TIMEOUT_MS, answered, version_max=version)

    def forward(self, request: Request, version: int, timeout_ms: int, on_done: OnDone) -> None:
        """Once, for a client; refused as NOT_CONTROLLER when nobody leads or answers."""
        if self._local.active:
            self._local.submit(request, version, on_done)
            return
        connection = self._connection(Line.CLIENTS)
        if connection is None:
            on_done(refuse(request, ErrorCode.NOT_CONTROLLER))
            return

        def answered(outcome: Outcome) -> None:
            on_done(_opened(request, version, outcome))

        connection.submit(_envelope(request, version, self._client_id), timeout_ms, answered)

    def _connection(self, line: Line) -> ClientConnection | None:
        leader_id = self._driver.leader_id
        address = self._addresses.get(leader_id)
        if self._stopped or address is None:
            return None
        key = leader_id, line
        if key not in self._connections:
            self._connections[key] = ClientConnection(
                self._network,
                self._clock,
                *address,
                self._client_id,
                on_lost=lambda reason: self._on_lost(leader_id),
                connect_ms=PEER_CONNECT_MS,
            )
        return self._connections[key]


class _Forwarding:
    """One client's request until a controller has decided, or its time is over."""

    def __init__(
        self, channel: ControllerChannel, clock: Clock, request: Request, version: int, *, timeout_ms: int, on_done: OnDone
    ) -> None:
        self._channel = channel
        self._clock = clock
        self._request = request
        self._version = version
        self._deadline_ms = clock.monotonic_ms() + max(timeout_ms, 0)
        self._on_done = on_done

    def attempt(self) -> None:
        left_ms = max(self._deadline_ms - self._clock.monotonic_ms(), 1)
        self._channel.forward(self._request, self._version, left_ms, self._answered)

    def _answered(self, response: Response) -> None:
        if not _is_moved(response):
            self._on_done(response)
        elif self._clock.monotonic_ms() + RETRY_MS >= self._deadline_ms:
            self._on_done(refuse(self._request, ErrorCode.REQUEST_TIMED_OUT))
        else:
            self._clock.call_at(self._clock.monotonic_ms() + RETRY_MS, self.attempt)


def _is_moved(response: Response) -> bool:
    """Whether nobody decided: `refuse` and a former controller say so in the response or in each of its parts."""
    if getattr(response, "error_code", None) == ErrorCode.NOT_CONTROLLER:
        return True
    for name in ("topics", "responses", "results"):
        parts = getattr(response, name, None)
        if parts:
            return all(getattr(part, "error_code", None) == ErrorCode.NOT_CONTROLLER for part in parts)
    return False


def _envelope(request: Request, version: int, client_id: str) -> EnvelopeRequest:
    cls = type(request)
    header = encode_request_header(RequestHeader(cls.API_KEY, version, 0, client_id), flexible=cls.is_flexible(version))
    body = b"".join(bytes(part) for part in codec.encode(request, version))
    return EnvelopeRequest(request_data=bytes(header) + body, request_principal=None, client_host_address=ANONYMOUS_HOST)


def _opened(request: Request, version: int, outcome: Outcome) -> Response:
    if isinstance(outcome, RequestFailed):
        return refuse(request, ErrorCode.NOT_CONTROLLER)
    assert isinstance(outcome, EnvelopeResponse)
    if outcome.error_code != ErrorCode.NONE or outcome.response_data is None:
        return refuse(request, ErrorCode(outcome.error_code))
    cls = type(request)
    start = response_header_size(cls.API_KEY, flexible=cls.is_flexible(version))
    return codec.decode(response_class(cls), version, outcome.response_data, start)
