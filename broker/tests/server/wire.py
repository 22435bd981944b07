"""A client's end of a connection without a socket: bytes go straight into `Connection`, what it writes is kept."""

from collections.abc import Iterable, Sequence
from typing import Any

from broker.protocol import codec
from broker.protocol.headers import RequestHeader, encode_request_header, response_header_size
from broker.protocol.message import Request, Response
from broker.server.api_table import BROKER, BY_KEY, CONTROLLER
from broker.server.connection import Connection

from .world import Node

LENGTH_BYTES = 4


def frame(request: Request, version: int, correlation_id: int = 1, client_id: str | None = "c") -> bytes:
    """A whole request as it stands on the wire."""
    api = BY_KEY[request.API_KEY]
    flexible = api.flexible_from is not None and version >= api.flexible_from
    header = encode_request_header(RequestHeader(request.API_KEY, version, correlation_id, client_id), flexible=flexible)
    body = bytes(header) + b"".join(codec.encode(request, version))
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def split_frames(data: bytes) -> list[bytes]:
    frames = []
    while data:
        end = LENGTH_BYTES + int.from_bytes(data[:LENGTH_BYTES], "big")
        assert end <= len(data), "the last answer is not whole"
        frames.append(data[LENGTH_BYTES:end])
        data = data[end:]
    return frames


class FakeTransport:
    """What a connection needs of its transport."""

    def __init__(self, node: Node, connection: Connection) -> None:
        self._node = node
        self._connection = connection
        self.written = bytearray()
        self.reading = True
        self.aborted = False
        self.closed = False

    def get_extra_info(self, name: str) -> Any:
        return ("10.1.2.3", 5555) if name == "peername" else None

    def writelines(self, buffers: Iterable[bytes]) -> None:
        self.written += b"".join(buffers)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_reading(self) -> bool:
        return self.reading

    def is_closing(self) -> bool:
        return self.aborted or self.closed

    def abort(self) -> None:
        if not self.aborted:
            self.aborted = True
            self._node.clock.call_soon(lambda: self._connection.connection_lost(None))

    def close(self) -> None:
        if not self.is_closing():
            self.closed = True
            self._node.clock.call_soon(lambda: self._connection.connection_lost(None))


class Client:
    """One client of a node."""

    def __init__(self, node: Node, listener: str = "PLAINTEXT") -> None:
        self.node = node
        kind = CONTROLLER if listener == "CONTROLLER" else BROKER
        self.connection = Connection(node.broker.acceptor, listener, kind)
        self.transport = FakeTransport(node, self.connection)
        self.connection.connection_made(self.transport)  # type: ignore[arg-type]

    def feed(self, data: bytes) -> None:
        """The bytes arrive, in as many reads as the connection wants; none while it does not read."""
        while data and not self.transport.aborted:
            buffer = self.connection.get_buffer(-1)
            count = min(len(buffer), len(data))
            buffer[:count] = data[:count]
            data = data[count:]
            self.connection.buffer_updated(count)

    def send(self, request: Request, version: int, correlation_id: int = 1) -> None:
        self.feed(frame(request, version, correlation_id))

    def go(self) -> None:
        """The client closes its end."""
        self.connection.connection_lost(None)

    @property
    def correlation_ids(self) -> list[int]:
        """Of the answers so far, in their order."""
        return [int.from_bytes(one[:4], "big") for one in split_frames(bytes(self.transport.written))]

    def answers(self, *asked: tuple[type[Response], int]) -> Sequence[Any]:
        """All answers, read as these messages in these versions."""
        frames = split_frames(bytes(self.transport.written))
        assert len(frames) == len(asked)
        found = []
        for data, (cls, version) in zip(frames, asked, strict=True):
            api = BY_KEY[cls.API_KEY]
            flexible = api.flexible_from is not None and version >= api.flexible_from
            found.append(codec.decode(cls, version, data, response_header_size(cls.API_KEY, flexible=flexible)))
        return found
