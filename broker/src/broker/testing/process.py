"""A broker as a process of its own: started, stopped, killed and started again on the same directory, its disk filled."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from broker.testing.disk import throw_switch
from broker.testing.ports import free_ports
from broker.testing.settings import HOST, test_settings

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
LOG_LINES_SHOWN = 40


class BrokerProcess:
    """A context manager: entering starts it, leaving stops it.

    >>> with BrokerProcess() as broker:
    ...     print(broker.bootstrap_servers)

    `directory`: kept, and found again by the next start; without one a temporary directory is used and removed. `port` 0 is any
    free one. `cluster_id`: of a directory that is formatted now.
    """

    def __init__(
        self,
        overrides: Mapping[str, str] | None = None,
        directory: Path | str | None = None,
        *,
        port: int = 0,
        cluster_id: str | None = None,
    ) -> None:
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if directory is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="broker-")
            directory = self._temporary.name
        self.directory = Path(directory)
        self.data = self.directory / "data"
        self.log_path = self.directory / "broker.log"
        self._disk_switch = self.directory / "disk-is-full"
        self._overrides = overrides
        self._cluster_id = cluster_id
        self._process: subprocess.Popen[str] | None = None
        self.port = port or free_ports(1)[0]

    def __enter__(self) -> "BrokerProcess":
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        if self._temporary is not None:
            self._temporary.cleanup()

    @property
    def bootstrap_servers(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None, "the broker is not running"
        return self._process.pid

    def start(self) -> "BrokerProcess":
        """Start, and return when clients are served. A second start finds the same port and directory."""
        if not self._disk_switch.exists():
            self.free_disk()
        command = [sys.executable, "-m", "broker.testing.start", str(self._disk_switch)]
        for name, value in test_settings(self.data, self.port, self._overrides).items():
            command += ["--override", f"{name}={value}"]
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("KAFKA_") and name != "CLUSTER_ID"
        }
        if self._cluster_id is not None:
            environment["CLUSTER_ID"] = self._cluster_id
        with self.log_path.open("a", encoding="utf-8") as output:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=output, env=environment, text=True)
        self.port = self._ready_port()
        return self

    def _ready_port(self) -> int:
        """The port in the line that says the broker is ready."""
        assert self._process is not None
        assert self._process.stdout is not None
        timer = threading.Timer(START_TIMEOUT_S, self._process.kill)
        timer.start()
        line = self._process.stdout.readline()
        timer.cancel()
        if not line.startswith("ready "):
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
            raise RuntimeError(f"the broker did not start; the end of its log:\n{self.log_tail()}")
        return int(line.split()[1].split(",")[0].rpartition(":")[2])

    def log_tail(self) -> str:
        """The last lines of its log."""
        return "\n".join(self.log_path.read_text(encoding="utf-8").splitlines()[-LOG_LINES_SHOWN:])

    def stop(self) -> None:
        """SIGTERM, and wait; a broker that does not end in time is an error."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9: nothing is closed."""
        self._end(signal.SIGKILL)

    def fill_disk(self) -> None:
        """From now on the broker's disk has no room (`testing.disk`), also after a start, until `free_disk`."""
        throw_switch(self._disk_switch, full=True)

    def free_disk(self) -> None:
        """There is room again; harmless when there was."""
        throw_switch(self._disk_switch, full=False)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise RuntimeError(
                f"the broker did not stop within {STOP_TIMEOUT_S} s; the end of its log:\n{self.log_tail()}"
            ) from None
        finally:
            assert process.stdout is not None
            process.stdout.close()
