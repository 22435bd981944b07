"""The brokers' environment in docker-compose.yml, given to Apache Kafka: the same file runs it by another image.

Its image makes `KAFKA_LOG_RETENTION_MS` into `log.retention.ms`, as `broker.config.sources` does. Addresses and directories are
the peer's own; that containers reach each other by theirs is seen in tests/compose.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from broker.config.sources import from_environment
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic
from peers.apache_kafka import ApacheKafka

from .test_confluent_kafka import eventually

pytestmark = pytest.mark.timeout(300)
ROOT = Path(__file__).resolve().parents[2]
BROKERS = ("broker-1", "broker-2", "broker-3")
# What says where something is.
PLACES = {"node.id", "listeners", "advertised.listeners", "controller.quorum.voters", "log.dirs"}
HEAP = "384m"
WAIT_SECONDS = 30


def settings_of(broker: str) -> dict[str, str]:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return from_environment(services[broker]["environment"])


@pytest.fixture(scope="module")
def kafka(kafka_jars: str) -> Iterator[ApacheKafka]:
    given = settings_of("broker-1")
    with ApacheKafka(3, heap=HEAP, overrides={name: value for name, value in given.items() if name not in PLACES}) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def admin(kafka: ApacheKafka) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 0})


def described(admin: AdminClient, kind: ConfigResource.Type, name: str) -> dict[str, str]:
    (found,) = admin.describe_configs([ConfigResource(kind, name)]).values()
    return {name: entry.value for name, entry in found.result(WAIT_SECONDS).items()}


def test_every_setting_is_one_of_kafkas(admin: AdminClient) -> None:
    known = described(admin, ConfigResource.Type.BROKER, "1")
    for broker in BROKERS:
        given = settings_of(broker)
        assert given.keys() <= known.keys()
        assert given.keys() >= PLACES
    counted = {name: value for name, value in settings_of("broker-1").items() if name not in PLACES}
    assert {name: known[name] for name in counted} == counted


def test_topics_have_three_replicas_two_of_them_in_sync(admin: AdminClient) -> None:
    admin.create_topics([NewTopic("t", 3)])["t"].result(WAIT_SECONDS)
    eventually(lambda: "t" in admin.list_topics(timeout=WAIT_SECONDS).topics)
    partitions = admin.list_topics("t", timeout=WAIT_SECONDS).topics["t"].partitions.values()
    assert [sorted(one.replicas) for one in partitions] == [[1, 2, 3]] * 3
    assert described(admin, ConfigResource.Type.TOPIC, "t")["min.insync.replicas"] == "2"
