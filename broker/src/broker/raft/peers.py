"""The connections to the other voters' controller listeners, one each, opened when something is to be said."""

from collections.abc import Callable, Mapping

from broker.client.connection import ClientConnection
from broker.client.exchange import Outcome, RequestFailed
from broker.clock.port import Clock
from broker.network.port import Network
from broker.protocol.message import Request

# A voter that cannot be reached is tried anew so soon: its way may be open again.
CONNECT_MS = 1000


class Peers:
    """See the module. `on_lost` is told whose connection has ended, or could not be made."""

    def __init__(
        self,
        node_id: int,
        addresses: Mapping[int, tuple[str, int]],
        network: Network,
        clock: Clock,
        on_lost: Callable[[int], None],
    ) -> None:
        self._connections = {
            peer: ClientConnection(
                network,
                clock,
                host,
                port,
                f"raft-client-{node_id}",
                on_lost=lambda reason, peer=peer: on_lost(peer),  # type: ignore[misc]
                connect_ms=CONNECT_MS,
            )
            for peer, (host, port) in addresses.items()
            if peer != node_id
        }
        self._closed = False

    def ask(self, peer: int, request: Request, timeout_ms: int, on_done: Callable[[Outcome], None]) -> None:
        """`on_done` gets the answer or a `RequestFailed`, once; at once when this end is closed."""
        if self._closed:
            on_done(RequestFailed("this node has stopped"))
        else:
            self._connections[peer].submit(request, timeout_ms, on_done)

    def close(self) -> None:
        self._closed = True
        for connection in self._connections.values():
            connection.close()
