"""What leaders ask for: taken in the epochs they know and with members that may be in an ISR, each partition on its own."""

from typing import Any

import pytest
from broker.controller.elections import RECOVERED, RECOVERING
from broker.controller.isr import alter_partition
from broker.metadata.image import PartitionImage
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.alter_partition import AlterPartitionRequest, BrokerState, PartitionData, TopicData
from broker.protocol.messages.metadata_records import BrokerRegistrationChangeRecord, PartitionRecord, TopicRecord
from broker.protocol.types import UUID

from .cluster import Cluster

TOPIC = UUID(int=7)


def cluster(**partition: Any) -> Cluster:
    """Three brokers, each registered under its id as its epoch, and a partition that 1 leads in epoch 4, partition epoch 8."""
    made = Cluster((1, 2, 3))
    settings: dict[str, Any] = {"replicas": [1, 2, 3], "isr": [1, 2], "leader": 1, "leader_epoch": 4, "partition_epoch": 8}
    made.replay(
        [TopicRecord(name="t", topic_id=TOPIC), PartitionRecord(partition_id=0, topic_id=TOPIC, **(settings | partition))]
    )
    return made


def members(*ids: int, epoch: int | None = None) -> list[BrokerState]:
    return [BrokerState(broker_id=one, broker_epoch=one if epoch is None else epoch) for one in ids]


def ask(made: Cluster, *, broker_epoch: int = 1, broker_id: int = 1, topic: UUID = TOPIC, **settings: Any) -> Any:
    defaults: dict[str, Any] = {
        "partition_index": 0,
        "leader_epoch": 4,
        "partition_epoch": 8,
        "new_isr_with_epochs": members(1, 2, 3),
    }
    data = PartitionData(**(defaults | settings))
    request = AlterPartitionRequest(
        broker_id=broker_id, broker_epoch=broker_epoch, topics=[TopicData(topic_id=topic, partitions=[data])]
    )
    return made.decide(alter_partition, request)


def code(response: Any) -> ErrorCode:
    return ErrorCode(response.topics[0].partitions[0].error_code)


def partition(made: Cluster) -> PartitionImage:
    return made.image.topics["t"].partitions[0]


def test_an_isr_grows_and_shrinks() -> None:
    made = cluster()
    answer = ask(made).topics[0].partitions[0]
    assert (answer.error_code, answer.leader_id, answer.leader_epoch, answer.isr, answer.partition_epoch) == (
        0,
        1,
        4,
        [1, 2, 3],
        9,
    )
    assert partition(made).isr == (1, 2, 3)
    answer = ask(made, partition_epoch=9, new_isr_with_epochs=members(1)).topics[0].partitions[0]
    assert (answer.isr, answer.partition_epoch) == ([1], 10)
    assert (partition(made).isr, partition(made).leader_epoch) == ((1,), 4), "nobody is elected because of that"


def test_what_is_so_already_is_confirmed() -> None:
    made = cluster()
    answer = ask(made, new_isr_with_epochs=members(1, 2)).topics[0].partitions[0]
    assert (answer.error_code, answer.isr, answer.partition_epoch, made.records) == (0, [1, 2], 8, [])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"topic": UUID(int=8)}, "UNKNOWN_TOPIC_ID"),
        ({"partition_index": 1}, "UNKNOWN_TOPIC_OR_PARTITION"),
        ({"leader_epoch": 5}, "NOT_CONTROLLER"),
        ({"partition_epoch": 9}, "NOT_CONTROLLER"),
        ({"leader_epoch": 3}, "FENCED_LEADER_EPOCH"),
        ({"partition_epoch": 7}, "INVALID_UPDATE_VERSION"),
        ({"broker_id": 2, "broker_epoch": 2}, "INVALID_REQUEST"),
        ({"new_isr_with_epochs": members(1, 2, 2)}, "INVALID_REQUEST"),
        ({"new_isr_with_epochs": members(1, 9)}, "INVALID_REQUEST"),
        ({"new_isr_with_epochs": members(2, 3)}, "INVALID_REQUEST"),
        ({"leader_recovery_state": 5}, "INVALID_REQUEST"),
        ({"leader_recovery_state": RECOVERING}, "INVALID_REQUEST"),
        ({"new_isr_with_epochs": [*members(1, 2), *members(3, epoch=2)]}, "INELIGIBLE_REPLICA"),
    ],
)
def test_what_is_refused(settings: dict[str, Any], expected: str) -> None:
    made = cluster()
    assert code(ask(made, **settings)).name == expected
    assert (made.records, partition(made).isr) == ([], (1, 2))


