"""Health: /livez says that the process runs, /readyz what is missing."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from django.test import Client
from peers.valkey import valkey
from service_suite import database_at
from servicekit.health import HealthServer, Problems, check_database, check_valkey


class Checks:
    """What the worker says of itself."""

    problems: Problems
    defect = False

    def __init__(self) -> None:
        self.problems = {}

    def __call__(self) -> Problems:
        if self.defect:
            raise ZeroDivisionError
        return self.problems


@pytest.fixture
def checks() -> Checks:
    return Checks()


@pytest.fixture
def url(checks: Checks) -> Iterator[str]:
    server = HealthServer("127.0.0.1", 0, checks)
    server.start()
    yield f"http://127.0.0.1:{server.port}"
    server.stop()


def test_a_worker_lives(url: str) -> None:
    answer = requests.get(f"{url}/livez", timeout=30)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["Content-Type"] == "application/json"


def test_a_worker_is_ready_when_nothing_is_missing(url: str) -> None:
    answer = requests.get(f"{url}/readyz", timeout=30)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "problems": {}})


def test_a_worker_says_what_is_missing_and_lives_all_the_same(url: str, checks: Checks) -> None:
    checks.problems = {"relay": "3 events wait"}
    answer = requests.get(f"{url}/readyz", timeout=30)
    assert (answer.status_code, answer.json()) == (503, {"status": "unavailable", "problems": {"relay": "3 events wait"}})
    assert requests.get(f"{url}/livez", timeout=30).status_code == 200


def test_a_check_that_fails_is_a_problem_of_its_own(url: str, checks: Checks) -> None:
    checks.defect = True
    answer = requests.get(f"{url}/readyz", timeout=30)
    assert answer.status_code == 503
    assert "ZeroDivisionError" in answer.json()["problems"]["health"]


def test_there_is_nothing_else(url: str) -> None:
    assert requests.get(f"{url}/metrics", timeout=30).status_code == 404


def test_many_ask_at_once(url: str) -> None:
    codes: list[int] = []
    threads = [
        threading.Thread(target=lambda: codes.append(requests.get(f"{url}/readyz", timeout=30).status_code)) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert codes == [200] * 20


@pytest.mark.usefixtures("database")
def test_a_web_process_with_its_database_is_ready() -> None:
    answer = Client().get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "problems": {}})


@pytest.mark.usefixtures("database")
def test_a_web_process_without_its_database_lives_and_is_not_ready() -> None:
    with database_at("postgresql://board@127.0.0.1:1/nothing"):
        answer = Client().get("/readyz")
        assert Client().get("/livez").json() == {"status": "ok"}
    assert answer.status_code == 503
    assert answer.json()["status"] == "unavailable"
    assert "Connection refused" in answer.json()["problems"]["database"]


def test_a_service_without_a_database_does_not_ask_for_one(settings: Any) -> None:
    settings.HAS_DATABASE = False
    assert check_database() == {}
    answer = Client().get("/readyz")
    assert answer.status_code == 503
    assert list(answer.json()["problems"]) == ["valkey"]


def test_valkey_is_there_or_not(tmp_path: Path, settings: Any) -> None:
    assert list(check_valkey()) == ["valkey"]
    with valkey(tmp_path) as server:
        settings.VALKEY_URL = server.url
        assert check_valkey() == {}
