"""OffsetForLeaderEpoch: where an epoch ends."""

from dataclasses import replace

import pytest
from broker.protocol.messages.offset_for_leader_epoch import (
    OffsetForLeaderEpochRequest,
    OffsetForLeaderPartition,
    OffsetForLeaderTopic,
)

from ..world import Node, codes


def request(epoch: int, *, current: int = -1, topic: str = "t") -> OffsetForLeaderEpochRequest:
    partition = OffsetForLeaderPartition(partition=0, leader_epoch=epoch, current_leader_epoch=current)
    return OffsetForLeaderEpochRequest(topics=[OffsetForLeaderTopic(topic=topic, partitions=[partition])])


@pytest.fixture
def filled(node: Node) -> Node:
    """Epoch 0 holds the offsets 0-1, epoch 3 holds 2-4."""
    node.topic("t")
    node.produce("t", b"a", b"b")
    partition = node.partition("t")
    assert partition.image is not None
    partition.lead(replace(partition.image, leader_epoch=3), 0)
    node.produce("t", b"c", b"d", b"e")
    return node


@pytest.mark.parametrize("version", [2, 3, 4])
@pytest.mark.parametrize(
    ("epoch", "expected"), [(0, (0, 2)), (1, (0, 2)), (2, (0, 2)), (3, (3, 5)), (4, (-1, -1)), (-1, (-1, -1))]
)
def test_where_an_epoch_ends(filled: Node, version: int, epoch: int, expected: tuple[int, int]) -> None:
    (answer,) = filled.ask(request(epoch), version).topics[0].partitions
    assert (answer.leader_epoch, answer.end_offset) == expected


@pytest.mark.parametrize(
    ("current", "code"), [(-1, "NONE"), (3, "NONE"), (2, "FENCED_LEADER_EPOCH"), (4, "UNKNOWN_LEADER_EPOCH")]
)
def test_the_epoch_of_the_reader(filled: Node, current: int, code: str) -> None:
    answers = filled.ask(request(3, current=current)).topics[0].partitions
    assert codes(answers) == [code]
    assert (answers[0].end_offset == -1) == (code != "NONE")


def test_what_does_not_exist(node: Node) -> None:
    assert codes(node.ask(request(0, topic="none")).topics[0].partitions) == ["UNKNOWN_TOPIC_OR_PARTITION"]
