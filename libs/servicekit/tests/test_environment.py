"""Every bad variable ends the process with one line that names it, its value, and what is allowed."""

from collections.abc import Callable
from typing import Any

import pytest
from servicekit import environment


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def ask(read: Callable[[], Any], name: str, value: str | None) -> str:
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            read()
        assert ended.value.code == 2
        shown = capsys.readouterr().err
        assert shown.count("\n") == 1
        assert shown.startswith(f"{name}=")
        return shown

    return ask


def test_a_text_that_must_be_set(refused: Callable[..., str]) -> None:
    assert "it must be set" in refused(lambda: environment.text("KEY"), "KEY", None)
    assert "it must be set" in refused(lambda: environment.text("KEY"), "KEY", "")


def test_an_empty_text_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "")
    assert environment.text("KEY", "default") == "default"


@pytest.mark.parametrize(
    "value", ["127.0.0.1:6379", "http://host", "redis://", "redis://host:99999", "redis://host:0", "redis://[::1"]
)
def test_a_url_of_another_scheme_or_without_a_host(refused: Callable[..., str], value: str) -> None:
    shown = refused(lambda: environment.url("VALKEY_URL", ("redis",)), "VALKEY_URL", value)
    assert repr(value) in shown
    assert "redis://" in shown


def test_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VALKEY_URL", "redis://valkey:6379/0")
    assert environment.url("VALKEY_URL", ("redis",)) == "redis://valkey:6379/0"


def test_a_choice(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    read = lambda: environment.choice("LOG_LEVEL", ("INFO", "ERROR"), "INFO")  # noqa: E731
    assert "one of INFO, ERROR" in refused(read, "LOG_LEVEL", "loud")
    monkeypatch.setenv("LOG_LEVEL", "error")
    assert read() == "ERROR"


@pytest.mark.parametrize("value", ["Asia/Nowhere", "../etc/passwd", "/etc/passwd"])
def test_a_zone_that_does_not_exist(refused: Callable[..., str], value: str) -> None:
    assert "Asia/Seoul" in refused(lambda: environment.zone("BOARD_ZONE", "UTC"), "BOARD_ZONE", value)


def test_a_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOARD_ZONE", "Asia/Seoul")
    assert environment.zone("BOARD_ZONE", "UTC") == "Asia/Seoul"


@pytest.mark.parametrize(
    "value", ["broker", "broker:", ":9092", "a:1,b", "a:1,,b:2", "a:99999", "a:0", "a:-1", "a:٣", "a:" + "9" * 5000]
)
def test_bootstrap_servers_without_host_or_port(refused: Callable[..., str], value: str) -> None:
    read = lambda: environment.bootstrap_servers("KAFKA_BOOTSTRAP_SERVERS", "a:1")  # noqa: E731
    assert "host:port" in refused(read, "KAFKA_BOOTSTRAP_SERVERS", value)


def test_several_bootstrap_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "a:9092, [::1]:9093")
    assert environment.bootstrap_servers("KAFKA_BOOTSTRAP_SERVERS", "x:1") == "a:9092, [::1]:9093"


@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        (None, "it must be set"),
        ("mysql://host/name", "sqlite:// or postgresql://"),
        ("sqlite://relative.sqlite3", "an absolute path"),
        ("sqlite:///relative.sqlite3", "an absolute path"),
        ("postgresql://host", "the name of a database"),
        ("postgresql://host/", "the name of a database"),
        ("postgresql:///name", "sqlite:// or postgresql://"),
        ("postgresql://host:port/name", "sqlite:// or postgresql://"),
    ],
)
def test_a_database_that_cannot_be(refused: Callable[..., str], value: str | None, allowed: str) -> None:
    assert allowed in refused(environment.database, "DATABASE_URL", value)


def test_a_password_is_not_shown(refused: Callable[..., str]) -> None:
    shown = refused(environment.database, "DATABASE_URL", "postgresql://board:s3cret@host/")
    assert "s3cret" not in shown
    assert "postgresql://board:…@host/" in shown


def test_sqlite_takes_the_write_lock_at_once_and_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "sqlite:////data/a%20b.sqlite3")
    found = environment.database()
    assert found["NAME"] == "/data/a b.sqlite3"
    assert found["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert found["OPTIONS"]["timeout"] == 20
    assert "journal_mode=WAL" in found["OPTIONS"]["init_command"]
    assert "synchronous=" in found["OPTIONS"]["init_command"]


def test_postgresql(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://board:p%40ss@db:5433/articles")
    found = environment.database()
    assert (found["USER"], found["PASSWORD"], found["HOST"], found["PORT"], found["NAME"]) == (
        "board",
        "p@ss",
        "db",
        "5433",
        "articles",
    )
    monkeypatch.setenv("DATABASE_URL", "postgresql://db/articles")
    assert environment.database()["PORT"] == "5432"
