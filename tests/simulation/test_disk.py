"""A broker on a disk that is full, slow or broken, told step by step: what is refused, what goes on, and what ends the node."""

import logging
from uuid import UUID

import pytest
from broker.protocol.errors import ErrorCode
from simulation.admin import Admin
from simulation.alone import BROKER, SETTINGS
from simulation.consumer import Consumer
from simulation.ledger import Ledger
from simulation.producer import Producer
from simulation.script import Script
from simulation.world import Host, Simulation

SECOND_MS = 1000


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "broker")


class Lab:
    """A broker without faults of its own accord, a topic, a producer and a consumer."""

    def __init__(self) -> None:
        self.simulation = Simulation("disk")
        self.ledger = Ledger(self.simulation.note)
        self.simulation.watchers.append(self.ledger)
        self.host: Host = self.simulation.add_host(BROKER, 1, SETTINGS)
        self.admin = Admin(self.simulation, self.ledger, "admin", BROKER)
        self.made: dict[str, UUID] = {}
        self.host.start()
        self.make_topic("article-topic")
        self.run(2 * SECOND_MS)
        topic_id = self.made["article-topic"]
        self.producer = Producer(
            self.simulation,
            self.ledger,
            "producer",
            BROKER,
            topic="article-topic",
            topic_id=topic_id,
            partitions=1,
            idempotent=True,
        )
        topics = {"article-topic": (topic_id, 1)}
        self.consumer = Consumer(self.simulation, self.ledger, "consumer", BROKER, group="mail", topics=topics)
        self.run(5 * SECOND_MS)

    def make_topic(self, name: str) -> None:
        def make() -> Script:
            self.made[name] = yield from self.admin.create_topic(name, 1, {})

        self.admin.spawn(make())

    def run(self, duration_ms: int) -> None:
        self.simulation.run_until(self.simulation.clock.now_ms + duration_ms)

    @property
    def acknowledged(self) -> int:
        return sum(len(partition.acknowledged) for partition in self.ledger.partitions.values())

    @property
    def read(self) -> int:
        return sum(len(offsets) for offsets in self.ledger.processed.get("mail", {}).values())


def test_a_full_disk_refuses_writes_serves_reads_and_recovers_by_itself() -> None:
    lab = Lab()
    lab.host.storage.capacity_bytes = lab.host.storage.used_bytes
    lab.run(SECOND_MS)
    before = lab.acknowledged
    assert before > 10
    late = Consumer(lab.simulation, lab.ledger, "late", BROKER, group="late", topics=lab.consumer.topics)
    lab.run(20 * SECOND_MS)
    assert lab.acknowledged == before
    assert set(lab.producer.refused) == {ErrorCode.KAFKA_STORAGE_ERROR}
    assert lab.read == before, "what stands there is read"
    assert late.doing != "records", "a new member cannot be written down"
    assert lab.host.lives == 1
    lab.host.storage.capacity_bytes = None
    lab.run(20 * SECOND_MS)
    assert lab.acknowledged > before + 10
    assert lab.read > before
    assert lab.ledger.processed["late"]
    assert (lab.host.lives, lab.host.fatal) == (1, [])


def test_a_full_disk_refuses_a_topic_until_there_is_room() -> None:
    lab = Lab()
    lab.host.storage.capacity_bytes = lab.host.storage.used_bytes
    lab.make_topic("comment-topic")
    lab.run(20 * SECOND_MS)
    assert "comment-topic" not in lab.made
    lab.host.storage.capacity_bytes = None
    lab.run(20 * SECOND_MS)
    assert "comment-topic" in lab.made
    assert (lab.host.lives, lab.host.fatal) == (1, [])


def test_a_partition_without_room_is_made_when_there_is_some() -> None:
    """The topic is agreed on, and only then is the disk full."""
    lab = Lab()
    lab.host.storage.fsync_delay_ms = 500
    lab.make_topic("comment-topic")
    lab.run(100)
    lab.host.storage.capacity_bytes = lab.host.storage.used_bytes
    lab.run(5 * SECOND_MS)
    assert "comment-topic" in lab.made
    producer = Producer(
        lab.simulation,
        lab.ledger,
        "second",
        BROKER,
        topic="comment-topic",
        topic_id=lab.made["comment-topic"],
        partitions=1,
        idempotent=False,
    )
    lab.run(5 * SECOND_MS)
    assert set(producer.refused) == {ErrorCode.KAFKA_STORAGE_ERROR}
    lab.host.storage.capacity_bytes = None
    lab.run(10 * SECOND_MS)
    assert lab.ledger.partitions[lab.made["comment-topic"], 0].acknowledged
    assert (lab.host.lives, lab.host.fatal) == (1, [])


def test_producers_do_not_wait_for_a_slow_fsync_and_administrators_do() -> None:
    lab = Lab()
    lab.host.storage.fsync_delay_ms = 3 * SECOND_MS
    lab.run(4 * SECOND_MS)  # What is under way is over.
    before = lab.acknowledged
    lab.make_topic("comment-topic")
    lab.run(2 * SECOND_MS)
    assert lab.acknowledged > before
    assert lab.read >= before
    assert "comment-topic" not in lab.made, "it is not answered before it is durable"
    lab.run(10 * SECOND_MS)
    assert "comment-topic" in lab.made
    assert lab.host.lives == 1


def test_a_failed_fsync_ends_the_node_and_names_the_file() -> None:
    lab = Lab()
    lab.host.restart_after_ms = None
    lab.host.storage.fail_fsync = True
    lab.run(10 * SECOND_MS)
    assert lab.host.broker is None
    assert len(lab.host.fatal) == 1
    assert "simulated fsync error on /data/" in lab.host.fatal[0]
    assert lab.host.fatal[0].endswith("this log directory has failed")
    path = lab.host.fatal[0].partition(" on ")[2].partition(":")[0]
    assert path in lab.host.storage.files()
    lab.host.storage.fail_fsync = False
    before = lab.acknowledged
    lab.host.start()
    lab.run(10 * SECOND_MS)
    assert lab.host.ready
    assert lab.acknowledged > before, "another start, on a mended disk, goes on"


def test_a_failed_write_ends_the_node_and_names_the_file() -> None:
    lab = Lab()
    lab.host.restart_after_ms = None
    lab.host.storage.fail_writes = True
    lab.run(10 * SECOND_MS)
    assert lab.host.broker is None
    assert "simulated write error on /data/" in lab.host.fatal[0]
