"""Finding out at once that a node has died: its connections end, and nobody opens when one knocks.

A process that dies closes its connections, and its listener refuses the next one; so a lost connection makes this node knock
twice within `WITHIN_MS`. Refused, unreachable or silent both times: the door is closed. A node that is only slow, or behind a
cut that drops packets, is left to its session time-out. Not in Kafka, which waits for broker.session.timeout.ms; safe, because
fencing and pre-votes are (docs/adr/0010).
"""

import asyncio
import logging
from collections.abc import Callable, Mapping

from broker.clock.port import Clock, Timer
from broker.network.port import Network

log = logging.getLogger("broker.node")
WITHIN_MS = 300
KNOCKS = 2
# How long a knock waits for an answer, and when the second one comes.
KNOCK_MS = WITHIN_MS // KNOCKS
SECOND_KNOCK_AFTER_MS = 50
# A connection that lives so long is one with the node.
STAYS_OPEN_MS = 20
# A door found closed is believed to be so for a while, unless the node is heard.
REMEMBERED_MS = 2_000
OnClosed = Callable[[int], None]


class _Knock(asyncio.BufferedProtocol):
    """One connection that is made to see whether it can be. One that is ended at once was somebody else's, a proxy's."""

    def __init__(self, clock: Clock, answered: Callable[[bool], None]) -> None:
        self._clock = clock
        self._answered = answered
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._clock.call_at(self._clock.monotonic_ms() + STAYS_OPEN_MS, self._stayed)

    def _stayed(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._answered(True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._answered(False)

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(bytearray(1))

    def buffer_updated(self, nbytes: int) -> None:
        """Nothing is expected."""


class Doors:
    """The other nodes' controller listeners. `on_closed(node id)` is called for each that was found closed."""

    def __init__(self, network: Network, clock: Clock, addresses: Mapping[int, tuple[str, int]], on_closed: OnClosed) -> None:
        self._network = network
        self._clock = clock
        self._addresses = addresses
        self._on_closed = on_closed
        self._knocking: dict[int, Timer] = {}
        self._closed_at_ms: dict[int, int] = {}
        # Nodes that were there when they were last heard of: only their end is news.
        self._there: dict[int, None] = {}
        self._stopped = False

    def suspect(self, node_id: int) -> None:
        """A connection with the node has ended: knock, unless that is being done."""
        if node_id in self._addresses and node_id not in self._knocking and not self._stopped:
            self._knock(node_id, KNOCKS)

    def heard(self, node_id: int) -> None:
        """The node is there."""
        if node_id in self._addresses:
            self._there[node_id] = None
        self._closed_at_ms.pop(node_id, None)

    def in_doubt(self, node_id: int) -> bool:
        """Whether its connections have ended and nobody has heard it since: it may be dead, or known to be."""
        return node_id in self._knocking or node_id in self.recently_closed()

    def recently_closed(self) -> list[int]:
        """Nodes whose doors were found closed a moment ago."""
        since = self._clock.monotonic_ms() - REMEMBERED_MS
        return sorted(node_id for node_id, at_ms in self._closed_at_ms.items() if at_ms >= since)

    def stop(self) -> None:
        self._stopped = True
        for timer in self._knocking.values():
            timer.cancel()
        self._knocking.clear()

    def _knock(self, node_id: int, left: int) -> None:
        answered = False

        def answer(opened: bool) -> None:
            nonlocal answered
            if not answered and not self._stopped:
                answered = True
                self._knocked(node_id, left - 1, opened=opened)

        self._knocking[node_id] = self._clock.call_at(self._clock.monotonic_ms() + KNOCK_MS, lambda: answer(False))
        host, port = self._addresses[node_id]
        self._network.connect(host, port, lambda: _Knock(self._clock, answer), lambda error: answer(False))

    def _knocked(self, node_id: int, left: int, *, opened: bool) -> None:
        self._knocking.pop(node_id).cancel()
        if opened:
            self.heard(node_id)
        elif left:
            again = self._clock.monotonic_ms() + SECOND_KNOCK_AFTER_MS
            self._knocking[node_id] = self._clock.call_at(again, lambda: self._knock(node_id, left))
        else:
            if node_id in self._there:
                del self._there[node_id]
                log.warning("node %d has closed its connections and does not open: it is taken for dead", node_id)
            self._closed_at_ms[node_id] = self._clock.monotonic_ms()
            self._on_closed(node_id)
