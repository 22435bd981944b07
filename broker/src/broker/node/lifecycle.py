"""The life of this broker as the controller sees it: registering, heartbeats, and leaving in order.

Invariants: one request to the controller is under way; a heartbeat carries the epoch of the registration it belongs to, and a
stale one leads to a new registration; `on_unfenced` is called each time the controller lets this broker serve again.
Source: ``BrokerLifecycleManager``.
"""

import logging
from collections.abc import Callable
from enum import Enum
from typing import Any, Protocol

from broker.clock.port import Clock, Timer
from broker.protocol.errors import ErrorCode
from broker.protocol.message import Request
from broker.protocol.messages.broker_heartbeat import BrokerHeartbeatRequest, BrokerHeartbeatResponse
from broker.protocol.messages.broker_registration import BrokerRegistrationRequest, BrokerRegistrationResponse

log = logging.getLogger("broker.node")
REGISTRATION_VERSION = 4
HEARTBEAT_VERSION = 2
# After a refusal; a broker that is not registered or still fenced has nothing better to do.
RETRY_MS = 50
# How long a broker that wants to stop looks for a controller.
NOBODY_MS = 700
NO_EPOCH = -1
# What no waiting mends, and what is to be changed.
FATAL = {
    ErrorCode.INCONSISTENT_CLUSTER_ID: "log.dirs holds the directory of another cluster; name an empty one, or correct "
    "controller.quorum.voters",
    ErrorCode.INVALID_REGISTRATION: "another broker has registered the same log directory, of which this one may be a copy; let "
    "log.dirs name a directory of its own",
    ErrorCode.UNSUPPORTED_VERSION: "the cluster has agreed on features that this release lacks; run the release of the others",
}


class Phase(Enum):
    """Where this broker is in its life."""

    REGISTERING = "registering"
    FENCED = "fenced"
    SERVING = "serving"
    STOPPING = "stopping"
    STOPPED = "stopped"


class Controller(Protocol):
    """The active controller, wherever it is."""

    def submit(self, request: Request, version: int, on_done: Callable[[Any], None]) -> None: ...


