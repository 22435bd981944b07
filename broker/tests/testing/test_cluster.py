"""A cluster of real processes: it is up, loses brokers and gets them back, and is cut in two."""

from collections.abc import Iterator

import pytest
from broker.cli.cluster import Cluster as Connections
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.create_topics import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from broker.testing.cluster import Cluster

TIMEOUT_MS = 20_000


def create(cluster: Cluster, name: str, replicas: list[int]) -> None:
    assignment = CreatableReplicaAssignment(partition_index=0, broker_ids=replicas)
    topic = CreatableTopic(name=name, num_partitions=-1, replication_factor=-1, assignments=[assignment])
    with Connections(cluster.bootstrap_servers, "tests") as connections:
        request = CreateTopicsRequest(topics=[topic], timeout_ms=TIMEOUT_MS)
        response = connections.any().ask(request, CreateTopicsResponse)
    assert [one.error_code for one in response.topics] == [ErrorCode.NONE]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(3, partitionable=True) as made:
        create(made, "t", [1, 2, 3])
        yield made


@pytest.fixture(autouse=True)
def whole(cluster: Cluster) -> Iterator[None]:
    """Every test finds a whole cluster."""
    yield
    cluster.mend()


def test_it_tells_what_it_looks_like(cluster: Cluster) -> None:
    assert cluster.leader_of("t", 0) in cluster.ids
    assert cluster.isr_of("t", 0) == [1, 2, 3]
    assert cluster.controller_id() in cluster.ids
    assert len(cluster.bootstrap_servers.split(",")) == 3


def test_a_killed_leader_is_replaced(cluster: Cluster) -> None:
    leader = cluster.leader_of("t", 0)
    cluster.kill(leader)
    assert not cluster.brokers[leader].running
    cluster._wait(lambda: cluster.leader_of("t", 0) != leader, "the dead one leads")
    assert leader not in cluster.isr_of("t", 0)
    cluster.start(leader)
    cluster.wait_until_in_sync()
    assert cluster.isr_of("t", 0) == [1, 2, 3]


def test_a_killed_controller_is_replaced(cluster: Cluster) -> None:
    controller = cluster.controller_id()
    cluster.kill(controller)
    cluster._wait(lambda: cluster.controller_id() != controller, "the dead one decides")


def test_all_are_killed_and_come_back(cluster: Cluster) -> None:
    cluster.kill(*cluster.ids)
    cluster.start(*cluster.ids)
    cluster.wait_until_in_sync()


def test_an_orderly_restart(cluster: Cluster) -> None:
    leader = cluster.leader_of("t", 0)
    cluster.restart(leader)
    cluster.wait_until_in_sync()
    assert cluster.isr_of("t", 0) == [1, 2, 3]


def test_a_controller_that_is_cut_off_is_replaced(cluster: Cluster) -> None:
    controller = cluster.controller_id()
    cluster.partition([controller], [one for one in cluster.ids if one != controller])
    others = [cluster.brokers[one].bootstrap_servers for one in cluster.ids if one != controller]
    cluster._wait(lambda: cluster.controller_seen_by(others[0]) not in (controller, -1), "nobody else decides")
    cluster.heal()
    cluster.wait_until_in_sync()
