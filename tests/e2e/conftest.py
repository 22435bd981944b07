"""The boards that the end-to-end tests run on: on our broker and on Apache Kafka, or the one that the environment names."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from peers.apache_kafka import ApacheKafka, PeerMissing
from running_board import EmbeddedBoard, RunningBoard, embedded_board, given_board


@pytest.fixture(scope="session")
def own_board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBoard]:
    with embedded_board(tmp_path_factory.mktemp("board")) as board:
        yield board


@pytest.fixture(scope="session")
def apache_kafka_board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBoard]:
    """The same board; only the address of the broker differs."""
    with ExitStack() as stack:
        try:
            kafka = stack.enter_context(ApacheKafka(heap="512m"))
        except PeerMissing as missing:
            pytest.skip(str(missing))
        directory = tmp_path_factory.mktemp("board")
        yield stack.enter_context(embedded_board(directory, external_broker=kafka.bootstrap_servers))


@pytest.fixture(scope="session", params=["given"] if given_board() else ["own_board", "apache_kafka_board"])
def board(request: pytest.FixtureRequest) -> RunningBoard:
    given = given_board()
    if given is not None:
        return given
    found: RunningBoard = request.getfixturevalue(request.param)
    return found