@pytest.mark.parametrize(("broker_id", "epoch"), [(1, 0), (1, 99), (9, 9)])
def test_a_leader_of_another_life_is_refused_as_a_whole(broker_id: int, epoch: int) -> None:
    made = cluster()
    response = ask(made, broker_id=broker_id, broker_epoch=epoch)
    assert (response.error_code, response.topics, made.records) == (ErrorCode.STALE_BROKER_EPOCH, [], [])


@pytest.mark.parametrize("change", [{"fenced": 1}, {"in_controlled_shutdown": 1}])
def test_who_is_fenced_or_about_to_stop_does_not_join(change: dict[str, int]) -> None:
    made = cluster()
    made.replay([BrokerRegistrationChangeRecord(broker_id=3, broker_epoch=3, **change)])
    assert code(ask(made)) is ErrorCode.INELIGIBLE_REPLICA


def test_members_without_their_epochs() -> None:
    """Version 2 has none to say."""
    made = cluster()
    assert code(ask(made, new_isr_with_epochs=[], new_isr=[1, 2, 3])) is ErrorCode.NONE
    assert partition(made).isr == (1, 2, 3)


def test_who_leaves_under_the_minimum_stays_eligible() -> None:
    made = Cluster((1, 2, 3), min_insync_replicas="2")
    record = PartitionRecord(
        partition_id=0, topic_id=TOPIC, replicas=[1, 2, 3], isr=[1, 2], leader=1, leader_epoch=4, partition_epoch=8
    )
    made.replay([TopicRecord(name="t", topic_id=TOPIC), record])
    ask(made, new_isr_with_epochs=members(1))
    assert (partition(made).isr, partition(made).elr) == ((1,), (2,))


def test_a_leader_that_has_recovered_says_so() -> None:
    made = cluster(isr=[1], leader_recovery_state=RECOVERING)
    assert code(ask(made, new_isr_with_epochs=members(1, 2), leader_recovery_state=RECOVERING)) is ErrorCode.INVALID_REQUEST
    answer = ask(made, new_isr_with_epochs=members(1, 2)).topics[0].partitions[0]
    assert (answer.error_code, answer.leader_recovery_state) == (0, RECOVERED)
    assert (partition(made).isr, partition(made).leader_recovery_state) == ((1, 2), RECOVERED)


def test_each_partition_is_decided_on_its_own() -> None:
    made = cluster()
    record = PartitionRecord(
        partition_id=1, topic_id=TOPIC, replicas=[1, 2], isr=[1], leader=1, leader_epoch=0, partition_epoch=0
    )
    made.replay([record])
    asked = [
        PartitionData(partition_index=0, leader_epoch=3, partition_epoch=8, new_isr_with_epochs=members(1)),
        PartitionData(partition_index=1, leader_epoch=0, partition_epoch=0, new_isr_with_epochs=members(1, 2)),
    ]
    request = AlterPartitionRequest(broker_id=1, broker_epoch=1, topics=[TopicData(topic_id=TOPIC, partitions=asked)])
    answers = made.decide(alter_partition, request).topics[0].partitions
    assert [ErrorCode(one.error_code).name for one in answers] == ["FENCED_LEADER_EPOCH", "NONE"]
    assert made.image.topics["t"].partitions[1].isr == (1, 2)
