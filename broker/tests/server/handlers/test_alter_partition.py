"""AlterPartition through its handler: over its versions, each partition decided on its own, and who may not ask."""

from typing import Any

import pytest
from broker.protocol.messages.alter_partition import AlterPartitionRequest, BrokerState, PartitionData, TopicData
from broker.protocol.messages.create_topics import CreatableReplicaAssignment, CreatableTopic, CreateTopicsRequest
from broker.protocol.types import UUID

from ..world import Node, codes
from .brokers import enter

LEADER = 2


@pytest.fixture
def led(node: Node) -> Node:
    """The topic t has two partitions on three other brokers; 2 leads them."""
    for broker_id in (2, 3, 4):
        enter(node, broker_id)
    assignments = [CreatableReplicaAssignment(partition_index=index, broker_ids=[LEADER, 3, 4]) for index in range(2)]
    topic = CreatableTopic(name="t", num_partitions=-1, replication_factor=-1, assignments=assignments)
    assert codes(node.ask(CreateTopicsRequest(topics=[topic], timeout_ms=1000)).topics) == ["NONE"]
    return node


def image(node: Node, index: int = 0) -> Any:
    return node.services.metadata.image.topics["t"].partitions[index]


def epoch_of(node: Node, broker_id: int) -> int:
    return int(node.services.metadata.image.brokers[broker_id].epoch)


def wish(node: Node, *isr: int, index: int = 0, version: int = 3, **changes: Any) -> PartitionData:
    """That these be the ISR; version 2 does not say in which life."""
    known = node.services.metadata.image.topics["t"].partitions.get(index) or image(node)
    members: dict[str, Any] = {"new_isr": list(isr)}
    if version >= 3:
        members = {"new_isr_with_epochs": [BrokerState(broker_id=one, broker_epoch=epoch_of(node, one)) for one in isr]}
    epochs = {"leader_epoch": known.leader_epoch, "partition_epoch": known.partition_epoch}
    return PartitionData(partition_index=index, **members | epochs | changes)


def ask(node: Node, *wishes: PartitionData, version: int = 3, topic_id: UUID | None = None, **asker: int) -> Any:
    topic = TopicData(topic_id=topic_id or node.topic_id("t"), partitions=list(wishes))
    fields = {"broker_id": LEADER, "broker_epoch": epoch_of(node, LEADER)} | asker
    return node.ask(AlterPartitionRequest(topics=[topic], **fields), version, listener="CONTROLLER")


@pytest.mark.parametrize("version", [2, 3])
def test_every_version(led: Node, version: int) -> None:
    before = image(led)
    response = ask(led, wish(led, 2, 3, version=version), wish(led, 2, 3, index=7, version=version), version=version)
    shrunk, unknown = response.topics[0].partitions
    assert codes([response, shrunk, unknown]) == ["NONE", "NONE", "UNKNOWN_TOPIC_OR_PARTITION"]
    assert (shrunk.leader_id, shrunk.leader_epoch, shrunk.isr) == (LEADER, before.leader_epoch, [2, 3])
    assert shrunk.partition_epoch == before.partition_epoch + 1
    assert (image(led).isr, image(led, 1).isr) == ((2, 3), (2, 3, 4)), "what is answered is committed"
    assert codes(ask(led, wish(led, 2, 3, 4, version=version), version=version).topics[0].partitions) == ["NONE"]
    assert image(led).isr == (2, 3, 4)


@pytest.mark.parametrize(
    ("isr", "changes", "code"),
    [
        ((2, 3), {"leader_epoch": -1}, "FENCED_LEADER_EPOCH"),
        ((2, 3), {"leader_epoch": 9}, "NOT_CONTROLLER"),
        ((2, 3), {"partition_epoch": -1}, "INVALID_UPDATE_VERSION"),
        ((2, 3), {"partition_epoch": 9}, "NOT_CONTROLLER"),
        ((3, 4), {}, "INVALID_REQUEST"),
        ((2, 2), {}, "INVALID_REQUEST"),
        ((), {}, "INVALID_REQUEST"),
        (
            (2, 3),
            {"new_isr_with_epochs": [BrokerState(broker_id=2), BrokerState(broker_id=3, broker_epoch=1)]},
            "INELIGIBLE_REPLICA",
        ),
        ((2, 3), {"leader_recovery_state": 1}, "INVALID_REQUEST"),
        ((2, 3), {"leader_recovery_state": 5}, "INVALID_REQUEST"),
    ],
)
def test_what_is_refused(led: Node, isr: tuple[int, ...], changes: dict[str, Any], code: str) -> None:
    before = image(led)
    response = ask(led, wish(led, *isr, **changes))
    assert codes([response, *response.topics[0].partitions]) == ["NONE", code]
    assert image(led) == before


@pytest.mark.parametrize("asker", [{"broker_epoch": 0}, {"broker_epoch": 10**6}, {"broker_id": 9}])
def test_another_life_of_the_leader(led: Node, asker: dict[str, int]) -> None:
    response = ask(led, wish(led, 2, 3), **asker)
    assert (codes([response]), response.topics) == (["STALE_BROKER_EPOCH"], [])


def test_who_does_not_lead(led: Node) -> None:
    response = ask(led, wish(led, 2, 3), broker_id=3, broker_epoch=epoch_of(led, 3))
    assert codes(response.topics[0].partitions) == ["INVALID_REQUEST"]


def test_a_topic_that_is_not_there(led: Node) -> None:
    response = ask(led, wish(led, 2, 3), topic_id=UUID(int=9))
    assert response.topics[0].topic_id == UUID(int=9)
    assert codes(response.topics[0].partitions) == ["UNKNOWN_TOPIC_ID"]


def test_a_controller_that_is_not_active(led: Node) -> None:
    before = image(led)
    asked = wish(led, 2, 3)
    led.broker.controller.stop()
    response = ask(led, asked)
    assert (codes([response]), response.topics) == (["NOT_CONTROLLER"], [])
    assert image(led) == before
