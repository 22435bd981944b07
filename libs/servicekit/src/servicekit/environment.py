"""Environment variables as typed settings. A bad value ends the process with one line that names it (exit status 2)."""

import os
import re
import sys
from typing import Any, NoReturn
from urllib.parse import SplitResult, unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

SQLITE_TIMEOUT_SECONDS = 20
# Opening costs a round trip or, with SQLite, the end of the write-ahead log when the last connection is closed.
CONNECTION_AGE_SECONDS = 60
POSTGRES_CONNECT_TIMEOUT_SECONDS = 5
PORT_MAX = 65_535
_PASSWORD = re.compile(r"(?<=:)[^:/@]*(?=@)")


def refuse(name: str, value: str, allowed: str) -> NoReturn:
    """Say what is wrong with a variable, without the password of a URL, and end."""
    print(f"{name}={_PASSWORD.sub('…', value)!r} is not allowed: {allowed}", file=sys.stderr)  # noqa: T201 - there is no logging yet
    sys.exit(2)


def text(name: str, default: str | None = None) -> str:
    """A variable that must be there unless it has a default."""
    value = os.environ.get(name) or default
    if not value:
        refuse(name, "", "it must be set")
    return value


def url(name: str, schemes: tuple[str, ...], default: str | None = None) -> str:
    """A URL of one of these schemes."""
    value = text(name, default)
    try:
        parts = urlsplit(value)
        complete = parts.scheme in schemes and (parts.hostname or parts.scheme == "sqlite") and parts.port != 0
    except ValueError:
        complete = False
    if not complete:
        refuse(name, value, f"a URL that begins with {' or '.join(scheme + '://' for scheme in schemes)}")
    return value


def choice(name: str, choices: tuple[str, ...], default: str) -> str:
    """One of these words, in any case."""
    value = text(name, default)
    if value.upper() not in choices:
        refuse(name, value, f"one of {', '.join(choices)}")
    return value.upper()


def zone(name: str, default: str) -> str:
    """The name of a time zone."""
    value = text(name, default)
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError):
        refuse(name, value, "the name of a time zone such as Asia/Seoul")
    return value


def bootstrap_servers(name: str, default: str) -> str:
    """host:port, or several with commas between."""
    value = text(name, default)
    for one in value.split(","):
        host, _, port = one.strip().rpartition(":")
        if not host or not (port.isascii() and port.isdigit()) or not 1 <= int(port[:6]) <= PORT_MAX:
            refuse(name, value, "host:port, several with commas between")
    return value


def database(name: str = "DATABASE_URL") -> dict[str, Any]:
    """Django's database settings from `sqlite:////path/to/file` or `postgresql://user:password@host:port/name`."""
    value = url(name, ("sqlite", "postgresql"))
    parts = urlsplit(value)
    return _sqlite(name, value, parts) if parts.scheme == "sqlite" else _postgresql(name, value, parts)


def _sqlite(name: str, value: str, parts: SplitResult) -> dict[str, Any]:
    path = unquote(parts.path[1:])
    if not path.startswith("/"):
        refuse(name, value, "an absolute path, with four slashes: sqlite:////path/to/file")
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "CONN_MAX_AGE": CONNECTION_AGE_SECONDS,
        "OPTIONS": {
            # Take the write lock at once: a transaction that reads first and writes later would fail instead of waiting.
            "transaction_mode": "IMMEDIATE",
            "timeout": SQLITE_TIMEOUT_SECONDS,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
        },
    }


def _postgresql(name: str, value: str, parts: SplitResult) -> dict[str, Any]:
    database_name = unquote(parts.path.lstrip("/"))
    if not database_name:
        refuse(name, value, "the name of a database at the end: postgresql://user:password@host:port/name")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": database_name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or 5432),
        "CONN_MAX_AGE": CONNECTION_AGE_SECONDS,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"connect_timeout": POSTGRES_CONNECT_TIMEOUT_SECONDS},
    }
