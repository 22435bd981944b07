"""The two brokers every conformance test runs against: ours, and Apache Kafka 4.3.1 as the judge.

A test that passes here asserts nothing that Kafka itself does not do.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

import pytest
from broker.testing import BrokerProcess
from peers.apache_kafka import ApacheKafka
from peers.fixtures import jars  # noqa: F401 - the fixture kafka_jars

OVERRIDES = {"group.initial.rebalance.delay.ms": "0", "offsets.topic.num.partitions": "5"}
SESSION_TIMEOUT_MS = 6000


@dataclass
class Target:
    """One running broker."""

    name: str
    bootstrap_servers: str
    _names: Iterator[int] = field(default_factory=lambda: count(1))

    def fresh(self, prefix: str) -> str:
        """A topic or group name that nobody used yet."""
        return f"{prefix}-{next(self._names)}"


@pytest.fixture(scope="session")
def ours() -> Iterator[Target]:
    with BrokerProcess(overrides=OVERRIDES) as broker:
        yield Target("ours", broker.bootstrap_servers)


@pytest.fixture(scope="session")
def apache_kafka(kafka_jars: str) -> Iterator[Target]:
    with ApacheKafka(overrides={"offsets.topic.num.partitions": "5"}) as kafka:
        yield Target("apache-kafka", kafka.bootstrap_servers)


@pytest.fixture(params=["ours", "apache_kafka"])
def target(request: pytest.FixtureRequest) -> Target:
    """Each test runs once against each broker."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Target)
    return found


@pytest.fixture
def make_topic(target: Target) -> Callable[..., str]:
    """A function that creates a fresh topic and returns its name."""
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": target.bootstrap_servers})

    def make(partitions: int = 1, **config: str) -> str:
        name = target.fresh("topic")
        settings = {key.replace("_", "."): value for key, value in config.items()}
        for future in admin.create_topics([NewTopic(name, partitions, 1, config=settings)]).values():
            future.result(30)
        return name

    return make
