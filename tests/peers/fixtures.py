"""Fixtures of the peers, for the conftest.py of every suite that needs them."""

import pytest

from peers.apache_kafka import PeerMissing, libs


@pytest.fixture(scope="session", name="kafka_jars")
def jars() -> str:
    """The directory of Kafka's jars; the test is reported as not run when they are not to be had."""
    try:
        return str(libs())
    except PeerMissing as missing:
        pytest.skip(f"Apache Kafka: {missing}")
