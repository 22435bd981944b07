"""A broker that is killed under load, several times, at random moments, and started again on its directory.

Every acknowledged record is at its offset with its content, for acks=all and acks=1; the idempotent producer's records are
there once each and in order; committed offsets survive; and Kafka's own dump-log finds nothing in any file. BOARD_SEED
repeats a run's moments.
"""

import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from broker.testing import BrokerProcess
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from conformance.dump_log import dump_log_problems, record_counts
from waiting import wait_until

SEED = int(os.environ.get("BOARD_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
KILLS = 5
# Small segments and frequent checkpoints, so that a kill meets rolls, fsyncs and recovery points.
OVERRIDES = {
    "log.segment.bytes": "1048576",
    "offsets.topic.num.partitions": "2",
    "log.flush.offset.checkpoint.interval.ms": "300",
    "replica.high.watermark.checkpoint.interval.ms": "200",
}
GROUP = "survivors"
# Topic, partitions, and what its producer is like. Retries go on for longer than the test.
PRODUCERS: dict[str, tuple[int, dict[str, Any]]] = {
    "idempotent": (1, {"enable.idempotence": True}),
    "all": (3, {"acks": "all"}),
    "one": (3, {"acks": "1"}),
}
COMMON = {"message.timeout.ms": 300_000, "linger.ms": 2, "reconnect.backoff.max.ms": 200, "retry.backoff.ms": 50}
BURST = 20
PAUSE_SECONDS = 0.004
Place = tuple[str, int, int]


class Load:
    """Three producers and a consumer in a group, and the ledger of what was acknowledged to them."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap = bootstrap_servers
        self.acknowledged: dict[Place, bytes] = {}
        self.sent = dict.fromkeys(PRODUCERS, 0)
        self.failed: list[str] = []
        # The newest offset whose commit was answered.
        self.committed = -1
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._produce, self._consume)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let everything that was sent be acknowledged, and the group read and commit all of it."""
        self._ending.set()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive(), "the load does not end"

    def _produce(self) -> None:
        producers = {
            topic: Producer({"bootstrap.servers": self._bootstrap, **COMMON, **settings})
            for topic, (_, settings) in PRODUCERS.items()
        }
        while not self._ending.is_set():
            for topic, producer in producers.items():
                for _ in range(BURST):
                    value = b"%s %d %s" % (topic.encode(), self.sent[topic], b"x" * (self.sent[topic] % 300))
                    try:
                        producer.produce(topic, value, on_delivery=self._delivered)
                    except BufferError:
                        break
                    self.sent[topic] += 1
                producer.poll(0)
            time.sleep(PAUSE_SECONDS)
        for topic, producer in producers.items():
            left = producer.flush(100)
            if left:
                self.failed.append(f"{left} records for {topic} were never answered")

    def _delivered(self, error: object, message: Message) -> None:
        if error is not None:
            self.failed.append(f"{message.topic()}: {error}")
            return
        place = (str(message.topic()), int(message.partition() or 0), int(message.offset() or 0))
        if place in self.acknowledged:
            self.failed.append(f"{place} was acknowledged twice")
        value = message.value()
        assert isinstance(value, bytes)
        self.acknowledged[place] = value

    def _consume(self) -> None:
        consumer = Consumer(
            {
                "bootstrap.servers": self._bootstrap,
                "group.id": GROUP,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "session.timeout.ms": 6000,
                "reconnect.backoff.max.ms": 200,
            }
        )
        consumer.subscribe(["idempotent"])
        position = 0
        deadline = time.monotonic() + 200
        while not (self._ending.is_set() and self.committed == self.sent["idempotent"]) and time.monotonic() < deadline:
            for message in consumer.consume(500, 0.1):
                if message.error() is None:
                    position = int(message.offset() or 0) + 1
            try:
                if position > self.committed:
                    consumer.commit(offsets=[TopicPartition("idempotent", 0, position)], asynchronous=False)
                    self.committed = position
            except KafkaException:
                continue  # The broker is down; the same offset or a later one is committed when it is back.
        consumer.close()


def everything(bootstrap_servers: str) -> dict[Place, bytes]:
    """All records of all topics, as a reader finds them who begins at 0."""
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "reader", "enable.auto.commit": False})
    partitions = [TopicPartition(topic, index, 0) for topic, (count, _) in PRODUCERS.items() for index in range(count)]
    ends = {(one.topic, one.partition): consumer.get_watermark_offsets(one, 30)[1] for one in partitions}
    consumer.assign(partitions)
    found: dict[Place, bytes] = {}
    deadline = time.monotonic() + 60
    while len(found) < sum(ends.values()):
        assert time.monotonic() < deadline, f"{len(found)} of {sum(ends.values())} records were read"
        for message in consumer.consume(5000, 0.2):
            assert message.error() is None, message.error()
            value = message.value()
            assert isinstance(value, bytes)
            found[str(message.topic()), int(message.partition() or 0), int(message.offset() or 0)] = value
    consumer.close()
    return found


