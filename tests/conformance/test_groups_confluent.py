"""Groups of confluent-kafka (librdkafka): rebalances step by step, members that die, offsets in every way they are kept."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from .conftest import SESSION_TIMEOUT_MS, Target

TIMEOUT_SECONDS = 30
MakeTopic = Callable[..., str]


class Member:
    """A consumer that notes what it is given and what is taken from it."""

    def __init__(self, target: Target, group: str, topics: list[str], **config: object) -> None:
        settings: dict[str, object] = {
            "bootstrap.servers": target.bootstrap_servers,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": SESSION_TIMEOUT_MS,
            "heartbeat.interval.ms": 200,
            "topic.metadata.refresh.interval.ms": 1000,
        }
        self.consumer = Consumer({**settings, **config})
        self.given: list[set[int]] = []
        self.taken: list[set[int]] = []
        self.lost: list[set[int]] = []
        self.values: list[bytes | None] = []
        self.errors: list[KafkaError] = []
        self.consumer.subscribe(topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.given.append({one.partition for one in partitions})

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.taken.append({one.partition for one in partitions})

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.lost.append({one.partition for one in partitions})

    def poll(self) -> None:
        message = self.consumer.poll(0.05)
        if message is None:
            return
        error = message.error()
        if error is None:
            self.values.append(message.value())
        else:
            self.errors.append(error)

    def assignment(self) -> set[int]:
        return {one.partition for one in self.consumer.assignment()}


def poll_until(members: list[Member], done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not done():
        assert time.monotonic() < deadline, [sorted(member.assignment()) for member in members]
        for member in members:
            member.poll()


def send(target: Target, topic: str, count: int) -> None:
    producer = Producer({"bootstrap.servers": target.bootstrap_servers})
    for number in range(count):
        producer.produce(topic, b"%d" % number, partition=0)
    assert producer.flush(TIMEOUT_SECONDS) == 0


@contextmanager
def joined(target: Target, group: str, topic: str, **config: object) -> Iterator[Member]:
    member = Member(target, group, [topic], **config)
    try:
        yield member
    finally:
        member.consumer.close()


def test_cooperative_members_keep_what_they_have(target: Target, make_topic: MakeTopic) -> None:
    """Only what moves is taken away: the first member never stops reading the rest (KIP-429)."""
    topic, group = make_topic(4), target.fresh("group")
    config = {"partition.assignment.strategy": "cooperative-sticky"}
    with ExitStack() as stack:
        first = stack.enter_context(joined(target, group, topic, **config))
        poll_until([first], lambda: first.assignment() == {0, 1, 2, 3})
        second = stack.enter_context(joined(target, group, topic, **config))
        poll_until([first, second], lambda: len(first.assignment()) == len(second.assignment()) == 2)
        assert [len(taken) for taken in first.taken] == [2]
        assert first.assignment() == {0, 1, 2, 3} - first.taken[0]
        assert set().union(*second.given) == first.taken[0]
        second.consumer.unsubscribe()
        poll_until([first], lambda: first.assignment() == {0, 1, 2, 3})
        assert set().union(*first.given[1:]) == first.taken[0]
        assert first.lost == second.lost == []


def test_eager_members_give_up_everything(target: Target, make_topic: MakeTopic) -> None:
    topic, group = make_topic(4), target.fresh("group")
    config = {"partition.assignment.strategy": "range"}
    with ExitStack() as stack:
        first = stack.enter_context(joined(target, group, topic, **config))
        poll_until([first], lambda: first.assignment() == {0, 1, 2, 3})
        second = stack.enter_context(joined(target, group, topic, **config))
        poll_until([first, second], lambda: len(first.assignment()) == len(second.assignment()) == 2)
        assert {0, 1, 2, 3} in first.taken
        # range gives each a run of neighbours.
        assert {frozenset(first.assignment()), frozenset(second.assignment())} == {frozenset({0, 1}), frozenset({2, 3})}


def test_members_that_share_no_strategy_cannot_share_a_group(target: Target, make_topic: MakeTopic) -> None:
    topic, group = make_topic(2), target.fresh("group")
    with joined(target, group, topic, **{"partition.assignment.strategy": "range"}) as first:
        poll_until([first], lambda: first.assignment() == {0, 1})
        with joined(target, group, topic, **{"partition.assignment.strategy": "roundrobin"}) as second:
            poll_until([first, second], lambda: bool(second.errors))
            assert second.errors[0].code() == KafkaError.INCONSISTENT_GROUP_PROTOCOL
        assert first.assignment() == {0, 1}


DYING = """
import json, sys
from confluent_kafka import Consumer
consumer = Consumer(json.loads(sys.argv[1]))
consumer.subscribe([sys.argv[2]])
while True:
    consumer.poll(0.1)
    print(len(consumer.assignment()), flush=True)