class Lifecycle:
    """See the module. `metadata_offset()`: up to where this broker has replayed the metadata."""

    def __init__(
        self,
        node_id: int,
        clock: Clock,
        controller: Controller,
        *,
        registration: Callable[[], BrokerRegistrationRequest],
        heartbeat_interval_ms: int,
        registration_timeout_ms: int,
        metadata_offset: Callable[[], int],
        on_registered: Callable[[], None],
        on_unfenced: Callable[[], None],
        on_fatal: Callable[[str], None],
    ) -> None:
        self._node_id = node_id
        self._clock = clock
        self._controller = controller
        self._registration = registration
        self._interval_ms = heartbeat_interval_ms
        self._registration_timeout_ms = registration_timeout_ms
        self._metadata_offset = metadata_offset
        self._on_registered = on_registered
        self._on_unfenced = on_unfenced
        self._on_fatal = on_fatal
        self._timer: Timer | None = None
        self._under_way = False
        self._on_stopped: Callable[[], None] = lambda: None
        self._last_heard_ms = 0
        # Since when the controller says that there is another broker with this id.
        self._duplicate_since_ms: int | None = None
        self.phase = Phase.REGISTERING
        self.epoch = NO_EPOCH

    def start(self) -> None:
        """Make this broker known as soon as there is a controller."""
        self._next(0)

    def hurry(self) -> None:
        """There is another controller, or more metadata: what waits need not wait for its time."""
        if self._timer is not None and self.phase is not Phase.STOPPED:
            self._next(0)

    def leave(self, timeout_ms: int, on_stopped: Callable[[], None]) -> None:
        """Ask for leave: the controller moves the leaders away first. `on_stopped` is called at the latest after `timeout_ms`."""
        self._on_stopped = on_stopped
        if self.phase is not Phase.SERVING:
            self._left()
            return
        self.phase = Phase.STOPPING
        self._last_heard_ms = self._clock.monotonic_ms()
        self._clock.call_at(self._last_heard_ms + timeout_ms, self._left)
        self._next(0)

    def stop(self) -> None:
        """Say nothing more."""
        self.phase = Phase.STOPPED
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _left(self) -> None:
        if self.phase is not Phase.STOPPED:
            self.stop()
            self._on_stopped()

    def _next(self, delay_ms: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._clock.call_at(self._clock.monotonic_ms() + delay_ms, self._turn)

    def _turn(self) -> None:
        self._timer = None
        if self._under_way or self.phase is Phase.STOPPED:
            return
        self._under_way = True
        if self.phase is Phase.REGISTERING:
            self._controller.submit(self._registration(), REGISTRATION_VERSION, self._registered)
            return
        request = BrokerHeartbeatRequest(
            broker_epoch=self.epoch,
            broker_id=self._node_id,
            current_metadata_offset=self._metadata_offset(),
            want_shut_down=self.phase is Phase.STOPPING,
        )
        self._controller.submit(request, HEARTBEAT_VERSION, self._heard)

    def _registered(self, response: BrokerRegistrationResponse) -> None:
        self._under_way = False
        code = ErrorCode(response.error_code)
        if self.phase is not Phase.REGISTERING:
            return
        if code in FATAL:
            self._on_fatal(f"the controller refuses this broker: {code.name}: {FATAL[code]}")
        elif code is not ErrorCode.NONE:
            if code is ErrorCode.DUPLICATE_BROKER_REGISTRATION and not self._may_wait_for_duplicate():
                self._on_fatal(f"another broker with node.id={self._node_id} is in the cluster; give this one an id of its own")
                return
            self._next(RETRY_MS)
        else:
            self._duplicate_since_ms = None
            self.epoch, self.phase = response.broker_epoch, Phase.FENCED
            log.info("registered in epoch %d", self.epoch)
            self._on_registered()
            self._next(0)

    def _may_wait_for_duplicate(self) -> bool:
        """A former life of this broker is forgotten when its session ends; another broker stays."""
        now = self._clock.monotonic_ms()
        if self._duplicate_since_ms is None:
            self._duplicate_since_ms = now
            log.warning("a broker with node.id=%d is, or was a moment ago, in the cluster; waiting for its end", self._node_id)
        return now - self._duplicate_since_ms < self._registration_timeout_ms

    def _heard(self, response: BrokerHeartbeatResponse) -> None:
        self._under_way = False
        code = ErrorCode(response.error_code)
        if self.phase is Phase.STOPPED:
            return
        if code is ErrorCode.STALE_BROKER_EPOCH:
            log.warning("the controller does not know this broker in epoch %d any more; registering again", self.epoch)
            if self.phase is Phase.STOPPING:
                self._left()
                return
            self.phase = Phase.REGISTERING
            self._next(0)
        elif self.phase is Phase.STOPPING:
            self._heard_while_stopping(code, response)
        elif code is not ErrorCode.NONE:
            self._next(RETRY_MS)
        elif response.is_fenced:
            self.phase = Phase.FENCED
            self._next(RETRY_MS)
        else:
            if self.phase is Phase.FENCED:
                self.phase = Phase.SERVING
                self._on_unfenced()
            self._next(self._interval_ms)

    def _heard_while_stopping(self, code: ErrorCode, response: BrokerHeartbeatResponse) -> None:
        """Without a controller nobody can give leave: the others may have stopped as well."""
        if code is ErrorCode.NONE:
            self._last_heard_ms = self._clock.monotonic_ms()
        nobody = self._clock.monotonic_ms() - self._last_heard_ms > NOBODY_MS
        if (code is ErrorCode.NONE and response.should_shut_down) or nobody:
            self._left()
        else:
            self._next(RETRY_MS)
