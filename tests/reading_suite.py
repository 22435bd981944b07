"""What the suites of the reading services share: a Valkey, a broker with the board's topics, and events put into a projection."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from broker.testing import BrokerThread
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from events.comment import COMMENTS
from events.envelope import Envelope, encode
from events.topics import ARTICLE_TOPIC, COMMENT_TOPIC, PARTITIONS, TOPICS, dead_letter_topic
from peers.valkey import ValkeyServer, valkey
from redis import Redis
from servicekit.consuming.positions import Step
from servicekit.consuming.runner import GroupConsumer, Projection
from servicekit.consuming.store import ProjectionStore, connect
from waiting import wait_until

ALL_PARTITIONS = [(topic, number) for topic in TOPICS for number in range(PARTITIONS)]


def topic_of(event: Envelope) -> str:
    return COMMENT_TOPIC if event.aggregate == COMMENTS else ARTICLE_TOPIC


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def client(valkey_server: ValkeyServer, settings: Any) -> Iterator[Redis]:
    """Of an empty Valkey, which the service's settings name as well."""
    settings.VALKEY_URL = valkey_server.url
    with valkey_server.client() as client:
        client.flushall()
        yield client


@pytest.fixture
def store(client: Redis, settings: Any) -> ProjectionStore:
    """The service's live store."""
    return ProjectionStore(connect(settings.VALKEY_URL), settings.SERVICE)


def contents(client: Redis, prefix: str) -> dict[str, object]:
    """All of a generation as it is in Valkey, without the names' beginning."""
    found: dict[str, object] = {}
    for key in client.scan_iter(f"{prefix}:*", count=1000):
        is_index = client.type(key) == "zset"
        found[key.removeprefix(prefix)] = client.zrange(key, 0, -1, withscores=True) if is_index else client.get(key)
    return found


class Feed:
    """Events put into a projection one by one, as its consumer would, each topic with one partition."""

    def __init__(self, projection: Projection) -> None:
        self._projection = projection
        self._next = projection.store.begin([(topic, 0) for topic in TOPICS])

    def deliver(self, *events: Envelope) -> None:
        for event in events:
            partition = (topic_of(event), 0)
            step = Step(*partition, self._next[partition], self._next[partition] + 1)
            self._projection.apply(step, event)
            self._next[partition] += 1


@pytest.fixture
def bootstrap_servers() -> Iterator[str]:
    """A broker with the board's topics, empty."""
    with BrokerThread({"auto.create.topics.enable": "false"}) as broker:
        groups = ("popular", "read-view")
        names = [*TOPICS, *(dead_letter_topic(topic, group) for topic in TOPICS for group in groups)]
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        for future in admin.create_topics([NewTopic(name, num_partitions=PARTITIONS) for name in names]).values():
            future.result(30)
        yield broker.bootstrap_servers


@pytest.fixture
def publish(bootstrap_servers: str) -> Callable[..., None]:
    """Events sent to their topics."""
    producer = Producer({"bootstrap.servers": bootstrap_servers, "partitioner": "murmur2_random"})

    def send(*events: Envelope) -> None:
        for event in events:
            producer.produce(topic_of(event), key=event.subject.encode(), value=encode(event))
        assert producer.flush(30) == 0

    return send


@contextmanager
def consuming(consumer: GroupConsumer) -> Iterator[None]:
    """A service's consumer in a thread, from the beginning to the end of the block."""
    stop = threading.Event()
    thread = threading.Thread(target=consumer.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive(), "the consumer did not stop"


def wait_until_taken(store: ProjectionStore, count: int) -> None:
    """Until the projection has taken so many records and has seen the end of every partition."""

    def taken() -> int:
        return sum(position or 0 for position in store.positions(ALL_PARTITIONS).values())

    wait_until(lambda: taken() == count and store.has_seen_end(ALL_PARTITIONS), f"{count} records taken")