"""


class ProcessMember:
    """A member in a process of its own, which can be killed; `held` is how many partitions it has."""

    def __init__(self, target: Target, group: str, topic: str, **config: object) -> None:
        settings = {
            "bootstrap.servers": target.bootstrap_servers,
            "group.id": group,
            "session.timeout.ms": SESSION_TIMEOUT_MS,
            "heartbeat.interval.ms": 200,
            **config,
        }
        command = [sys.executable, "-c", DYING, json.dumps(settings), topic]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.held = -1
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.held = int(line)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def in_a_process(target: Target, group: str, topic: str, **config: object) -> Iterator[ProcessMember]:
    member = ProcessMember(target, group, topic, **config)
    try:
        yield member
    finally:
        member.kill()


def test_the_partitions_of_a_killed_member_move(target: Target, make_topic: MakeTopic) -> None:
    topic, group = make_topic(2), target.fresh("group")
    with joined(target, group, topic) as alive:
        with in_a_process(target, group, topic) as dying:
            poll_until([alive], lambda: dying.held == len(alive.assignment()) == 1)
        killed = time.monotonic()
        poll_until([alive], lambda: alive.assignment() == {0, 1})
        # It sent no LeaveGroup: its session had to run out (the last heartbeat may be as old as its interval).
        assert time.monotonic() - killed > SESSION_TIMEOUT_MS / 1000 - 1


def test_a_killed_static_member_is_back_before_anybody_noticed(target: Target, make_topic: MakeTopic) -> None:
    topic, group = make_topic(2), target.fresh("group")
    with joined(target, group, topic, **{"group.instance.id": "alive"}) as alive:
        with in_a_process(target, group, topic, **{"group.instance.id": "dying"}) as dying:
            poll_until([alive], lambda: dying.held == len(alive.assignment()) == 1)
        given = len(alive.given)
        with in_a_process(target, group, topic, **{"group.instance.id": "dying"}) as again:
            poll_until([alive], lambda: again.held == 1)
            for _ in range(10):
                alive.poll()
            assert len(alive.given) == given


def test_a_member_that_does_not_poll_is_out_and_comes_back(target: Target, make_topic: MakeTopic) -> None:
    topic, group = make_topic(2), target.fresh("group")
    with (
        joined(target, group, topic, **{"max.poll.interval.ms": SESSION_TIMEOUT_MS}) as slow,
        joined(target, group, topic) as quick,
    ):
        poll_until([slow, quick], lambda: len(slow.assignment()) == len(quick.assignment()) == 1)
        poll_until([quick], lambda: quick.assignment() == {0, 1})
        poll_until([slow, quick], lambda: bool(slow.errors))
        assert slow.errors[0].code() == KafkaError._MAX_POLL_EXCEEDED
        poll_until([slow, quick], lambda: len(slow.assignment()) == len(quick.assignment()) == 1)


def test_a_new_partition_is_given_to_somebody(target: Target, make_topic: MakeTopic) -> None:
    from confluent_kafka.admin import NewPartitions

    topic, group = make_topic(1), target.fresh("group")
    admin = AdminClient({"bootstrap.servers": target.bootstrap_servers})
    with joined(target, group, topic) as member:
        poll_until([member], lambda: member.assignment() == {0})
        admin.create_partitions([NewPartitions(topic, 3)])[topic].result(TIMEOUT_SECONDS)
        poll_until([member], lambda: member.assignment() == {0, 1, 2})


def test_a_pattern_finds_topics_made_later(target: Target, make_topic: MakeTopic) -> None:
    from confluent_kafka.admin import NewTopic

    prefix, group = target.fresh("pattern"), target.fresh("group")
    admin = AdminClient({"bootstrap.servers": target.bootstrap_servers})
    member = Member(target, group, [f"^{prefix}-.*"])
    for name in (f"{prefix}-a", f"{prefix}-b"):
        admin.create_topics([NewTopic(name, 1, 1)])[name].result(TIMEOUT_SECONDS)
        poll_until([member], lambda name=name: name in {one.topic for one in member.consumer.assignment()})
    member.consumer.close()


def test_commits_in_every_way(target: Target, make_topic: MakeTopic) -> None:
    topic, group = make_topic(), target.fresh("group")
    send(target, topic, 10)
    committed: list[tuple[KafkaError | None, list[TopicPartition]]] = []
    settings = {"on_commit": lambda error, partitions: committed.append((error, partitions))}
    partition = TopicPartition(topic, 0)

    def kept() -> TopicPartition:
        return member.consumer.committed([partition], timeout=TIMEOUT_SECONDS)[0]

    with joined(target, group, topic, **settings) as member:
        poll_until([member], lambda: len(member.values) >= 3)
        assert kept().offset == OFFSET_INVALID
        member.consumer.commit(offsets=[TopicPartition(topic, 0, 2, "a note")], asynchronous=False)
        assert (kept().offset, kept().metadata) == (2, "a note")
        member.consumer.commit(offsets=[TopicPartition(topic, 0, 3, "note\N{HANGUL SYLLABLE GEUL}")], asynchronous=True)
        poll_until([member], lambda: any(partitions[0].offset == 3 for _, partitions in committed))
        assert all(error is None for error, _ in committed)
        assert (kept().offset, kept().metadata) == (3, "note글")
        poll_until([member], lambda: len(member.values) == 10)
        member.consumer.commit(asynchronous=False)
        assert kept().offset == 10
        with pytest.raises(KafkaException) as refused:
            member.consumer.commit(offsets=[TopicPartition(topic, 0, 1, "x" * 5000)], asynchronous=False)
        assert refused.value.args[0].code() == KafkaError.OFFSET_METADATA_TOO_LARGE
        assert kept().offset == 10


def test_automatic_commits(target: Target, make_topic: MakeTopic) -> None:
    topic, group = make_topic(), target.fresh("group")
    send(target, topic, 10)
    with joined(target, group, topic, **{"enable.auto.commit": True, "auto.commit.interval.ms": 100}) as member:
        poll_until([member], lambda: len(member.values) == 10)
    with joined(target, group, topic) as member:
        poll_until([member], lambda: member.assignment() == {0})
        assert member.consumer.committed([TopicPartition(topic, 0)], timeout=TIMEOUT_SECONDS)[0].offset == 10


@pytest.mark.parametrize(("reset", "first"), [("earliest", b"0"), ("latest", b"late")])
def test_where_a_group_without_offsets_begins(target: Target, make_topic: MakeTopic, reset: str, first: bytes) -> None:
    topic, group = make_topic(), target.fresh("group")
    send(target, topic, 3)
    with joined(target, group, topic, **{"auto.offset.reset": reset}) as member:
        poll_until([member], lambda: member.assignment() == {0})
        # Its position is known once it has asked for the end.
        for _ in range(20):
            member.poll()
        producer = Producer({"bootstrap.servers": target.bootstrap_servers})
        producer.produce(topic, b"late", partition=0)
        producer.flush(TIMEOUT_SECONDS)
        poll_until([member], lambda: bool(member.values))
        assert member.values[0] == first


def test_an_offset_that_is_gone_is_reset_or_said(target: Target, make_topic: MakeTopic) -> None:
    topic, group = make_topic(), target.fresh("group")
    send(target, topic, 3)
    with joined(target, group, topic) as member:
        poll_until([member], lambda: len(member.values) == 3)
        member.consumer.seek(TopicPartition(topic, 0, 1))
        poll_until([member], lambda: len(member.values) == 5)
        assert member.values[3:] == [b"1", b"2"]
        member.consumer.seek(TopicPartition(topic, 0, 100))
        poll_until([member], lambda: len(member.values) == 8)
        assert member.values[5:] == [b"0", b"1", b"2"]
    with joined(target, group, topic, **{"auto.offset.reset": "error"}) as member:
        poll_until([member], lambda: bool(member.errors))
        assert member.errors[0].code() == KafkaError._AUTO_OFFSET_RESET


def test_pausing_and_resuming(target: Target, make_topic: MakeTopic) -> None:
    topic, group = make_topic(), target.fresh("group")
    send(target, topic, 3)
    with joined(target, group, topic) as member:
        poll_until([member], lambda: len(member.values) == 3)
        member.consumer.pause([TopicPartition(topic, 0)])
        send(target, topic, 2)
        for _ in range(10):
            member.poll()
        assert len(member.values) == 3
        member.consumer.resume([TopicPartition(topic, 0)])
        poll_until([member], lambda: len(member.values) == 5)


def test_a_group_of_manual_assignments_commits_too(target: Target, make_topic: MakeTopic) -> None:
    topic, group = make_topic(), target.fresh("group")
    send(target, topic, 3)
    settings = {"bootstrap.servers": target.bootstrap_servers, "group.id": group, "enable.auto.commit": False}
    consumer = Consumer(settings)
    consumer.assign([TopicPartition(topic, 0, 0)])
    assert consumer.poll(TIMEOUT_SECONDS) is not None
    consumer.commit(offsets=[TopicPartition(topic, 0, 2)], asynchronous=False)
    consumer.close()
    admin = AdminClient({"bootstrap.servers": target.bootstrap_servers})
    described = admin.describe_consumer_groups([group])[group].result(TIMEOUT_SECONDS)
    assert (described.state.name, described.is_simple_consumer_group, described.members) == ("EMPTY", True, [])
