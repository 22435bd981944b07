"""A broker, a Valkey server, and a projection that remembers all it was given: what consumers are tested on."""

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from broker.testing import BrokerThread
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from events.envelope import Envelope, encode
from peers.valkey import ValkeyServer, valkey
from servicekit.consuming.positions import DependencyDown, Step
from servicekit.consuming.runner import GroupConsumer
from servicekit.consuming.store import Change, Document, ProjectionStore, connect

_numbers = itertools.count(1)


class Diary:
    """A projection whose documents list the ids of all events that took effect, in their order."""

    def __init__(self, store: ProjectionStore) -> None:
        self.store = store
        # Called before each effect; a test lets it fail.
        self.before: Callable[[Envelope], None] = lambda envelope: None

    def apply(self, step: Step, envelope: Envelope) -> None:
        self.before(envelope)

        def decide(document: Document | None) -> Change:
            return Change({"events": [*(document or {"events": []})["events"], envelope.id]})

        self.store.apply(step, envelope.subject, decide, int(envelope.time.timestamp() * 1000))

    def events(self, subject: str) -> list[str]:
        document = self.store.documents([subject])[0]
        return list(document["events"]) if document is not None else []

    def has_all(self, events: list[Envelope]) -> bool:
        """Each event once, in the order of its key, and no other of these keys."""
        subjects = {event.subject for event in events}
        return all(self.events(subject) == [event.id for event in events if event.subject == subject] for subject in subjects)

    def taken(self, topic: str) -> int:
        """How many records it has taken; 0 while its store is gone."""
        try:
            return sum(position or 0 for position in self.store.positions([(topic, number) for number in range(3)]).values())
        except DependencyDown:
            return 0


class Kafka:
    """What a test says to the broker and asks from it."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.admin = AdminClient({"bootstrap.servers": bootstrap_servers})
        self._producer = Producer(
            {"bootstrap.servers": bootstrap_servers, "enable.idempotence": True, "linger.ms": 0, "message.max.bytes": 2_000_000}
        )

    def create(self, *topics: str, partitions: int = 3) -> None:
        for future in self.admin.create_topics([NewTopic(topic, num_partitions=partitions) for topic in topics]).values():
            future.result(30)

    def send(self, topic: str, *events: Envelope) -> None:
        for event in events:
            self._producer.produce(topic, key=event.subject.encode(), value=encode(event))
        assert self._producer.flush(30) == 0

    def send_raw(self, topic: str, value: bytes | None, key: bytes = b"100", partition: int = -1) -> None:
        self._producer.produce(topic, key=key, value=value, partition=partition, headers=[("trace", b"t-1")])
        assert self._producer.flush(30) == 0

    def ends(self, topic: str) -> dict[tuple[str, int], int]:
        """The log end offsets of a topic of three partitions."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap_servers, "group.id": "reader"})
        try:
            partitions = [TopicPartition(topic, number) for number in range(3)]
            return {(topic, p.partition): consumer.get_watermark_offsets(p, timeout=30)[1] for p in partitions}
        finally:
            consumer.close()

    def committed(self, group: str) -> dict[tuple[str, int], int]:
        answer = self.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(30)
        return {(p.topic, p.partition): p.offset for p in answer.topic_partitions or [] if p.offset >= 0}

    def commit(self, group: str, offsets: dict[tuple[str, int], int]) -> None:
        partitions = [TopicPartition(*partition, offset) for partition, offset in offsets.items()]
        answer = self.admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, partitions)])
        answer[group].result(30)

    def members(self, group: str) -> dict[str, set[tuple[str, int]]]:
        """Member id -> its partitions."""
        described = self.admin.describe_consumer_groups([group])[group].result(30)
        return {
            member.member_id: {(p.topic, p.partition) for p in member.assignment.topic_partitions} for member in described.members
        }


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    with BrokerThread({"auto.create.topics.enable": "false"}) as broker:
        yield Kafka(broker.bootstrap_servers)


@pytest.fixture
def kafka_at() -> Callable[[str], Kafka]:
    """For a broker of the test's own."""
    return Kafka


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """For the tests that leave it as it is; each has names of its own in it."""
    with valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    """For a test that kills or empties it."""
    with valkey(tmp_path) as server:
        yield server


@pytest.fixture
def name() -> str:
    """A name that no other test has: of a topic, a group, a projection."""
    return f"test-{next(_numbers)}"


@pytest.fixture
def topic(kafka: Kafka, name: str) -> str:
    """A topic of three partitions, with the dead letter topic of the group of the same name."""
    kafka.create(name, f"{name}.{name}.dlt")
    return name


@pytest.fixture
def store(valkey_server: ValkeyServer, name: str) -> ProjectionStore:
    return ProjectionStore(connect(valkey_server.url), name)


@pytest.fixture
def diary(store: ProjectionStore) -> Diary:
    return Diary(store)


@pytest.fixture
def diary_in(name: str) -> Callable[[ValkeyServer], Diary]:
    """A diary in a server of the test's own."""
    return lambda server: Diary(ProjectionStore(connect(server.url), name))


@pytest.fixture
def consumer(kafka, topic, name, diary) -> GroupConsumer:
    return GroupConsumer(kafka.bootstrap_servers, name, [topic], diary)


@contextmanager
def _running(*consumers: GroupConsumer) -> Iterator[None]:
    stop = threading.Event()
    threads = [threading.Thread(target=consumer.run, args=(stop,), daemon=True) for consumer in consumers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert not any(thread.is_alive() for thread in threads), "a consumer did not stop"


@pytest.fixture
def running() -> Callable[..., AbstractContextManager[None]]:
    """`with running(consumer): …`: it runs in a thread, and has stopped at the end."""
    return _running
