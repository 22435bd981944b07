"""All connections of a node: what they share, how many there may be, and the sweep that ends idle and stalled ones."""

import logging

from broker.clock.port import Clock
from broker.config import BrokerConfig
from broker.network.port import Listener, Network
from broker.server.api_table import BROKER, CONTROLLER
from broker.server.connection import FRAME_MS, WRITE_STALL_MS, Connection
from broker.server.services import BrokerServices

log = logging.getLogger("broker.connection")
SCRATCH_BYTES = 256 * 1024
SWEEP_MS = 1000
# Hostile clients must not fill the log: so many lines a sweep, then a count.
CLOSING_LINES_PER_SWEEP = 10


class Budget:
    """Bytes that large frames may take, over all connections."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0

    def take(self, count: int, held: int = 0) -> bool:
        """False when there is no room; `held`: what the same frame has taken before.

        A frame larger than the whole budget may come when nothing else is there.
        """
        if self.used_bytes > held and self.used_bytes + count > self.limit_bytes:
            return False
        self.used_bytes += count
        return True

    def give_back(self, count: int) -> None:
        self.used_bytes -= count


class Acceptor:
    """See the module."""

    def __init__(self, config: BrokerConfig, clock: Clock, network: Network, services: BrokerServices) -> None:
        self.config = config
        self.clock = clock
        self.services = services
        self.budget = Budget(config.queued_max_request_bytes)
        self.scratch = memoryview(bytearray(SCRATCH_BYTES))
        self.connections: dict[Connection, None] = {}
        self.listeners: dict[str, Listener] = {}
        self._network = network
        self._closing_lines = 0
        self._closing_unlogged = 0

    def listen(self) -> None:
        """Bind every listener. OSError names the address that is taken."""
        for endpoint in self.config.listeners:
            kind = self._kind(endpoint.name)
            self.listeners[endpoint.name] = self._network.listen(
                endpoint.host,
                endpoint.port,
                lambda name=endpoint.name, kind=kind: Connection(self, name, kind),  # type: ignore[misc]
            )
        self.clock.call_at(self.clock.monotonic_ms() + SWEEP_MS, self._sweep)

    def _kind(self, name: str) -> str:
        return CONTROLLER if name in self.config.controller_listener_names else BROKER

    def accept(self, kind: str) -> None:
        """Begin to serve on the listeners of a kind: what came since `listen` has waited in the backlog."""
        for name, listener in self.listeners.items():
            if self._kind(name) == kind:
                listener.accept()

    def stop_listening(self) -> None:
        for listener in self.listeners.values():
            listener.close()
        self.listeners.clear()

    def close_all(self) -> None:
        for connection in list(self.connections):
            connection.close()

    def opened(self, connection: Connection) -> None:
        self.connections[connection] = None
        if len(self.connections) > self.config.max_connections:
            connection.abort(f"there are max.connections={self.config.max_connections} connections already")

    def closed(self, connection: Connection) -> None:
        self.connections.pop(connection, None)

    def log_closing(self, host: str, listener: str, reason: str) -> None:
        self._closing_lines += 1
        if self._closing_lines <= CLOSING_LINES_PER_SWEEP:
            log.warning("closing the connection from %s on %s: %s", host, listener, reason)
        else:
            self._closing_unlogged += 1

    def _sweep(self) -> None:
        if self._closing_unlogged:
            log.warning("%d more connections were closed for such reasons", self._closing_unlogged)
        self._closing_lines = self._closing_unlogged = 0
        now = self.clock.monotonic_ms()
        for connection in list(self.connections):
            stalled, frame = connection.stalled_since_ms, connection.frame_since_ms
            if stalled is not None and now - stalled > WRITE_STALL_MS:
                connection.abort(f"it took no answer for {WRITE_STALL_MS} ms")
            elif frame is not None and now - frame > FRAME_MS and not connection.is_held:
                connection.abort(f"it did not finish a request within {FRAME_MS} ms")
            elif now - connection.last_active_ms > self.config.connections_max_idle_ms and not connection.awaits_answer:
                connection.abort(f"it was idle for connections.max.idle.ms={self.config.connections_max_idle_ms}")
        if self.listeners:
            self.clock.call_at(now + SWEEP_MS, self._sweep)
