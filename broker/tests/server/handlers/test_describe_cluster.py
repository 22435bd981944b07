"""DescribeCluster: brokers on a broker's listener, controllers on a controller's."""

import uuid
from dataclasses import replace

import pytest
from broker.metadata.image import ControllerImage, EndpointImage
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.describe_cluster import DescribeClusterRequest
from broker.server.authorized_operations import CLUSTER_OPERATIONS, NOT_ASKED

from ..world import Node

BROKERS, CONTROLLERS = 1, 2
MISMATCH = "The request was sent to an endpoint of type {}, but we wanted an endpoint of type {}"


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


def with_controllers(node: Node, *controllers: ControllerImage) -> None:
    image = node.services.metadata.image
    node.services.metadata.image = replace(image, controllers={one.controller_id: one for one in controllers})


def test_controllers_that_have_registered_with_the_listener_that_is_asked(node: Node) -> None:
    here = EndpointImage("CONTROLLER", "c3", 19093)
    with_controllers(
        node,
        ControllerImage(3, uuid.UUID(int=3), (here,)),
        ControllerImage(4, uuid.UUID(int=4), (EndpointImage("OTHER", "c4", 9093),)),
    )
    response = node.ask(DescribeClusterRequest(endpoint_type=CONTROLLERS), listener="CONTROLLER")
    assert [(one.broker_id, one.host, one.port) for one in response.brokers] == [(3, "c3", 19093)]
    assert response.controller_id == -1, "the active one has not made itself known: nobody could go on to it"


def test_a_controller_names_the_active_one(node: Node) -> None:
    """Kafka's tools go on to it; each naming itself, they would ask the same one for ever."""
    here = (EndpointImage("CONTROLLER", "c", 9093),)
    with_controllers(node, ControllerImage(1, uuid.UUID(int=1), here), ControllerImage(3, uuid.UUID(int=3), here))
    core = node.broker.driver.core
    core.election = replace(core.election, leader_id=3)
    assert node.ask(DescribeClusterRequest(endpoint_type=CONTROLLERS), listener="CONTROLLER").controller_id == 3


@pytest.mark.parametrize(
    ("listener", "wanted", "code", "text"),
    [
        ("PLAINTEXT", CONTROLLERS, ErrorCode.MISMATCHED_ENDPOINT_TYPE, MISMATCH.format("BROKER", "CONTROLLER")),
        ("CONTROLLER", BROKERS, ErrorCode.MISMATCHED_ENDPOINT_TYPE, MISMATCH.format("CONTROLLER", "BROKER")),
        ("PLAINTEXT", 9, ErrorCode.UNSUPPORTED_ENDPOINT_TYPE, "Unsupported endpoint type 9"),
    ],
)
def test_the_other_kind(node: Node, listener: str, wanted: int, code: ErrorCode, text: str) -> None:
    response = node.ask(DescribeClusterRequest(endpoint_type=wanted), 1, listener=listener)
    assert (response.error_code, response.brokers) == (code, [])
    assert response.error_message == text


def test_version_0_cannot_ask_a_controllers_listener(node: Node) -> None:
    assert node.ask(DescribeClusterRequest(), 0, listener="CONTROLLER").error_code == ErrorCode.INVALID_REQUEST


def test_fenced_brokers_are_for_who_asks(node: Node) -> None:
    image = node.services.metadata.image
    node.services.metadata.image = replace(image, brokers={1: replace(image.brokers[1], fenced=True)})
    hidden = node.ask(DescribeClusterRequest())
    assert (hidden.brokers, hidden.controller_id) == ([], -1)
    shown = node.ask(DescribeClusterRequest(include_fenced_brokers=True))
    assert [one.is_fenced for one in shown.brokers] == [True]
