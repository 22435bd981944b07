"""Unmodified kafka-python against our broker and against Apache Kafka."""

import time
import warnings
from collections.abc import Callable, Iterator

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import TopicAlreadyExistsError
from waiting import wait_until

from .conftest import SESSION_TIMEOUT_MS, Target

TIMEOUT_SECONDS = 30
MakeTopic = Callable[..., str]


@pytest.fixture(autouse=True)
def _its_own_warnings() -> Iterator[None]:
    """Warnings of the client's own code are not ours to mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
def test_produce_and_consume(target: Target, make_topic: MakeTopic, codec: str | None) -> None:
    topic = make_topic()
    producer = KafkaProducer(bootstrap_servers=target.bootstrap_servers, compression_type=codec, acks="all")
    values = [f"값 {number} ".encode() * 10 for number in range(200)]
    sent = [producer.send(topic, value, key=b"k", headers=[("h", b"1")]) for value in values]
    assert [future.get(TIMEOUT_SECONDS).offset for future in sent] == list(range(200))
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=target.bootstrap_servers, auto_offset_reset="earliest", enable_auto_commit=False)
    consumer.assign([TopicPartition(topic, 0)])
    got = read(consumer, 200)
    assert [record.value for record in got] == values
    assert list(got[0].headers) == [("h", b"1")]
    consumer.close()


def read(consumer: KafkaConsumer, count: int) -> list[object]:
    records: list[object] = []
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while len(records) < count and time.monotonic() < deadline:
        for batch in consumer.poll(timeout_ms=500).values():
            records += batch
    return records


def test_it_takes_the_broker_for_what_it_is(target: Target) -> None:
    """kafka-python infers the broker's release from the table of versions."""
    consumer = KafkaConsumer(bootstrap_servers=target.bootstrap_servers)
    assert consumer.config["api_version"] == (4, 3)
    consumer.close()


def test_a_group_commits_and_goes_on(target: Target, make_topic: MakeTopic) -> None:
    topic, group = make_topic(), target.fresh("group")
    producer = KafkaProducer(bootstrap_servers=target.bootstrap_servers)
    for number in range(10):
        producer.send(topic, b"%d" % number)
    producer.flush(TIMEOUT_SECONDS)
    producer.close()
    settings = {
        "bootstrap_servers": target.bootstrap_servers,
        "group_id": group,
        "auto_offset_reset": "earliest",
        "enable_auto_commit": False,
        "session_timeout_ms": SESSION_TIMEOUT_MS,
        "heartbeat_interval_ms": 500,
    }
    first = KafkaConsumer(topic, **settings)
    assert len(read(first, 10)) == 10
    first.commit()
    assert first.committed(TopicPartition(topic, 0)) == 10
    first.close()
    second = KafkaConsumer(topic, **settings)
    assert second.poll(timeout_ms=3000) == {}
    assert second.assignment() == {TopicPartition(topic, 0)}
    assert second.position(TopicPartition(topic, 0)) == 10
    second.close()


def test_admin(target: Target) -> None:
    name = target.fresh("python-admin")
    admin = KafkaAdminClient(bootstrap_servers=target.bootstrap_servers)
    admin.create_topics([NewTopic(name=name, num_partitions=2, replication_factor=1)])
    with pytest.raises(TopicAlreadyExistsError):
        admin.create_topics([NewTopic(name=name, num_partitions=2, replication_factor=1)])
    # Apache Kafka answers when it is agreed on, and brokers hear of that later.
    wait_until(lambda: name in admin.list_topics(), "the topic is listed")
    described = admin.describe_topics([name])
    assert len(described[0]["partitions"]) == 2
    admin.delete_topics([name])
    admin.close()
