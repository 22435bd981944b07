"""An `exchange` on the network and clock ports: how one broker asks another.

Opens on the first request, and again on the first request after it was lost. One timer per connection, for its earliest
deadline. Bound: a connection attempt lasts no longer than the requests that wait for it, and than `connect_ms`.
"""

import asyncio
from collections.abc import Callable

from broker.client.exchange import IN_FLIGHT_MAX, Exchange, OnDone
from broker.clock.port import Clock, Timer
from broker.network.port import Network
from broker.protocol.message import Request

SCRATCH_BYTES = 64 << 10
# Kafka's socket.connection.setup.timeout.ms.
CONNECT_MS = 10_000


class _Link(asyncio.BufferedProtocol):
    """One life of the connection; a later one is another object, so nothing late can reach it."""

    def __init__(self, owner: "ClientConnection", exchange: Exchange, connect_by_ms: int) -> None:
        self.exchange = exchange
        self.connect_by_ms = connect_by_ms
        self.transport: asyncio.Transport | None = None
        self._owner = owner
        self._scratch = memoryview(bytearray(SCRATCH_BYTES))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        if self.exchange.failure is not None:
            transport.close()
            return
        self._owner.opened(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._scratch

    def buffer_updated(self, nbytes: int) -> None:
        self.exchange.receive(self._scratch[:nbytes])
        self._owner.progressed(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._owner.lost(self, f"the connection was lost: {exc}" if exc else "the other side closed the connection")

    def write(self) -> None:
        if self.transport is not None:
            output = self.exchange.take_output()
            if output:
                self.transport.writelines(output)


class ClientConnection:
    """Requests to one address. `on_lost` is told why, each time a connection cannot be made or ends without this side's wish."""

    def __init__(
        self,
        network: Network,
        clock: Clock,
        host: str,
        port: int,
        client_id: str,
        *,
        on_lost: Callable[[str], None] = lambda reason: None,
        in_flight_max: int = IN_FLIGHT_MAX,
        connect_ms: int = CONNECT_MS,
    ) -> None:
        self._network = network
        self._clock = clock
        self._address = (host, port)
        self._client_id = client_id
        self._on_lost = on_lost
        self._in_flight_max = in_flight_max
        self._connect_ms = connect_ms
        self._link: _Link | None = None
        self._timer: Timer | None = None
        self._timer_at_ms = 0
        self._closed = False

    @property
    def connected(self) -> bool:
        """The broker answered with its versions and requests flow."""
        return self._link is not None and self._link.exchange.ready

    def submit(
        self, request: Request, timeout_ms: int, on_done: OnDone, *, version_max: int | None = None, answered: bool = True
    ) -> None:
        """Ask; `on_done` gets the response or a `RequestFailed`, exactly once. `answered` is False for acks=0."""
        if self._closed:
            raise RuntimeError(f"the connection to {self._address[0]}:{self._address[1]} is closed")
        link = self._link or self._open()
        deadline_ms = self._clock.monotonic_ms() + timeout_ms
        link.exchange.submit(request, deadline_ms, on_done, version_max=version_max, answered=answered)
        self.progressed(link)

    def close(self) -> None:
        """No more requests; those that are open fail."""
        self._closed = True
        if self._link is not None:
            self._drop(self._link, "this side closed the connection")

    # The link's side.

    def opened(self, link: _Link) -> None:
        link.exchange.start(self._clock.monotonic_ms())
        self.progressed(link)

    def progressed(self, link: _Link) -> None:
        """Write what is to be written, and see to the deadline."""
        if link.exchange.failure is not None:
            self._drop(link, str(link.exchange.failure))
            return
        link.write()
        self._set_timer(link)

    def lost(self, link: _Link, reason: str) -> None:
        self._drop(link, reason)

    def _open(self) -> _Link:
        link = self._link = _Link(
            self, Exchange(self._client_id, in_flight_max=self._in_flight_max), self._clock.monotonic_ms() + self._connect_ms
        )
        host, port = self._address
        self._network.connect(
            host, port, lambda: link, lambda error: self._drop(link, f"cannot connect to {host}:{port}: {error}")
        )
        return link

    def _drop(self, link: _Link, reason: str) -> None:
        current = self._link is link
        if current:
            self._link = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        link.exchange.fail(reason)
        if link.transport is not None:
            link.transport.abort()
            link.transport = None
        if current and not self._closed:
            self._on_lost(reason)

    def _set_timer(self, link: _Link) -> None:
        deadline_ms = link.exchange.next_deadline()
        if link.transport is None and deadline_ms is not None:
            deadline_ms = min(deadline_ms, link.connect_by_ms)
        if link is not self._link or (self._timer is not None and deadline_ms == self._timer_at_ms):
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if deadline_ms is not None:
            self._timer_at_ms = deadline_ms
            self._timer = self._clock.call_at(deadline_ms, lambda: self._on_timer(link))

    def _on_timer(self, link: _Link) -> None:
        self._timer = None
        now = self._clock.monotonic_ms()
        link.exchange.on_deadline(now)
        if link.transport is None and (link.exchange.next_deadline() is None or link.connect_by_ms <= now):
            host, port = self._address
            self._drop(link, f"cannot connect to {host}:{port} in time")
            return
        self.progressed(link)
