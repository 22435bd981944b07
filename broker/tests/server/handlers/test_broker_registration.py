"""BrokerRegistration through its handler: over its versions, and what a controller does not take."""

from typing import Any

import pytest
from broker.protocol.messages.broker_registration import BrokerRegistrationRequest, Feature, Listener
from broker.protocol.types import UUID

from ..world import Node, codes
from .brokers import enter, register, registration


def ask(node: Node, request: BrokerRegistrationRequest, version: int = 4) -> Any:
    return node.ask(request, version, listener="CONTROLLER")


@pytest.mark.parametrize("version", [2, 3, 4])
def test_every_version_that_names_directories(node: Node, version: int) -> None:
    asked = node.send(registration(node, 2, rack="r"), version, listener="CONTROLLER")
    assert asked.answers == [], "it is on the disk before it is said"
    node.until(lambda: bool(asked.answers))
    response: Any = asked.answers[0]
    known = node.services.metadata.image.brokers[2]
    assert (response.error_code, response.broker_epoch) == (0, known.epoch)
    assert (known.fenced, known.rack, known.directories) == (True, "r", (UUID(int=1002),))
    assert [(one.name, one.host, one.port) for one in known.endpoints] == [("PLAINTEXT", "b2", 9092)]


@pytest.mark.parametrize("version", [0, 1])
def test_brokers_that_cannot_name_their_directories(node: Node, version: int) -> None:
    assert codes([ask(node, registration(node, 2), version)]) == ["INVALID_REGISTRATION"]
    assert list(node.services.metadata.image.brokers) == [1]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"cluster_id": "another"}, "INCONSISTENT_CLUSTER_ID"),
        ({"log_dirs": []}, "INVALID_REGISTRATION"),
        ({"log_dirs": [UUID(int=1)]}, "INVALID_REGISTRATION"),
        ({"features": []}, "INVALID_REGISTRATION"),
        (
            {"features": [Feature(name="metadata.version", min_supported_version=1, max_supported_version=29)]},
            "UNSUPPORTED_VERSION",
        ),
        ({"features": [Feature(name="metadata.version", max_supported_version=30)]}, "UNSUPPORTED_VERSION"),
    ],
)
def test_what_is_refused(node: Node, changes: dict[str, Any], code: str) -> None:
    response = ask(node, registration(node, 2, **changes))
    assert (codes([response]), response.broker_epoch) == ([code], -1)
    assert list(node.services.metadata.image.brokers) == [1]


def test_the_id_of_a_broker_that_lives(node: Node) -> None:
    epoch = enter(node, 2)
    assert codes([ask(node, registration(node, 2, incarnation_id=UUID(int=77)))]) == ["DUPLICATE_BROKER_REGISTRATION"]
    assert node.services.metadata.image.brokers[2].epoch == epoch


def test_the_same_life_amends_its_registration(node: Node) -> None:
    epoch = enter(node, 2)
    moved = registration(node, 2, listeners=[Listener(name="PLAINTEXT", host="elsewhere", port=1)])
    assert ask(node, moved).broker_epoch == epoch
    known = node.services.metadata.image.brokers[2]
    assert (known.endpoints[0].host, known.fenced) == ("elsewhere", False)


def test_a_controller_that_is_not_active(node: Node) -> None:
    node.broker.controller.stop()
    response = ask(node, registration(node, 2))
    assert (codes([response]), response.broker_epoch) == (["NOT_CONTROLLER"], -1)


def test_who_registers_is_known_as_a_node(node: Node) -> None:
    """Its connection's end will be a sign of its death."""
    register(node, 2)
    peers: list[int] = []
    asked = node.send(registration(node, 3), listener="CONTROLLER", peers=peers)
    node.until(lambda: bool(asked.answers))
    assert peers == [3]
