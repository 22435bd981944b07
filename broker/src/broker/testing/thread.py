"""A broker in a thread of this process: quick to start, on a real port, with a real directory."""

import asyncio
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import uvloop

from broker.config import BrokerConfig
from broker.config.sources import SHIPPED
from broker.node.broker import Broker
from broker.node.runtime import serve
from broker.testing.settings import test_settings

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0


class BrokerThread:
    """A context manager: entering starts it, leaving stops it.

    >>> with BrokerThread() as broker:
    ...     print(broker.bootstrap_servers)
    """

    def __init__(self, overrides: Mapping[str, str] | None = None, directory: Path | str | None = None) -> None:
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if directory is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="broker-")
            directory = self._temporary.name
        self._config = BrokerConfig(SHIPPED | test_settings(Path(directory) / "data", 0, overrides))
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)
        self._ready = threading.Event()
        self._error: Exception | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self.bootstrap_servers = ""

    def __enter__(self) -> "BrokerThread":
        self._thread.start()
        if not self._ready.wait(START_TIMEOUT_S):
            raise RuntimeError(f"the broker did not start within {START_TIMEOUT_S} s")
        if self._error is not None:
            raise self._error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STOP_TIMEOUT_S)
        if self._temporary is not None:
            self._temporary.cleanup()
        if self._thread.is_alive():
            raise RuntimeError(f"the broker did not stop within {STOP_TIMEOUT_S} s")
        if self._error is not None and error is None:
            raise self._error

    def _run(self) -> None:
        try:
            uvloop.run(self._serve())
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits
            self._error = error
        self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await serve(self._config, None, self._on_ready, self._stop)

    def _on_ready(self, broker: Broker) -> None:
        self.bootstrap_servers = broker.bootstrap_servers
        self._ready.set()
