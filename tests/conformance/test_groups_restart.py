"""Groups over the death of the broker: members, generations and offsets are there again. Ours alone: Kafka is not killed here."""

import time
from collections.abc import Callable, Iterator

import pytest
from broker.testing import BrokerProcess
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from .conftest import OVERRIDES, SESSION_TIMEOUT_MS

TIMEOUT_SECONDS = 60
LONG_SESSION_MS = 5 * SESSION_TIMEOUT_MS


@pytest.fixture
def broker() -> Iterator[BrokerProcess]:
    with BrokerProcess(overrides=OVERRIDES) as started:
        admin = AdminClient({"bootstrap.servers": started.bootstrap_servers})
        admin.create_topics([NewTopic("t", 2, 1)])["t"].result(TIMEOUT_SECONDS)
        yield started


def consumer(broker: BrokerProcess, given: list[set[int]], **config: object) -> Consumer:
    settings: dict[str, object] = {
        "bootstrap.servers": broker.bootstrap_servers,
        "group.id": "g",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "session.timeout.ms": LONG_SESSION_MS,
        "heartbeat.interval.ms": 200,
        "reconnect.backoff.max.ms": 200,
    }
    made = Consumer({**settings, **config})
    made.subscribe(["t"], on_assign=lambda _, partitions: given.append({one.partition for one in partitions}))
    return made


def poll_until(consumers: list[Consumer], done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not done():
        assert time.monotonic() < deadline
        for one in consumers:
            one.poll(0.05)


def test_a_stable_group_goes_on_without_a_rebalance(broker: BrokerProcess) -> None:
    given: tuple[list[set[int]], list[set[int]]] = ([], [])
    members = [consumer(broker, one) for one in given]
    poll_until(members, lambda: [len(one.assignment()) for one in members] == [1, 1])
    members[0].commit(offsets=[TopicPartition("t", 0, 7, "note")], asynchronous=False)
    before = [len(one) for one in given]
    broker.kill()
    broker.start()
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
    for partition in (0, 1):
        producer.produce("t", b"after", partition=partition)
    assert producer.flush(TIMEOUT_SECONDS) == 0
    values: list[bytes | None] = []

    def read() -> bool:
        for one in members:
            message = one.poll(0.05)
            if message is not None and message.error() is None:
                values.append(message.value())
        return len(values) == 2

    poll_until([], read)
    assert [len(one) for one in given] == before
    kept = members[0].committed([TopicPartition("t", 0)], timeout=TIMEOUT_SECONDS)[0]
    assert (kept.offset, kept.metadata) == (7, "note")
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    described = admin.describe_consumer_groups(["g"])["g"].result(TIMEOUT_SECONDS)
    assert (described.state.name, len(described.members)) == ("STABLE", 2)
    for one in members:
        one.close()


@pytest.mark.parametrize("ending", ["kill", "stop"])
def test_offsets_and_static_members_outlive_broker_and_member(broker: BrokerProcess, ending: str) -> None:
    given: list[set[int]] = []
    member = consumer(broker, given, **{"group.instance.id": "one"})
    poll_until([member], lambda: len(member.assignment()) == 2)
    member.commit(offsets=[TopicPartition("t", 0, 3), TopicPartition("t", 1, 4)], asynchronous=False)
    member.close()
    getattr(broker, ending)()
    broker.start()
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    described = admin.describe_consumer_groups(["g"])["g"].result(TIMEOUT_SECONDS)
    # A static member does not leave, and its session began anew with the load.
    assert [one.group_instance_id for one in described.members] == ["one"]
    again = consumer(broker, given, **{"group.instance.id": "one"})
    poll_until([again], lambda: len(again.assignment()) == 2)
    committed = again.committed([TopicPartition("t", 0), TopicPartition("t", 1)], timeout=TIMEOUT_SECONDS)
    assert [one.offset for one in committed] == [3, 4]
    again.close()


def test_what_was_deleted_stays_so(broker: BrokerProcess) -> None:
    settings = {"bootstrap.servers": broker.bootstrap_servers, "group.id": "simple", "enable.auto.commit": False}
    simple = Consumer(settings)
    simple.commit(offsets=[TopicPartition("t", 0, 5)], asynchronous=False)
    simple.close()
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    admin.delete_consumer_groups(["simple"])["simple"].result(TIMEOUT_SECONDS)
    broker.kill()
    broker.start()
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    assert admin.list_consumer_groups().result(TIMEOUT_SECONDS).valid == []
