"""Groups of kafka-python, whose members live in threads and speak the newest encodings, against both brokers."""

import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from kafka.structs import OffsetAndMetadata

from .conftest import SESSION_TIMEOUT_MS, Target

TIMEOUT_SECONDS = 30
MakeTopic = Callable[..., str]


@pytest.fixture(autouse=True)
def _its_own_warnings() -> Iterator[None]:
    """Warnings of the client's own code are not ours to mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Member:
    """A consumer that polls in a thread of its own until it is told to stop."""

    def __init__(self, target: Target, group: str, topics: list[str], **config: object) -> None:
        settings: dict[str, object] = {
            "bootstrap_servers": target.bootstrap_servers,
            "group_id": group,
            "auto_offset_reset": "earliest",
            "enable_auto_commit": False,
            "session_timeout_ms": SESSION_TIMEOUT_MS,
            "heartbeat_interval_ms": 200,
            "metadata_max_age_ms": 1000,
        }
        self.consumer = KafkaConsumer(*topics, **{**settings, **config})
        self.values: list[bytes] = []
        self.assignment: set[tuple[str, int]] = set()
        self.error: Exception | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                # Not shorter: a poll that ends in the midst of a rebalance leaves this client without heartbeats.
                for batch in self.consumer.poll(timeout_ms=1000).values():
                    self.values += [record.value for record in batch]
                self.assignment = {(one.topic, one.partition) for one in self.consumer.assignment()}
        except Exception as error:  # noqa: BLE001 - shown by the thread that waits
            self.error = error

    def stop(self, *, leave: bool = True) -> None:
        self._stopping.set()
        self._thread.join(TIMEOUT_SECONDS)
        self.consumer.close(autocommit=False) if leave else None
        assert self.error is None


@contextmanager
def joined(target: Target, group: str, *topics: str, **config: object) -> Iterator[Member]:
    member = Member(target, group, list(topics), **config)
    try:
        yield member
    finally:
        member.stop()


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def send(target: Target, topic: str, count: int) -> None:
    producer = KafkaProducer(bootstrap_servers=target.bootstrap_servers)
    for number in range(count):
        producer.send(topic, b"%d" % number, partition=0)
    producer.flush(TIMEOUT_SECONDS)
    producer.close()


@pytest.mark.parametrize(
    "assignor", [RangePartitionAssignor, RoundRobinPartitionAssignor, StickyPartitionAssignor], ids=lambda one: one.name
)
def test_members_come_and_go(target: Target, make_topic: MakeTopic, assignor: type) -> None:
    one, two, group = make_topic(3), make_topic(3), target.fresh("group")
    everything = {(topic, index) for topic in (one, two) for index in range(3)}
    config = {"partition_assignment_strategy": [assignor]}
    with joined(target, group, one, two, **config) as first:
        eventually(lambda: first.assignment == everything)
        with joined(target, group, one, two, **config) as second:
            # range shares each topic by itself, so that one has more; the others share all partitions alike.
            sizes = [2, 4] if assignor is RangePartitionAssignor else [3, 3]
            eventually(lambda: sorted((len(first.assignment), len(second.assignment))) == sizes)
            eventually(lambda: first.assignment | second.assignment == everything)
        eventually(lambda: first.assignment == everything)


def test_members_with_other_topics_share_a_group(target: Target, make_topic: MakeTopic) -> None:
    one, two, group = make_topic(2), make_topic(2), target.fresh("group")
    with joined(target, group, one) as first, joined(target, group, two) as second:
        eventually(lambda: first.assignment == {(one, 0), (one, 1)} and second.assignment == {(two, 0), (two, 1)})


def test_a_static_member_comes_again_in_its_place(target: Target, make_topic: MakeTopic) -> None:
    topic, group = make_topic(2), target.fresh("group")
    with joined(target, group, topic, group_instance_id="one") as first:
        second = Member(target, group, [topic], group_instance_id="two")
        eventually(lambda: len(first.assignment) == len(second.assignment) == 1)
        held = second.assignment
        generation = first.consumer._coordinator.generation().generation_id
        second.stop()
        with joined(target, group, topic, group_instance_id="two") as again:
            eventually(lambda: again.assignment == held)
            assert first.consumer._coordinator.generation().generation_id == generation
            assert first.assignment == {(topic, 0), (topic, 1)} - held


def test_commits_and_positions(target: Target, make_topic: MakeTopic) -> None:
    topic, group = make_topic(), target.fresh("group")
    send(target, topic, 10)
    partition = TopicPartition(topic, 0)
    consumer = KafkaConsumer(
        bootstrap_servers=target.bootstrap_servers, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False
    )
    consumer.assign([partition])
    assert consumer.committed(partition) is None
    consumer.commit({partition: OffsetAndMetadata(4, "a note 글", -1)})
    assert consumer.committed(partition) == 4
    found = consumer.committed(partition, metadata=True)
    assert (found.offset, found.metadata) == (4, "a note 글")
    done = threading.Event()
    consumer.commit_async({partition: OffsetAndMetadata(6, "", -1)}, callback=lambda offsets, answer: done.set())
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not done.is_set():
        assert time.monotonic() < deadline
        consumer.poll(timeout_ms=50)
    assert consumer.committed(partition) == 6
    consumer.seek(partition, 8)
    assert consumer.position(partition) == 8
    consumer.seek_to_beginning(partition)
    assert consumer.position(partition) == 0
    consumer.seek_to_end(partition)
    assert consumer.position(partition) == 10
    assert consumer.beginning_offsets([partition]) == {partition: 0}
    assert consumer.end_offsets([partition]) == {partition: 10}
    consumer.close()


def test_administration_of_groups(target: Target, make_topic: MakeTopic) -> None:
    topic, group = make_topic(), target.fresh("group")
    admin = KafkaAdminClient(bootstrap_servers=target.bootstrap_servers)
    partition = TopicPartition(topic, 0)
    with joined(target, group, topic, client_id="its-client") as member:
        eventually(lambda: member.assignment == {(topic, 0)})
        listed = {one["group_id"]: one for one in admin.list_groups()}
        assert listed[group]["protocol_type"] == "consumer"
        described = admin.describe_groups([group])[group]
        assert (described["group_state"], described["protocol_type"], described["protocol_data"]) == (
            "Stable",
            "consumer",
            "range",
        )
        (found,) = described["members"]
        assert (found["client_id"], found["client_host"]) == ("its-client", "/127.0.0.1")
        assert admin.delete_groups([group])[group] == "NonEmptyGroupError"
    admin.alter_group_offsets(group, {partition: OffsetAndMetadata(5, "", -1)})
    offsets = admin.list_group_offsets([group])[group]
    assert {one: kept.offset for one, kept in offsets.items()} == {partition: 5}
    assert admin.delete_groups([group])[group] == "OK"
    assert admin.delete_groups([group])[group] == "GroupIdNotFoundError"
    admin.close()
