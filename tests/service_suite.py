"""What the suites of the services share: settings for tests, databases as in production, and services as real processes.

Django's own test databases are not used: its SQLite would be in memory, its transactions would never commit, and the code
under test commits in threads and processes of its own. Every test that asks for `database` runs on SQLite (a file, with the
settings of production) and again on PostgreSQL, and finds empty tables. A suite's conftest.py calls `prepare` and imports
the fixtures.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
import requests
from broker.testing.ports import free_ports
from peers.postgresql import PostgresMissing, postgresql
from waiting import wait_until

ROOT = Path(__file__).resolve().parents[1]
HOST = "127.0.0.1"
# Nobody listens there: whoever is not given a broker or a Valkey does without.
NOBODY = f"{HOST}:1"
STOP_TIMEOUT_SECONDS = 30.0


def prepare(settings_module: str) -> None:
    """Set Django up for a suite. The address of the database is nobody's until a test asks for one."""
    import django

    os.environ |= {
        "DJANGO_SETTINGS_MODULE": settings_module,
        "DATABASE_URL": "sqlite:////nonexistent/database",
        "VALKEY_URL": f"redis://{NOBODY}/0",
        "KAFKA_BOOTSTRAP_SERVERS": NOBODY,
    }
    django.setup()


@dataclass(frozen=True)
class Database:
    """The database that a test runs on."""

    vendor: str
    url: str


@pytest.fixture(scope="session")
def sqlite_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('sqlite')}/database.sqlite3"


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    try:
        with postgresql("tests") as url:
            yield url
    except PostgresMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, django_db_blocker: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """Django's default database, with all tables and no rows. `DATABASE_URL` names it to processes that are started."""
    from django.core.management import call_command
    from servicekit.ids import generator

    vendor = request.param
    url = request.getfixturevalue(f"{vendor}_url")
    with django_db_blocker.unblock(), database_at(url):
        call_command("migrate", verbosity=0)
        call_command("flush", verbosity=0, interactive=False)
        # The lease of the worker number went with the rows.
        monkeypatch.setattr(generator, "_generator", generator.Generator())
        yield Database(vendor, url)


@contextmanager
def database_at(url: str) -> Iterator[None]:
    """Inside, DATABASE_URL is this one, and Django's default database is there."""
    from django.db import connections
    from servicekit import environment

    before, address_before = connections.settings, os.environ["DATABASE_URL"]
    os.environ["DATABASE_URL"] = url
    _reconnect(connections.configure_settings({"default": environment.database()}))
    try:
        yield
    finally:
        os.environ["DATABASE_URL"] = address_before
        _reconnect(before)


def _reconnect(settings: Any) -> None:
    """Replace this thread's connection; threads that begin later see the new settings as well."""
    from django.db import connections

    connections["default"].close()
    del connections["default"]
    connections.settings = settings


class ServiceProcess:
    """`manage.py web` or `manage.py worker` of a service, with DATABASE_URL and the rest from the environment.

    A context manager: entering waits until /livez answers; leaving sends SIGTERM and wants a clean end.
    """

    def __init__(self, manage: Path, kind: str, log: Path, **environment: str) -> None:
        self.kind = kind
        self.port = free_ports(1)[0]
        self.url = f"http://{HOST}:{self.port}"
        self.log = log
        option = {"web": "--port", "worker": "--health-port"}[kind]
        self._command = [sys.executable, str(manage), kind, option, str(self.port)]
        self._environment = {**os.environ, **environment}
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "ServiceProcess":
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process is not None:
            status = self.stop()
            assert error is not None or status == 0, f"the {self.kind} ended with {status}: {self.log_text()}"

    def start(self) -> "ServiceProcess":
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        try:
            wait_until(self._lives, f"the {self.kind} to live")
        except AssertionError:
            self.kill()
            raise
        return self

    def _lives(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the {self.kind} ended with {self.process.returncode}: {self.log_text()}"
        try:
            return requests.get(f"{self.url}/livez", timeout=5).ok
        except requests.ConnectionError:
            return False

    def log_text(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def ready(self) -> requests.Response:
        return requests.get(f"{self.url}/readyz", timeout=30)

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """kill -9; the exit status."""
        return self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int:
        process, self.process = self.process, None
        assert process is not None
        process.send_signal(number)
        try:
            return process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the {self.kind} did not end: {self.log_text()}") from None
