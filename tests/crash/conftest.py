"""What the crash tests share: the jars of Apache Kafka, whose dump-log judges the directories."""

import pytest
from peers.apache_kafka import PeerMissing, libs


def pytest_configure(config: pytest.Config) -> None:
    # kafka-python leaves sockets whose connection was refused to the garbage collector, here and at the end of the session.
    config.addinivalue_line("filterwarnings", r"ignore:unclosed <socket\.socket .*laddr=\('0\.0\.0\.0':ResourceWarning")


@pytest.fixture(scope="session")
def kafka_jars() -> str:
    """The directory of Kafka's jars; the test is reported as not run when they are not to be had."""
    try:
        return str(libs())
    except PeerMissing as missing:
        pytest.skip(f"Apache Kafka: {missing}")
