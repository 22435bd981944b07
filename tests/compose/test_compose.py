"""`docker compose up --build --wait` and what follows: the same end-to-end tests, brokers that go and come, nothing left."""

import os
import shlex
import subprocess
import sys
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from running_board import RunningBoard
from waiting import wait_until

from .conftest import BROKER_PORTS, PORTS, ROOT, Project

pytestmark = pytest.mark.timeout(1800)
SERVICES = ("article", "comment", "popular", "read-view")
ONCE = {"topics", "article-migrate", "comment-migrate"}
BROKERS = ("broker-1", "broker-2", "broker-3")
RUNNING = {*BROKERS, "postgres", "valkey", *SERVICES, *(f"{name}-worker" for name in SERVICES)}
E2E_TIMEOUT_SECONDS = 1200
ANSWER_TIMEOUT_SECONDS = 30
POSTS_EACH = 10
PAUSE_SECONDS = 0.1


@pytest.fixture
def board(project: Project) -> RunningBoard:
    urls = {name: f"http://127.0.0.1:{project.ports[f'{name.upper()}_PORT'.replace('-', '_')]}" for name in SERVICES}
    return RunningBoard(urls, ",".join(f"127.0.0.1:{project.ports[name]}" for name in BROKER_PORTS))


def shown(board: RunningBoard, article_id: str) -> bool:
    answer = board.call("read-view", "GET", f"articles/{article_id}")
    return answer.ok and answer.headers["X-Source"] == "projection"


def in_sync_everywhere(board: RunningBoard, broker_ids: list[int]) -> bool:
    """Every partition of every topic, the cluster's own among them, has these in its ISR and is led by one of them."""
    admin = AdminClient({"bootstrap.servers": board.bootstrap_servers, "log_level": 0})
    try:
        topics = admin.list_topics(timeout=ANSWER_TIMEOUT_SECONDS).topics
    except KafkaException:
        return False  # Asked of one that was about to end.
    partitions = [one for topic in topics.values() for one in topic.partitions.values()]
    known = {"article-topic", "comment-topic", "__consumer_offsets"} <= set(topics)
    return known and all(sorted(one.isrs) == broker_ids and one.leader in broker_ids for one in partitions)


@contextmanager
def posts_written(board: RunningBoard) -> Iterator[list[str]]:
    """One after the other meanwhile; the ids of those that were taken. The first that is refused is raised at the end."""
    ids, stop, failures = list[str](), threading.Event(), list[Exception]()

    def write() -> None:
        try:
            while not stop.wait(PAUSE_SECONDS):
                ids.append(board.post("셋 중 하나 없이")["id"])
        except Exception as error:  # noqa: BLE001 - raised below
            failures.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield ids
    finally:
        stop.set()
        writer.join()
    if failures:
        raise failures[0]


def test_the_file_is_valid_and_names_every_part(engine: None) -> None:
    found = yaml.safe_load(Project().run("config"))
    assert set(found["services"]) == RUNNING | ONCE
    for name in RUNNING:
        assert found["services"][name]["healthcheck"]["test"], name
    published = {port["published"]: port["host_ip"] for one in found["services"].values() for port in one.get("ports", [])}
    # Nothing is reachable from other machines.
    assert len(published) == len(PORTS)
    assert set(published.values()) == {"127.0.0.1"}


def test_another_broker_is_another_image_and_nothing_else(engine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Project()
    before = yaml.safe_load(ours.run("config"))
    monkeypatch.setenv("BROKER_IMAGE", "apache/kafka:4.3.1")
    after = yaml.safe_load(ours.run("config"))
    for name in BROKERS:
        assert after["services"][name].pop("image") == "apache/kafka:4.3.1"
        assert before["services"][name].pop("image") == "board/broker"
        assert "build" not in after["services"][name]
    # What starts with x- is what the parts are put together from.
    for found in (before, after):
        del found["x-broker"]
    assert after == before


def test_the_brokers_differ_in_what_is_their_own_only(engine: None) -> None:
    project = Project()
    found = yaml.safe_load(project.run("config"))["services"]
    shared, addresses, data = list[dict[str, str]](), set[str](), set[str]()
    for number, (name, port) in enumerate(zip(BROKERS, BROKER_PORTS, strict=True), start=1):
        environment = found[name]["environment"]
        assert environment.pop("KAFKA_NODE_ID") == str(number)
        advertised = environment.pop("KAFKA_ADVERTISED_LISTENERS")
        assert advertised == f"PLAINTEXT://{name}:19092,EXTERNAL://127.0.0.1:{project.ports[port]}"
        assert [one["published"] for one in found[name]["ports"]] == [str(project.ports[port])]
        shared.append(environment)
        addresses.add(f"{name}:19092")
        data.update(one["source"] for one in found[name]["volumes"])
    assert shared[0] == shared[1] == shared[2]
    assert data == set(BROKERS)
    for name in (*SERVICES, *(f"{name}-worker" for name in SERVICES)):
        assert set(found[name]["environment"]["KAFKA_BOOTSTRAP_SERVERS"].split(",")) == addresses


def test_all_that_runs_is_healthy_and_what_runs_once_has_ended_well(project: Project) -> None:
    assert project.states() == dict.fromkeys(RUNNING, "running healthy") | dict.fromkeys(ONCE, "exited 0")


def test_no_process_is_root(project: Project) -> None:
    for name in (*BROKERS, "article", "article-worker"):
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


def test_the_board_goes_on_without_one_broker_and_it_comes_back(project: Project, board: RunningBoard) -> None:
    wait_until(lambda: in_sync_everywhere(board, [1, 2, 3]), "three replicas in sync", 120)
    with posts_written(board) as ids:
        wait_until(lambda: len(ids) >= POSTS_EACH, "posts before", 120)
        project.run("kill", "--signal", "SIGKILL", "broker-2")
        away_from = len(ids)
        wait_until(lambda: len(ids) >= away_from + POSTS_EACH, "posts while it is away", 120)
        away = ids[away_from : away_from + POSTS_EACH]
        wait_until(lambda: all(shown(board, one) for one in away), "posts in the projection while it is away", 120)
        assert project.states()["broker-2"].startswith("exited 137")
        wait_until(lambda: in_sync_everywhere(board, [1, 3]), "an ISR without it", 120)
        project.run("up", "--wait", "--no-deps", "broker-2")
    wait_until(lambda: in_sync_everywhere(board, [1, 2, 3]), "three replicas in sync", 120)
    wait_until(lambda: all(shown(board, one) for one in ids), "all posts in the projection", 120)


def test_posts_are_taken_while_all_brokers_are_away(project: Project, board: RunningBoard) -> None:
    project.run("kill", *BROKERS)
    article_id = board.post("브로커 없이")["id"]
    board.like(article_id, 1)
    assert not shown(board, article_id)
    project.run("up", "--wait", "--no-deps", *BROKERS)
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
