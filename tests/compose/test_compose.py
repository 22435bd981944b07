"""`docker compose up --build --wait` and what follows: the same end-to-end tests, a broker that goes and comes, nothing left."""

import os
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml
from running_board import RunningBoard
from waiting import wait_until

from .conftest import ROOT, Project

pytestmark = pytest.mark.timeout(1800)
SERVICES = ("article", "comment", "popular", "read-view")
ONCE = {"topics", "article-migrate", "comment-migrate"}
RUNNING = {"broker-1", "postgres", "valkey", *SERVICES, *(f"{name}-worker" for name in SERVICES)}
E2E_TIMEOUT_SECONDS = 1200


@pytest.fixture
def board(project: Project) -> RunningBoard:
    urls = {name: f"http://127.0.0.1:{project.ports[f'{name.upper()}_PORT'.replace('-', '_')]}" for name in SERVICES}
    return RunningBoard(urls, f"127.0.0.1:{project.ports['BROKER_PORT']}")


def shown(board: RunningBoard, article_id: str) -> bool:
    answer = board.call("read-view", "GET", f"articles/{article_id}")
    return answer.ok and answer.headers["X-Source"] == "projection"


def test_the_file_is_valid_and_names_every_part(engine: None) -> None:
    found = yaml.safe_load(Project().run("config"))
    assert set(found["services"]) == RUNNING | ONCE
    for name in RUNNING:
        assert found["services"][name]["healthcheck"]["test"], name
    published = {port["published"]: port["host_ip"] for one in found["services"].values() for port in one.get("ports", [])}
    # Nothing is reachable from other machines.
    assert len(published) == 5
    assert set(published.values()) == {"127.0.0.1"}


def test_another_broker_is_another_image_and_nothing_else(engine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Project()
    before = yaml.safe_load(ours.run("config"))
    monkeypatch.setenv("BROKER_IMAGE", "apache/kafka:4.3.1")
    after = yaml.safe_load(ours.run("config"))
    assert after["services"]["broker-1"].pop("image") == "apache/kafka:4.3.1"
    assert before["services"]["broker-1"].pop("image") == "board/broker"
    assert after == before
    assert "build" not in after["services"]["broker-1"]


def test_all_that_runs_is_healthy_and_what_runs_once_has_ended_well(project: Project) -> None:
    assert project.states() == dict.fromkeys(RUNNING, "running healthy") | dict.fromkeys(ONCE, "exited 0")


def test_no_process_is_root(project: Project) -> None:
    for name in ("broker-1", "article", "article-worker"):
        assert project.run("exec", "--no-TTY", name, "id", "--user").strip() == "1000"


def test_the_same_end_to_end_tests_pass(project: Project, board: RunningBoard, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    names = {f"BOARD_E2E_{name.upper().replace('-', '_')}_URL": url for name, url in board.urls.items()}
    environment = {
        **project.environment,
        **names,
        "BOARD_E2E_BOOTSTRAP_SERVERS": board.bootstrap_servers,
        "BOARD_E2E_STOP_ORIGINS": shlex.join(project.command("stop", "article", "comment")),
        "BOARD_E2E_START_ORIGINS": shlex.join(project.command("up", "--wait", "--no-deps", "article", "comment")),
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/e2e/test_board.py", "-q", f"--junitxml={report}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=E2E_TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-2_000:]
    cases = list(ElementTree.parse(report).iter("testcase"))
    assert len(cases) >= 10
    assert [case.get("name") for case in cases if case.find("skipped") is not None] == []


def test_posts_are_taken_while_the_broker_is_away(project: Project, board: RunningBoard) -> None:
    project.run("kill", "broker-1")
    article_id = board.post("브로커 없이")["id"]
    board.like(article_id, 1)
    assert not shown(board, article_id)
    project.run("up", "--wait", "--no-deps", "broker-1")
    wait_until(lambda: shown(board, article_id), "the post in the projection", 120)
    wait_until(lambda: board.made("read-view", "GET", f"articles/{article_id}")["like_count"] == 1, "the like", 120)


def test_everything_is_there_after_down_and_up(project: Project, board: RunningBoard) -> None:
    """Containers go, volumes stay: the tables, the log and the projections."""
    article_id = board.post("다시 만나요")["id"]
    board.comment(article_id)
    wait_until(lambda: board.made("read-view", "GET", f"articles/{article_id}")["comment_count"] == 1, "the comment", 120)
    project.run("down", "--timeout", "15")
    project.run("up", "--wait")
    assert board.made("article", "GET", f"articles/{article_id}")["title"] == "다시 만나요"
    wait_until(lambda: shown(board, article_id), "the post in the projection", 120)
    assert board.made("read-view", "GET", f"articles/{article_id}")["comment_count"] == 1
    later = board.post("그 뒤에")["id"]
    wait_until(lambda: shown(board, later), "a later post in the projection", 120)


def test_nothing_of_this_machine_is_in_an_image() -> None:
    """The recipe names no host, and copies no tests, no caches and no data."""
    recipe = (ROOT / "Dockerfile").read_text()
    assert "://" not in recipe
    assert "--index-url" not in recipe
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert "**/tests" in ignored
    copied = {line.split()[1].split("/")[0] for line in recipe.splitlines() if line.startswith("COPY ")}
    assert copied == {line[1:] for line in ignored if line.startswith("!")}
    assert os.path.isdir(ROOT / "broker" / "src")
