"""The web process and the worker as they are started for real."""

import subprocess
import sys
from pathlib import Path

import requests
from board_events import History
from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka.admin import AdminClient
from reading_suite import ALL_PARTITIONS
from service_suite import ServiceProcess
from waiting import wait_until

MANAGE = Path(__file__).resolve().parents[1] / "manage.py"


def test_the_worker_takes_events_and_ends_cleanly(
    client, store, bootstrap_servers: str, publish, valkey_server, tmp_path, settings
) -> None:
    history = History("200")
    environment = {"KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers, "VALKEY_URL": valkey_server.url}
    with (
        ServiceProcess(MANAGE, "worker", tmp_path / "worker", **environment) as worker,
        ServiceProcess(MANAGE, "web", tmp_path / "web", **environment) as web,
    ):
        wait_until(lambda: worker.ready().ok, "the worker ready")
        assert web.ready().ok
        publish(history.create(), history.like())
        wait_until(lambda: ("200", 3) in store.best("day:2026-03-01", 100), "the place in the list")
        assert requests.get(f"{web.url}/v1/popular", timeout=30).status_code == 200
    assert worker.process is None


def test_ended_in_the_middle_of_its_work_it_commits_and_leaves_the_group(
    client, store, bootstrap_servers: str, publish, valkey_server, tmp_path
) -> None:
    """SIGTERM: the status is 0, the group is empty at once, and Kafka knows of every effect."""
    histories = [History(str(300 + number)) for number in range(40)]
    publish(*(history.create() for history in histories))
    publish(*(history.comment() for _ in range(20) for history in histories))
    environment = {"KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers, "VALKEY_URL": valkey_server.url}
    with ServiceProcess(MANAGE, "worker", tmp_path / "worker", **environment) as worker:
        wait_until(lambda: sum(position or 0 for position in store.positions(ALL_PARTITIONS).values()) > 50, "some effects")
        assert worker.stop() == 0
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    assert admin.describe_consumer_groups(["popular"])["popular"].result(30).members == []
    answer = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions("popular")])["popular"].result(30)
    committed = {(p.topic, p.partition): p.offset for p in answer.topic_partitions or []}
    assert committed == store.positions(ALL_PARTITIONS)


def test_without_valkey_both_say_that_they_are_not_ready(tmp_path) -> None:
    environment = {"VALKEY_URL": "redis://127.0.0.1:1/0"}
    with (
        ServiceProcess(MANAGE, "worker", tmp_path / "worker", **environment) as worker,
        ServiceProcess(MANAGE, "web", tmp_path / "web", **environment) as web,
    ):
        for process in (worker, web):
            wait_until(lambda process=process: "valkey" in process.ready().text, f"the {process.kind} names Valkey")
            assert process.ready().status_code == 503
            assert requests.get(f"{process.url}/livez", timeout=30).ok


def test_a_zone_that_does_not_exist_is_refused_by_name(monkeypatch) -> None:
    monkeypatch.setenv("BOARD_ZONE", "Mars/Olympus")
    done = subprocess.run(
        [sys.executable, str(MANAGE), "web", "--port", "1"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "BOARD_ZONE='Mars/Olympus' is not allowed" in done.stderr
