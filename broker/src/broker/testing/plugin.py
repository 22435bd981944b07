"""The pytest plugin: `kafka_broker`, `kafka_cluster`, `kafka_topic` and `kafka_settings`, in every session of an environment that
has this distribution (entry point `pytest11`).

Owns: which brokers a session has and how long they live. A broker and a cluster are started when a test first asks for one, with
ports and directories of their own, so that sessions and the workers of pytest-xdist do not meet; pytest keeps the directories,
with the brokers' logs, as it keeps those of `tmp_path`. Loads nothing of the broker before that.
Documented for users in docs/testing.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from broker.testing import BrokerProcess, Cluster

SETTINGS = "kafka_settings"
CLUSTER_BROKERS = 3
# A topic's name has 249 characters at most; the rest is for the number behind the test's name.
NAME_CHARACTERS = 200
MakeTopic = Callable[..., str]


def pytest_addoption(parser: pytest.Parser) -> None:
    help_text = "settings of the brokers of kafka_broker and kafka_cluster, a line each: name=value"
    parser.addini(SETTINGS, help_text, type="linelist", default=[])
    parser.getgroup("kafka", "Kafka brokers for tests (board-broker)").addoption(
        "--kafka-setting",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the brokers of kafka_broker and kafka_cluster, over those of the ini file",
    )


@pytest.fixture(scope="session")
def kafka_settings(pytestconfig: pytest.Config) -> dict[str, str]:
    """Settings of the brokers, over Kafka's defaults: those of the ini file, then those of --kafka-setting.

    Override it in a conftest.py to compute them.
    """
    settings = {}
    for line in [*pytestconfig.getini(SETTINGS), *pytestconfig.getoption("--kafka-setting")]:
        name, separator, value = line.partition("=")
        if not separator or not name.strip():
            raise pytest.UsageError(f"kafka settings are lines of name=value, not {line!r}")
        settings[name.strip()] = value.strip()
    return settings


@pytest.fixture(scope="session")
def kafka_broker(kafka_settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """One broker for the session, in a process of its own; what tests share is separated by their topics (`kafka_topic`)."""
    from broker.testing import BrokerProcess  # noqa: PLC0415 - not in sessions that do not use it

    with BrokerProcess(kafka_settings, tmp_path_factory.mktemp("kafka-broker")) as broker:
        yield broker


@pytest.fixture(scope="session")
def _kafka_cluster_of_the_session(kafka_settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    from broker.testing import Cluster  # noqa: PLC0415 - as above

    directory = tmp_path_factory.mktemp("kafka-cluster")
    with Cluster(CLUSTER_BROKERS, kafka_settings, directory, partitionable=True) as cluster:
        yield cluster


@pytest.fixture
def kafka_cluster(_kafka_cluster_of_the_session: Cluster) -> Iterator[Cluster]:
    """Three brokers, started once for the session, whole at the beginning of each test: what the one before broke is mended."""
    _kafka_cluster_of_the_session.mend()
    yield _kafka_cluster_of_the_session
    _kafka_cluster_of_the_session.mend()


@pytest.fixture
def kafka_topic(request: pytest.FixtureRequest) -> MakeTopic:
    """`kafka_topic(partitions=1, **settings)` makes a topic of the test's own and gives its name.

    It is made on `kafka_cluster` in a test that uses that, on `kafka_broker` otherwise. Settings are Kafka's, with `_` for `.`:
    `retention_ms=1000`.
    """
    from broker.testing.topics import create_topic  # noqa: PLC0415 - as above

    cluster = "kafka_cluster" if "kafka_cluster" in request.fixturenames else "kafka_broker"
    bootstrap_servers = request.getfixturevalue(cluster).bootstrap_servers
    prefix = re.sub(r"[^a-zA-Z0-9._-]+", "-", request.node.name)[:NAME_CHARACTERS]

    def make(partitions: int = 1, **settings: object) -> str:
        return create_topic(bootstrap_servers, prefix, partitions, settings)

    return make
