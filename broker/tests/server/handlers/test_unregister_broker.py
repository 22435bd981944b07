"""UnregisterBroker through its handler: on both listeners, for who is there, who is not, and while nobody decides."""

import pytest
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.unregister_broker import UnregisterBrokerRequest

from ..world import Node
from .brokers import register


@pytest.mark.parametrize("listener", ["PLAINTEXT", "CONTROLLER"])
def test_a_broker_that_is_gone_is_forgotten_when_that_is_committed(node: Node, listener: str) -> None:
    register(node, 2)
    asked = node.send(UnregisterBrokerRequest(broker_id=2), listener=listener)
    assert asked.answers == [], "it is on the disk before it is said"
    node.until(lambda: bool(asked.answers))
    assert asked.answers[0].error_code == ErrorCode.NONE  # type: ignore[attr-defined]
    assert list(node.services.metadata.image.brokers) == [1]


@pytest.mark.parametrize("broker_id", [2, -1])
def test_who_is_not_registered(node: Node, broker_id: int) -> None:
    response = node.ask(UnregisterBrokerRequest(broker_id=broker_id))
    assert response.error_code == ErrorCode.BROKER_ID_NOT_REGISTERED
    assert response.error_message == f"Broker ID {broker_id} is not currently registered"


def test_nobody_decides_until_its_time_is_over(node: Node) -> None:
    node.broker.controller.stop()
    asked = node.send(UnregisterBrokerRequest(broker_id=1))
    node.pass_time(29_000)
    assert asked.answers == []
    node.pass_time(1100)
    assert asked.answers[0].error_code == ErrorCode.REQUEST_TIMED_OUT  # type: ignore[attr-defined]
    assert list(node.services.metadata.image.brokers) == [1]
