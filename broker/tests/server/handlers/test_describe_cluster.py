"""DescribeCluster: brokers on a broker's listener, controllers on a controller's."""

import pytest
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.describe_cluster import DescribeClusterRequest
from broker.server.authorized_operations import CLUSTER_OPERATIONS, NOT_ASKED

from ..world import Node

BROKERS, CONTROLLERS = 1, 2


@pytest.mark.parametrize("version", [0, 1, 2])
def test_the_brokers(node: Node, version: int) -> None:
    response = node.ask(DescribeClusterRequest(), version)
    assert (response.error_code, response.cluster_id, response.controller_id) == (0, node.broker.cluster_id, 1)
    assert [(one.broker_id, one.host, one.port, one.is_fenced) for one in response.brokers] == [
        (1, "broker.example", 9092, False)
    ]
    assert (response.endpoint_type, response.cluster_authorized_operations) == (BROKERS, NOT_ASKED)
    asked = node.ask(DescribeClusterRequest(include_cluster_authorized_operations=True), version)
    assert asked.cluster_authorized_operations == CLUSTER_OPERATIONS


def test_the_controllers(node: Node) -> None:
    response = node.ask(DescribeClusterRequest(endpoint_type=CONTROLLERS), listener="CONTROLLER")
    assert (response.error_code, response.controller_id, response.endpoint_type) == (0, 1, CONTROLLERS)
    assert [(one.broker_id, one.host, one.port) for one in response.brokers] == [(1, "127.0.0.1", 9093)]


def test_a_controller_names_the_active_one(node: Node) -> None:
    """Kafka's tools go on to it; each naming itself, they would ask the same one for ever."""
    from dataclasses import replace

    core = node.broker.driver.core
    core.election = replace(core.election, leader_id=3)
    assert node.ask(DescribeClusterRequest(endpoint_type=CONTROLLERS), listener="CONTROLLER").controller_id == 3


@pytest.mark.parametrize(
    ("listener", "wanted", "code"),
    [
        ("PLAINTEXT", CONTROLLERS, ErrorCode.MISMATCHED_ENDPOINT_TYPE),
        ("CONTROLLER", BROKERS, ErrorCode.MISMATCHED_ENDPOINT_TYPE),
        ("PLAINTEXT", 9, ErrorCode.UNSUPPORTED_ENDPOINT_TYPE),
    ],
)
def test_the_other_kind(node: Node, listener: str, wanted: int, code: ErrorCode) -> None:
    response = node.ask(DescribeClusterRequest(endpoint_type=wanted), 1, listener=listener)
    assert (response.error_code, response.brokers) == (code, [])


def test_version_0_cannot_ask_a_controllers_listener(node: Node) -> None:
    assert node.ask(DescribeClusterRequest(), 0, listener="CONTROLLER").error_code == ErrorCode.INVALID_REQUEST


def test_fenced_brokers_are_for_who_asks(node: Node) -> None:
    from dataclasses import replace

    image = node.services.metadata.image
    node.services.metadata.image = replace(image, brokers={1: replace(image.brokers[1], fenced=True)})
    hidden = node.ask(DescribeClusterRequest())
    assert (hidden.brokers, hidden.controller_id) == ([], -1)
    shown = node.ask(DescribeClusterRequest(include_fenced_brokers=True))
    assert [one.is_fenced for one in shown.brokers] == [True]
