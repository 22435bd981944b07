"""A blocking connection: answers, several at once, and every way in which none comes."""

import socket

import pytest
from broker.cli.failures import Unavailable
from broker.cli.wire import Connection
from broker.protocol.errors import KafkaError
from broker.protocol.messages.describe_cluster import DescribeClusterRequest, DescribeClusterResponse
from broker.protocol.messages.find_coordinator import FindCoordinatorRequest, FindCoordinatorResponse
from broker.protocol.messages.metadata import MetadataRequest, MetadataResponse

from .fake_broker import free_address, listening

ALL = MetadataRequest(topics=None)


def connect(address: str, timeout_s: float = 30.0) -> Connection:
    host, _, port = address.rpartition(":")
    return Connection(host, int(port), "tests", timeout_s)


def silent(connection: socket.socket) -> None:
    while connection.recv(1024):
        pass


def test_one_request_and_its_answer(bootstrap: str) -> None:
    connection = connect(bootstrap)
    response = connection.ask(ALL, MetadataResponse)
    assert [f"{one.host}:{one.port}" for one in response.brokers] == [bootstrap]
    assert connection.usable
    connection.close()


def test_requests_are_begun_together_and_waited_for_in_any_order(bootstrap: str) -> None:
    connection = connect(bootstrap)
    metadata, cluster = connection.begin(ALL), connection.begin(DescribeClusterRequest())
    assert connection.wait(cluster, DescribeClusterResponse).cluster_id == connection.wait(metadata, MetadataResponse).cluster_id
    connection.close()


def test_nobody_listens() -> None:
    address = free_address()
    with pytest.raises(Unavailable, match=rf"no broker answers at {address} \(Connection refused\)"):
        connect(address)


def test_a_broker_that_says_nothing_is_waited_for_no_longer_than_told() -> None:
    with listening(silent) as address:
        connection = connect(address, 0.2)
        with pytest.raises(Unavailable, match=f"the broker at {address} does not answer: no answer in time"):
            connection.ask(ALL, MetadataResponse)
        assert not connection.usable
        with pytest.raises(Unavailable, match="no answer in time"):
            connection.ask(ALL, MetadataResponse)
        connection.close()


def test_a_broker_that_hangs_up() -> None:
    with listening(lambda connection: None) as address:
        connection = connect(address)
        with pytest.raises(Unavailable, match=r"does not answer: (it closed the connection|Connection reset|Broken pipe)"):
            connection.ask(ALL, MetadataResponse)
        connection.close()


def test_something_that_is_no_broker() -> None:
    with listening(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as address:
        connection = connect(address)
        with pytest.raises(Unavailable, match=r"does not speak Kafka's protocol|Connection reset"):
            connection.ask(ALL, MetadataResponse)
        connection.close()


def test_a_request_that_the_agreed_version_cannot_say(bootstrap: str) -> None:
    connection = connect(bootstrap)
    with pytest.raises(KafkaError, match="coordinator_keys"):
        connection.ask(FindCoordinatorRequest(coordinator_keys=["g"]), FindCoordinatorResponse, version_max=3)
    assert connection.ask(ALL, MetadataResponse).brokers
    connection.close()
