"""What every service gets from the environment, and what must never be on."""

import logging

import pytest
from servicekit.settings import base_settings


@pytest.fixture(autouse=True)
def sqlite_somewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "sqlite:////data/x.sqlite3")


def test_a_service_with_a_database_has_ids_and_an_outbox() -> None:
    found = base_settings("thing", ["thing"], database=True, worker_components=["a.b"])
    assert found["ROOT_URLCONF"] == "thing.urls"
    assert found["DATABASES"]["default"]["NAME"] == "/data/x.sqlite3"
    assert {"thing", "servicekit.ids", "servicekit.outbox"} <= set(found["INSTALLED_APPS"])
    assert found["WORKER_COMPONENTS"] == ["a.b"]


def test_a_service_without_a_database_needs_no_address_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL")
    found = base_settings("thing", [], database=False, worker_components=[])
    assert found["DATABASES"] == {}
    assert not {"servicekit.ids", "servicekit.outbox"} & set(found["INSTALLED_APPS"])


def test_requests_are_no_transactions_and_nothing_is_shown_of_defects() -> None:
    found = base_settings("thing", [], database=True, worker_components=[])
    assert "ATOMIC_REQUESTS" not in found["DATABASES"]["default"]
    assert found["DEBUG"] is False
    assert found["USE_TZ"] is True
    assert found["TIME_ZONE"] == "UTC"


def test_two_processes_without_a_secret_key_have_different_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DJANGO_SECRET_KEY", raising=False)
    keys = {base_settings("thing", [], database=True, worker_components=[])["SECRET_KEY"] for _ in range(2)}
    assert len(keys) == 2


def test_hosts_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", "article, board.example")
    assert base_settings("thing", [], database=True, worker_components=[])["ALLOWED_HOSTS"] == ["article", "board.example"]


def test_the_log_level_is_one_that_python_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "debug")
    level = base_settings("thing", [], database=True, worker_components=[])["LOGGING"]["root"]["level"]
    assert logging.getLevelName(level) == logging.DEBUG