def committed_offset(bootstrap_servers: str) -> int:
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": GROUP})
    (found,) = consumer.committed([TopicPartition("idempotent", 0)], 60)
    consumer.close()
    return int(found.offset)


def check(load: Load, found: dict[Place, bytes]) -> None:
    """The ledger against what is there."""
    missing = {place: value for place, value in load.acknowledged.items() if found.get(place) != value}
    assert missing == {}, f"seed {SEED}: {len(missing)} acknowledged records are not what they were"
    in_order = [found["idempotent", 0, offset] for offset in range(sum(place[0] == "idempotent" for place in found))]
    numbers = [int(value.split()[1]) for value in in_order]
    assert numbers == list(range(load.sent["idempotent"])), f"seed {SEED}: records of the idempotent producer"
    for topic in ("all", "one"):
        values = {value for place, value in found.items() if place[0] == topic}
        assert len(values) == load.sent[topic], f"seed {SEED}: {topic}"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BrokerProcess]:
    with BrokerProcess(overrides=OVERRIDES, directory=tmp_path) as running:
        yield running


@pytest.mark.timeout(400)
def test_nothing_acknowledged_is_lost(kafka_jars: str, broker: BrokerProcess) -> None:
    rng = random.Random(SEED)
    print(f"BOARD_SEED={SEED}")
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    for future in admin.create_topics([NewTopic(topic, count, 1) for topic, (count, _) in PRODUCERS.items()]).values():
        future.result(30)
    load = Load(broker.bootstrap_servers)
    load.start()
    for number in range(KILLS):
        acknowledged, committed = len(load.acknowledged), load.committed
        wait_until(lambda: len(load.acknowledged) > acknowledged + 500, f"acknowledgements before kill {number}")  # noqa: B023
        if number:
            wait_until(lambda: load.committed > committed, f"a commit before kill {number}")  # noqa: B023
        time.sleep(rng.random())
        broker.kill()
        survives = load.committed
        broker.start()
        assert committed_offset(broker.bootstrap_servers) >= survives, f"seed {SEED}: offsets after kill {number}"
    load.stop()
    assert load.failed == []
    assert committed_offset(broker.bootstrap_servers) == load.committed == load.sent["idempotent"]
    # Killed once more, without load: what is found is what was there, and the stop after it is clean.
    broker.kill()
    broker.start()
    found = everything(broker.bootstrap_servers)
    check(load, found)
    assert committed_offset(broker.bootstrap_servers) == load.committed
    broker.stop()
    assert dump_log_problems(broker.data) == []
    counts = record_counts(broker.data)
    assert counts["idempotent", 0] == load.sent["idempotent"]
    for topic, (partitions, _) in PRODUCERS.items():
        for index in range(partitions):
            assert counts[topic, index] == sum(place[:2] == (topic, index) for place in found)
    assert sum(name.suffix == ".log" for name in (broker.data / "idempotent-0").iterdir()) > 1
