"""The network port: listeners and connections as `asyncio.BufferedProtocol` objects on asyncio-like transports.

The real twin is uvloop; the simulated twin moves bytes between objects on the virtual clock. No name resolution rules,
TLS or SASL here.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

ProtocolFactory = Callable[[], asyncio.BufferedProtocol]


class Listener(Protocol):
    """A bound and listening endpoint."""

    host: str
    port: int

    def accept(self) -> None:
        """Begin to accept; until then connections wait in the backlog."""

    def close(self) -> None:
        """Stop accepting; established connections live on."""


class Network(Protocol):
    """Endpoints of one node."""

    def listen(self, host: str, port: int, protocol_factory: ProtocolFactory) -> Listener:
        """Bind and listen, without accepting yet; port 0 picks a free one. Raises OSError naming the address when it is taken."""

    def connect(self, host: str, port: int, protocol_factory: ProtocolFactory, on_failure: Callable[[OSError], None]) -> None:
        """Open a connection: `connection_made` is called on the protocol, or else `on_failure` once."""
