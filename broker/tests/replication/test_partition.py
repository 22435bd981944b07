"""A partition on its leader: who may append and read, epochs that are claimed, and how far consumers see."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from broker.clock.simulated import WALL_START_MS as NOW
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.metadata_records import PartitionChangeRecord
from broker.replication.partition import ALL_REPLICAS, Partition

from .node import Node, batch, topic_id


@pytest.fixture
def node() -> Node:
    node = Node()
    node.create(leader_epoch=5)
    return node


@pytest.fixture
def partition(node: Node) -> Partition:
    return node.replicas.find("t", 0)


def code(call: Callable[[], object]) -> ErrorCode:
    with pytest.raises(KafkaError) as caught:
        call()
    return caught.value.code


def change(node: Node, **what: object) -> None:
    node.agree(PartitionChangeRecord(partition_id=0, topic_id=topic_id(1), **what))


def test_the_high_watermark_moves_with_the_log(partition: Partition) -> None:
    assert partition.high_watermark == 0
    partition.append(batch(3), ALL_REPLICAS, 0, NOW)
    assert partition.high_watermark == partition.log.log_end_offset == 3
    partition.append_own(batch(2), ALL_REPLICAS, 0, NOW)
    assert partition.high_watermark == 5


def test_a_larger_isr_holds_the_high_watermark_back() -> None:
    node = Node()
    node.create(replicas=[1, 2], isr=[1, 2])
    partition = node.replicas.find("t", 0)
    partition.append(batch(3), 1, 0, NOW)
    assert partition.high_watermark == 0
    assert partition.read(0, 1000, at_least_one=True) == []
    change(node, isr=[1])
    assert partition.high_watermark == 3


def test_the_high_watermark_never_goes_back(node: Node, partition: Partition) -> None:
    partition.append(batch(3), 1, 0, NOW)
    assert partition.image is not None
    partition.lead(replace(partition.image, partition_epoch=9), 0)
    assert partition.high_watermark == 3


def test_a_checkpoint_beyond_the_log_is_not_believed() -> None:
    node = Node()
    node.logs.high_watermarks = {("t", 0): 17}
    node.create(replicas=[1, 2], isr=[1, 2])
    assert node.replicas.find("t", 0).high_watermark == 0


def test_reading_within_the_log(partition: Partition) -> None:
    partition.append(batch(3), 1, 0, NOW)
    (buffer,) = partition.read(1, 1000, at_least_one=True)
    assert len(buffer) > 0
    assert partition.read(3, 1000, at_least_one=True) == []
    for offset in (-1, 4):
        assert code(lambda offset=offset: partition.read(offset, 1000, at_least_one=True)) is ErrorCode.OFFSET_OUT_OF_RANGE  # type: ignore[misc]


def test_reading_below_the_start(node: Node, partition: Partition) -> None:
    partition.append(batch(3), 1, 0, NOW)
    node.set("retention.ms", "1")
    node.settle(10_000)
    node.replicas.apply_retention()
    assert code(lambda: partition.read(0, 1000, at_least_one=True)) is ErrorCode.OFFSET_OUT_OF_RANGE
    assert partition.read(3, 1000, at_least_one=True) == []


@pytest.mark.parametrize(
    ("claimed", "expected"),
    [(-1, None), (5, None), (4, ErrorCode.FENCED_LEADER_EPOCH), (6, ErrorCode.UNKNOWN_LEADER_EPOCH)],
)
def test_a_claimed_leader_epoch(partition: Partition, claimed: int, expected: ErrorCode | None) -> None:
    if expected is None:
        partition.leading(claimed)
    else:
        assert code(lambda: partition.leading(claimed)) is expected


def test_who_does_not_lead_refuses(node: Node, partition: Partition) -> None:
    change(node, leader=-1)
    assert not partition.is_leader
    refused = [
        code(lambda: partition.append(batch(), 1, 0, NOW)),
        code(lambda: partition.append_own(batch(), ALL_REPLICAS, 0, NOW)),
        code(lambda: partition.leading(-1)),
    ]
    assert refused == [ErrorCode.NOT_LEADER_OR_FOLLOWER] * 3


def test_too_small_an_isr_refuses_acks_all_alone() -> None:
    node = Node(min_insync_replicas="2")
    node.create(replicas=[1, 2], isr=[1])
    partition = node.replicas.find("t", 0)
    with pytest.raises(KafkaError, match=r"the ISR \[1\] is smaller than min\.insync\.replicas=2") as caught:
        partition.append(batch(), ALL_REPLICAS, 0, NOW)
    assert caught.value.code is ErrorCode.NOT_ENOUGH_REPLICAS
    assert partition.log.log_end_offset == 0
    assert partition.append(batch(), 1, 0, NOW).first_offset == 0
    assert partition.append(batch(), 0, 0, NOW).first_offset == 1
    assert partition.high_watermark == 0, "under the minimum nothing is committed"


def test_the_topics_min_insync_replicas_counts() -> None:
    node = Node()
    node.create(replicas=[1, 2], isr=[1])
    partition = node.replicas.find("t", 0)
    node.replicas.append(partition, batch(), ALL_REPLICAS)
    node.set("min.insync.replicas", "2")
    assert code(lambda: node.replicas.append(partition, batch(), ALL_REPLICAS)) is ErrorCode.NOT_ENOUGH_REPLICAS


def test_a_topic_of_one_replica_needs_no_more_than_that(node: Node, partition: Partition) -> None:
    """``Partition.effectiveMinIsr``"""
    node.set("min.insync.replicas", "2")
    assert node.replicas.append(partition, batch(), ALL_REPLICAS).first_offset == 0
    assert partition.high_watermark == 1


def test_batches_carry_the_leader_epoch(node: Node, partition: Partition) -> None:
    partition.append(batch(), 1, 0, NOW)
    change(node, leader=1)
    partition.append(batch(), 1, 0, NOW)
    assert partition.log.epochs.entries == [(5, 0), (6, 1)]


def test_a_duplicate_moves_nothing(partition: Partition) -> None:
    first = partition.append(batch(2, producer_id=1, producer_epoch=0, base_sequence=0), 1, 0, NOW)
    again = partition.append(batch(2, producer_id=1, producer_epoch=0, base_sequence=0), 1, 0, NOW)
    assert (again.first_offset, again.duplicate) == (first.first_offset, True)
    assert partition.high_watermark == 2
