"""TCP proxies between brokers, one for each direction of each pair, that can be cut: bytes and new connections vanish silently.

Owns a thread with a loop of its own. A target that is not there is passed on: the connection is closed at once.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from broker.testing.settings import HOST

CHUNK_BYTES = 256 * 1024
START_TIMEOUT_S = 10.0


@dataclass
class _Way:
    """From one broker to a listener of another."""

    source: int
    target: int
    target_port: int
    listening: socket.socket
    # Cleared while the way is cut.
    open: asyncio.Event = field(default_factory=asyncio.Event)


class Proxies:
    """See the module. All ways are added before `start`."""

    def __init__(self) -> None:
        self._ways: list[_Way] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="proxies", daemon=True)

    def add(self, source: int, target: int, target_port: int) -> int:
        """The port where `source` reaches that port of `target`."""
        listening = socket.create_server((HOST, 0))
        listening.setblocking(False)
        self._ways.append(_Way(source, target, target_port, listening))
        return int(listening.getsockname()[1])

    def start(self) -> None:
        self._thread.start()
        if not self._ready.wait(START_TIMEOUT_S):
            raise RuntimeError("the proxies did not start")

    def stop(self) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(START_TIMEOUT_S)
        for way in self._ways:
            way.listening.close()

    def cut(self, source: int, target: int) -> None:
        self._each(lambda way: way.open.clear() if (way.source, way.target) == (source, target) else None)

    def heal(self) -> None:
        self._each(lambda way: way.open.set())

    def _each(self, change: Callable[[_Way], object]) -> None:
        """Change every way on the proxies' own thread, and wait until that is done."""
        done = threading.Event()

        def run() -> None:
            for way in self._ways:
                change(way)
            done.set()

        assert self._loop is not None
        self._loop.call_soon_threadsafe(run)
        done.wait(START_TIMEOUT_S)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        servers = []
        for way in self._ways:
            way.open.set()
            servers.append(await asyncio.start_server(lambda r, w, way=way: self._connected(way, r, w), sock=way.listening))  # type: ignore[misc]
        self._ready.set()
        await self._stop.wait()
        for server in servers:
            server.close()
        for task in asyncio.all_tasks():
            if task is not asyncio.current_task():
                task.cancel()

    async def _connected(self, way: _Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await way.open.wait()
        try:
            onward_reader, onward_writer = await asyncio.open_connection(HOST, way.target_port)
        except OSError:
            writer.close()
            return
        pumps = [
            asyncio.create_task(self._pump(way, reader, onward_writer)),
            asyncio.create_task(self._pump(way, onward_reader, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            writer.close()
            onward_writer.close()

    @staticmethod
    async def _pump(way: _Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                # While the way is cut, bytes wait as they would in a sender that retransmits.
                await way.open.wait()
                writer.write(data)
                await writer.drain()
