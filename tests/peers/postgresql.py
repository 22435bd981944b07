"""A PostgreSQL server of the machine's own, for one test session: empty, on a free port, gone afterwards.

Nothing is installed here: without PostgreSQL the tests that need one say so and do not run.
"""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from broker.testing.ports import free_ports

START_TIMEOUT_SECONDS = 60
USER = "board"
# PostgreSQL refuses to run as root; its package brings this account.
ACCOUNT = "postgres"


class PostgresMissing(Exception):
    """There is no PostgreSQL on this machine."""


def binaries() -> Path:
    """The directory of initdb and pg_ctl: the newest that is installed."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    on_path = shutil.which("pg_ctl")
    places += [Path(on_path).resolve().parent] if on_path else []
    for place in places:
        if (place / "initdb").exists() and (place / "pg_ctl").exists():
            return place
    raise PostgresMissing("PostgreSQL is not installed (package postgresql)")


@contextlib.contextmanager
def postgresql(database: str) -> Iterator[str]:
    """The URL of an empty database on a server that lives as long as the block."""
    bin_directory = binaries()
    account = ACCOUNT if os.geteuid() == 0 else None
    directory = Path(tempfile.mkdtemp(prefix="postgresql-"))
    data = directory / "data"
    try:
        if account is not None:
            entry = pwd.getpwnam(account)
            os.chown(directory, entry.pw_uid, entry.pw_gid)
        port = free_ports(1)[0]
        _run(account, bin_directory / "initdb", "-D", data, "-U", USER, "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8")
        options = f"-c listen_addresses=127.0.0.1 -p {port} -k {directory} -c fsync=off -c max_connections=50"
        _run(account, bin_directory / "pg_ctl", "-D", data, "-w", "-l", directory / "log", "-o", options, "start")
        try:
            _run(account, bin_directory / "createdb", "-h", "127.0.0.1", "-p", port, "-U", USER, database)
            yield f"postgresql://{USER}@127.0.0.1:{port}/{database}"
        finally:
            _run(account, bin_directory / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _run(account: str | None, *command: object) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        user=account,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=START_TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}: {done.stdout[-2000:]}"
