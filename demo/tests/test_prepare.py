"""Topics, tables, and the cluster that a data directory belongs to."""

import base64
import sqlite3
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from broker.testing import BrokerThread
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType
from demo.layout import DemoError, Layout

from demo import prepare


class Stop(Exception):
    """What the supervisor's check raises."""


def go_on() -> None:
    pass


def stop() -> None:
    raise Stop


def test_topics_are_made_once_and_kept_for_ever() -> None:
    with BrokerThread() as broker:
        for _ in range(2):
            prepare.create_topics(broker.bootstrap_servers, go_on)
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        topics = {name: len(topic.partitions) for name, topic in admin.list_topics(timeout=30).topics.items() if name[0] != "_"}
        assert topics == dict.fromkeys(
            [f"{topic}{suffix}" for topic in prepare.TOPICS for suffix in ("", ".popular.dlt", ".read-view.dlt")], 3
        )
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in topics]
        for future in admin.describe_configs(resources).values():
            assert future.result()["retention.ms"].value == "-1"


def test_a_broker_that_is_not_there_is_said_and_a_stop_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "REQUEST_TIMEOUT_SECONDS", 0.3)
    monkeypatch.setattr(prepare, "CREATE_TIMEOUT_SECONDS", 0.5)
    with pytest.raises(DemoError, match=r"could not be created on the broker at 127.0.0.1:1: "):
        prepare.create_topics("127.0.0.1:1", go_on)
    with pytest.raises(Stop):
        prepare.create_topics("127.0.0.1:1", stop)


def test_a_data_directory_stays_with_its_cluster(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    with BrokerThread() as first, BrokerThread() as second:
        for _ in range(2):
            prepare.check_cluster(replace(layout, external_broker=first.bootstrap_servers))
        cluster_id = (tmp_path / prepare.CLUSTER_FILE).read_text().strip()
        with pytest.raises(DemoError, match=f"belongs to the cluster {cluster_id}, the broker at {second.bootstrap_servers}"):
            prepare.check_cluster(replace(layout, external_broker=second.bootstrap_servers))


def test_a_cluster_of_several_brokers_is_named_once(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    prepare.name_cluster(layout)
    name = layout.cluster_id_file.read_text().strip()
    # As Kafka's random-uuid: 16 bytes, base64 without padding.
    assert len(base64.urlsafe_b64decode(name + "==")) == 16
    prepare.name_cluster(layout)
    assert layout.cluster_id_file.read_text().strip() == name
    brokers = [spec for spec in layout.processes() if spec.name.startswith("broker-")]
    assert [spec.env["CLUSTER_ID"] for spec in brokers] == [name] * 3


@pytest.mark.parametrize("layout", [{"brokers": 1}, {"external_broker": "kafka.example:9092"}])
def test_one_broker_or_one_elsewhere_needs_no_name(tmp_path: Path, layout: dict[str, Any]) -> None:
    prepare.name_cluster(Layout(tmp_path, **layout))
    assert list(tmp_path.iterdir()) == []


def test_tables_are_made(tmp_path: Path) -> None:
    for _ in range(2):
        prepare.migrate(Layout(tmp_path), "article", go_on)
    database = sqlite3.connect(tmp_path / "article" / "db.sqlite3")
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    database.close()
    assert "django_migrations" in tables
    assert len(tables) > 3


def test_a_migration_that_fails_is_told_in_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "article" / "db.sqlite3").mkdir(parents=True)
    with pytest.raises(DemoError, match=r"(?s)migrating article failed:\n.*unable to open database file"):
        prepare.migrate(Layout(tmp_path), "article", go_on)


def test_a_migration_ends_when_the_board_is_asked_to_stop(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(Stop):
        prepare.migrate(Layout(tmp_path), "article", stop)
    assert time.monotonic() - began < 10
