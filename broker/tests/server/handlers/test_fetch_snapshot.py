"""FetchSnapshot: pieces of the snapshots that are there."""

import pytest
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.fetch_snapshot import (
    FetchSnapshotRequest,
    PartitionSnapshot,
    ResponsePartitionSnapshot,
    SnapshotId,
    TopicSnapshot,
)
from broker.raft.messages import EpochEnd

from ..world import Node

CONTENT = b"a snapshot of a few bytes"
SNAPSHOT = EpochEnd(1, 5)


@pytest.fixture
def holding(node: Node) -> Node:
    """A node with a snapshot."""
    store = node.broker.driver.quorum_log.snapshots
    file = store.begin(SNAPSHOT)
    file.append([CONTENT])
    store.finish(SNAPSHOT, file, lambda error: None)
    node.clock.run_until(node.clock.now_ms + 100)
    return node


def ask(
    node: Node, version: int = 1, *, epoch: int = 1, end: int = 5, position: int = 0, size: int = 1000
) -> ResponsePartitionSnapshot:
    data = PartitionSnapshot(current_leader_epoch=epoch, snapshot_id=SnapshotId(end_offset=end, epoch=1), position=position)
    request = FetchSnapshotRequest(max_bytes=size, topics=[TopicSnapshot(name="__cluster_metadata", partitions=[data])])
    answer: ResponsePartitionSnapshot = node.ask(request, version, listener="CONTROLLER").topics[0].partitions[0]
    return answer


@pytest.mark.parametrize("version", [0, 1])
def test_pieces(holding: Node, version: int) -> None:
    first = ask(holding, version, size=10)
    assert (first.error_code, first.size, first.position, bytes(first.unaligned_records or b"")) == (0, 25, 0, CONTENT[:10])
    rest = ask(holding, version, position=10)
    assert bytes(rest.unaligned_records or b"") == CONTENT[10:]
    assert (rest.current_leader.leader_id, rest.current_leader.leader_epoch) == (1, 1)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"end": 6}, ErrorCode.SNAPSHOT_NOT_FOUND),
        ({"position": 25}, ErrorCode.POSITION_OUT_OF_RANGE),
        ({"position": -1}, ErrorCode.POSITION_OUT_OF_RANGE),
        ({"epoch": 0}, ErrorCode.FENCED_LEADER_EPOCH),
        ({"epoch": 2}, ErrorCode.UNKNOWN_LEADER_EPOCH),
    ],
)
def test_what_is_not_there(holding: Node, wrong: dict[str, int], code: ErrorCode) -> None:
    assert ask(holding, **wrong).error_code == code


def test_one_partition_is_expected(node: Node) -> None:
    assert node.ask(FetchSnapshotRequest(), listener="CONTROLLER").error_code == ErrorCode.INVALID_REQUEST
