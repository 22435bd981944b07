"""FindCoordinator: which broker keeps a group; the first question makes the topic that keeps them all."""

import pytest
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.find_coordinator import FindCoordinatorRequest

from ..world import Node, codes

TOPIC = "__consumer_offsets"


@pytest.fixture
def ready(node: Node) -> Node:
    node.services.groups.ensure_topic()
    node.until(lambda: TOPIC in node.services.metadata.image.topics)
    return node


def test_the_first_question_makes_the_topic(node: Node) -> None:
    for _ in range(2):
        response = node.ask(FindCoordinatorRequest(key="g"), 3)
        assert (response.error_code, response.node_id) == (ErrorCode.COORDINATOR_NOT_AVAILABLE, -1)
    node.until(lambda: TOPIC in node.services.metadata.image.topics)
    response = node.ask(FindCoordinatorRequest(key="g"), 3)
    assert (response.error_code, response.node_id, response.host, response.port) == (0, 1, "broker.example", 9092)
    topic = node.services.metadata.image.topics[TOPIC]
    assert len(topic.partitions) == 5
    assert node.services.replicas.topic_configs[TOPIC].cleanup_policy == "compact"


@pytest.mark.parametrize("version", range(7))
def test_every_version(ready: Node, version: int) -> None:
    if version >= 4:
        response = ready.ask(FindCoordinatorRequest(coordinator_keys=["g", "h", ""]), version)
        found = [(one.key, one.error_code, one.node_id, one.host, one.port) for one in response.coordinators]
        assert found == [(key, 0, 1, "broker.example", 9092) for key in ("g", "h", "")]
    else:
        response = ready.ask(FindCoordinatorRequest(key="g"), version)
        assert (response.error_code, response.node_id, response.host) == (0, 1, "broker.example")


@pytest.mark.parametrize("kind", [1, 2, 9])
def test_other_coordinators_are_not_there(ready: Node, kind: int) -> None:
    single = ready.ask(FindCoordinatorRequest(key="x", key_type=kind), 3)
    assert (single.error_code, single.node_id, single.port) == (ErrorCode.INVALID_REQUEST, -1, -1)
    many = ready.ask(FindCoordinatorRequest(coordinator_keys=["x", "y"], key_type=kind), 6)
    assert codes(many.coordinators) == ["INVALID_REQUEST"] * 2
