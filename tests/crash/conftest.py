"""What the crash tests share: the jars of Apache Kafka, whose dump-log judges the directories."""

import pytest
from peers.fixtures import jars  # noqa: F401 - the fixture kafka_jars


def pytest_configure(config: pytest.Config) -> None:
    # kafka-python leaves sockets whose connection was refused to the garbage collector, here and at the end of the session.
    config.addinivalue_line("filterwarnings", r"ignore:unclosed <socket\.socket .*laddr=\('0\.0\.0\.0':ResourceWarning")
