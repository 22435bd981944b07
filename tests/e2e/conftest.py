"""The boards that the end-to-end tests run on: on our broker and on Apache Kafka, or the one that the environment names."""

from collections.abc import Iterator

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
    try:
        kafka = ApacheKafka(heap="512m").__enter__()
    except PeerMissing as missing:
        pytest.skip(str(missing))
    try:
        with embedded_board(tmp_path_factory.mktemp("board"), external_broker=kafka.bootstrap_servers) as board:
            yield board
    finally:
        kafka.__exit__(None, None, None)


@pytest.fixture(scope="session", params=["given"] if given_board() else ["own_board", "apache_kafka_board"])
def board(request: pytest.FixtureRequest) -> RunningBoard:
    given = given_board()
    if given is not None:
        return given
    found: RunningBoard = request.getfixturevalue(request.param)
    return found
