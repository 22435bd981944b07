"""BrokerHeartbeat through its handler: over its versions, what a broker is told, and who is not known."""

from typing import Any

import pytest
from broker.protocol.messages.broker_heartbeat import BrokerHeartbeatRequest

from ..world import Node, codes
from .brokers import enter, heartbeat, register


def told(response: Any) -> tuple[bool, bool, bool]:
    return response.is_caught_up, response.is_fenced, response.should_shut_down


@pytest.mark.parametrize("version", range(3))
def test_every_version(node: Node, version: int) -> None:
    epoch = register(node, 2)
    assert told(heartbeat(node, 2, epoch, version, current_metadata_offset=0)) == (False, True, False)
    assert told(heartbeat(node, 2, epoch, version, want_fence=True)) == (True, True, False)
    assert told(heartbeat(node, 2, epoch, version)) == (True, False, False)
    assert not node.services.metadata.image.brokers[2].fenced
    assert told(heartbeat(node, 2, epoch, version, want_shut_down=True)) == (True, True, True), "it leads nothing"
    assert node.services.metadata.image.brokers[2].fenced


def test_a_sign_of_life_alone_does_not_wait_for_the_disk(node: Node) -> None:
    epoch = enter(node, 2)
    node.send(BrokerHeartbeatRequest(broker_id=2, broker_epoch=epoch, want_fence=True), listener="CONTROLLER")
    request = BrokerHeartbeatRequest(broker_id=2, broker_epoch=epoch, current_metadata_offset=0, want_fence=True)
    assert len(node.send(request, listener="CONTROLLER").answers) == 1


@pytest.mark.parametrize(("broker_id", "difference"), [(2, -1), (2, 1), (3, 0)])
def test_another_life(node: Node, broker_id: int, difference: int) -> None:
    epoch = enter(node, 2)
    response = heartbeat(node, broker_id, epoch + difference)
    assert (codes([response]), response.is_fenced) == (["STALE_BROKER_EPOCH"], True)
    assert not node.services.metadata.image.brokers[2].fenced


def test_a_controller_that_is_not_active(node: Node) -> None:
    epoch = enter(node, 2)
    node.broker.controller.stop()
    assert codes([heartbeat(node, 2, epoch)]) == ["NOT_CONTROLLER"]


def test_who_is_heard_is_known_as_a_node(node: Node) -> None:
    peers: list[int] = []
    request = BrokerHeartbeatRequest(broker_id=2, broker_epoch=enter(node, 2))
    node.send(request, listener="CONTROLLER", peers=peers)
    assert peers == [2]
