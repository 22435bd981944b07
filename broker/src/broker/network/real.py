"""The real twin of the network port: sockets on an asyncio loop."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable

from broker.network.port import ProtocolFactory

BACKLOG = 1024


class RealListener:
    """A listening socket and the server on it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, host: str, port: int, protocol_factory: ProtocolFactory) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
            self._socket.listen(BACKLOG)
        except OSError as error:
            self._socket.close()
            raise OSError(error.errno, f"cannot listen on {host or '*'}:{port}: {os.strerror(error.errno or 0)}") from error
        self._socket.setblocking(False)
        self.host, self.port = self._socket.getsockname()[:2]
        self._server: asyncio.AbstractServer | None = None
        self._closed = False
        self._loop = loop
        self._factory = protocol_factory
        self._task: asyncio.Task[None] | None = None

    def accept(self) -> None:
        self._task = self._loop.create_task(self._serve())

    async def _serve(self) -> None:
        if self._socket.fileno() < 0:
            return  # Closed before the loop came to it.
        self._server = await self._loop.create_server(self._factory, sock=self._socket, backlog=BACKLOG)
        if self._closed:
            self._server.close()

    def close(self) -> None:
        self._closed = True
        if self._server is not None:
            self._server.close()
        self._socket.close()


class RealNetwork:
    """Connections of this machine."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._connecting: set[asyncio.Task[None]] = set()

    def listen(self, host: str, port: int, protocol_factory: ProtocolFactory) -> RealListener:
        return RealListener(self._loop, host, port, protocol_factory)

    def connect(self, host: str, port: int, protocol_factory: ProtocolFactory, on_failure: Callable[[OSError], None]) -> None:
        async def run() -> None:
            try:
                await self._loop.create_connection(protocol_factory, host, port)
            except OSError as error:
                with contextlib.suppress(RuntimeError):
                    on_failure(error)

        task = self._loop.create_task(run())
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
