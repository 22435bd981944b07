"""A client that sends what a test wants, one request at a time: our codec, one socket, no retries, no version of its own.

What real clients would not send (wrong generations, fenced members, versions of old) is asked of both brokers with it.
"""

import socket
from types import TracebackType
from typing import Any

from broker.protocol import codec
from broker.protocol.headers import RequestHeader, encode_request_header, response_header_size
from broker.protocol.message import Request, Response
from broker.server.api_table import BY_KEY

from .conftest import Target

TIMEOUT_SECONDS = 30
LENGTH_BYTES = 4
CLIENT_ID = "raw"


def response_class(request: Request) -> type[Response]:
    """The answer's declaration stands beside the request's."""
    import sys

    name = type(request).__name__.removesuffix("Request") + "Response"
    found = getattr(sys.modules[type(request).__module__], name)
    assert issubclass(found, Response)
    return found


class Raw:
    """One connection."""

    def __init__(self, target: Target) -> None:
        host, _, port = target.bootstrap_servers.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), TIMEOUT_SECONDS)
        self._correlation_id = 0
        self._asked: list[tuple[int, type[Response], int]] = []

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._socket.close()

    def send(self, request: Request, version: int | None = None) -> None:
        """Ask, and read the answer later with `receive`."""
        api = BY_KEY[request.API_KEY]
        chosen = api.last if version is None else version
        self._correlation_id += 1
        flexible = api.flexible_from is not None and chosen >= api.flexible_from
        header = encode_request_header(RequestHeader(request.API_KEY, chosen, self._correlation_id, CLIENT_ID), flexible=flexible)
        body = bytes(header) + b"".join(codec.encode(request, chosen))
        self._socket.sendall(len(body).to_bytes(LENGTH_BYTES, "big") + body)
        self._asked.append((self._correlation_id, response_class(request), chosen))

    def receive(self) -> Any:
        """The answer to the oldest request that was not answered yet."""
        correlation_id, cls, version = self._asked.pop(0)
        data = self._read(int.from_bytes(self._read(LENGTH_BYTES), "big"))
        assert int.from_bytes(data[:4], "big") == correlation_id
        api = BY_KEY[cls.API_KEY]
        flexible = api.flexible_from is not None and version >= api.flexible_from
        return codec.decode(cls, version, data, response_header_size(cls.API_KEY, flexible=flexible))

    def ask(self, request: Request, version: int | None = None) -> Any:
        self.send(request, version)
        return self.receive()

    def is_answered(self, seconds: float) -> bool:
        """Whether bytes of the next answer come within a time."""
        self._socket.settimeout(seconds)
        try:
            return len(self._socket.recv(1, socket.MSG_PEEK)) == 1
        except TimeoutError:
            return False
        finally:
            self._socket.settimeout(TIMEOUT_SECONDS)

    def is_closed(self) -> bool:
        """Whether the broker ends the connection; an answer instead is an error."""
        data = self._socket.recv(1, socket.MSG_PEEK)
        assert data == b"", "it answers"
        return True

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self._socket.recv(count - len(data))
            assert part, "the broker closed the connection"
            data += part
        return data
