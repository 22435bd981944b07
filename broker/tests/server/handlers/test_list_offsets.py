"""ListOffsets: start, end, newest, by time; the values of tiered storage as a broker without it answers them."""

from dataclasses import replace

import pytest
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic

from ..world import Node, codes

LATEST, EARLIEST, MAX_TIMESTAMP, EARLIEST_LOCAL, LATEST_TIERED, EARLIEST_PENDING = -1, -2, -3, -4, -5, -6


def request(*timestamps: int, topic: str = "t", epoch: int = -1, index: int = 0) -> ListOffsetsRequest:
    partitions = [
        ListOffsetsPartition(partition_index=index + number, timestamp=timestamp, current_leader_epoch=epoch)
        for number, timestamp in enumerate(timestamps)
    ]
    return ListOffsetsRequest(topics=[ListOffsetsTopic(name=topic, partitions=partitions)])


def found(node: Node, timestamp: int, version: int = 11) -> tuple[int, int, int]:
    """(timestamp, offset, leader epoch)"""
    (answer,) = node.ask(request(timestamp), version).topics[0].partitions
    assert answer.error_code == ErrorCode.NONE
    return answer.timestamp, answer.offset, answer.leader_epoch


@pytest.fixture
def filled(node: Node) -> Node:
    """Records at 1000, 1001, 5000, 3000."""
    node.topic("t")
    node.produce("t", b"a", b"b", timestamp=1000)
    node.produce("t", b"c", timestamp=5000)
    node.produce("t", b"d", timestamp=3000)
    return node


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        (LATEST, (-1, 4, 0)),
        (EARLIEST, (-1, 0, 0)),
        (EARLIEST_LOCAL, (-1, 0, 0)),
        (MAX_TIMESTAMP, (5000, 2, 0)),
        (LATEST_TIERED, (-1, -1, -1)),
        (EARLIEST_PENDING, (-1, -1, -1)),
        (0, (1000, 0, 0)),
        (1001, (1001, 1, 0)),
        (1002, (5000, 2, 0)),
        (5000, (5000, 2, 0)),
        (5001, (-1, -1, -1)),
    ],
)
def test_offsets(filled: Node, timestamp: int, expected: tuple[int, int, int]) -> None:
    assert found(filled, timestamp) == expected


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [(LATEST, (-1, 0, 0)), (EARLIEST, (-1, 0, 0)), (MAX_TIMESTAMP, (-1, -1, -1)), (0, (-1, -1, -1))],
)
def test_an_empty_log(node: Node, timestamp: int, expected: tuple[int, int, int]) -> None:
    node.topic("t")
    assert found(node, timestamp) == expected


@pytest.mark.parametrize("version", range(1, 12))
def test_every_version(filled: Node, version: int) -> None:
    assert found(filled, LATEST, version) == (-1, 4, 0 if version >= 4 else -1)
    assert found(filled, 1001, version) == (1001, 1, 0 if version >= 4 else -1)


@pytest.mark.parametrize(
    ("timestamp", "since"), [(MAX_TIMESTAMP, 7), (EARLIEST_LOCAL, 8), (LATEST_TIERED, 9), (EARLIEST_PENDING, 11), (-7, 99)]
)
def test_special_times_belong_to_versions(filled: Node, timestamp: int, since: int) -> None:
    for version in range(1, 12):
        (answer,) = filled.ask(request(timestamp), version).topics[0].partitions
        assert answer.error_code == (ErrorCode.NONE if version >= since else ErrorCode.UNSUPPORTED_VERSION), version


def test_what_does_not_exist_or_is_asked_twice(filled: Node) -> None:
    assert codes(filled.ask(request(LATEST, LATEST)).topics[0].partitions) == ["NONE", "UNKNOWN_TOPIC_OR_PARTITION"]
    assert codes(filled.ask(request(LATEST, topic="none")).topics[0].partitions) == ["UNKNOWN_TOPIC_OR_PARTITION"]
    twice = request(LATEST)
    twice.topics[0].partitions *= 2
    assert codes(filled.ask(twice).topics[0].partitions) == ["INVALID_REQUEST", "INVALID_REQUEST"]


def test_the_leader_epoch_is_checked(filled: Node) -> None:
    partition = filled.partition("t")
    assert partition.image is not None
    partition.image = replace(partition.image, leader_epoch=3)
    for epoch, code in [(2, "FENCED_LEADER_EPOCH"), (3, "NONE"), (4, "UNKNOWN_LEADER_EPOCH"), (-1, "NONE")]:
        assert codes(filled.ask(request(LATEST, epoch=epoch)).topics[0].partitions) == [code]


def test_after_the_start_of_the_log_was_removed(filled: Node) -> None:
    filled.partition("t").log.log_start_offset = 2
    assert found(filled, EARLIEST) == (-1, 2, 0)
    assert found(filled, 0) == (5000, 2, 0)


@pytest.mark.parametrize(
    ("timestamp", "version", "expected"),
    [
        (LATEST, 11, ErrorCode.OFFSET_NOT_AVAILABLE),
        (LATEST, 5, ErrorCode.OFFSET_NOT_AVAILABLE),
        (LATEST, 4, ErrorCode.LEADER_NOT_AVAILABLE),
        (MAX_TIMESTAMP, 11, ErrorCode.OFFSET_NOT_AVAILABLE),
        (1002, 11, ErrorCode.OFFSET_NOT_AVAILABLE),
        (1000, 11, ErrorCode.NONE),
        (EARLIEST, 11, ErrorCode.NONE),
        (EARLIEST_LOCAL, 11, ErrorCode.NONE),
    ],
)
def test_a_new_leader_tells_no_end_before_that_of_the_former_one(
    filled: Node, timestamp: int, version: int, expected: ErrorCode
) -> None:
    """It has the records, and will find out that they were committed (KIP-207)."""
    partition = filled.partition("t")
    assert partition.leader is not None
    partition.leader.epoch_start_offset, partition.high_watermark = 4, 2
    (answer,) = filled.ask(request(timestamp), version).topics[0].partitions
    assert answer.error_code == expected
    partition.leader.epoch_start_offset = 2
    (answer,) = filled.ask(request(timestamp), version).topics[0].partitions
    assert answer.error_code == ErrorCode.NONE
    assert answer.offset <= 2


def test_what_is_not_committed_is_not_the_newest(filled: Node) -> None:
    filled.partition("t").high_watermark = 2
    assert found(filled, MAX_TIMESTAMP) == (-1, -1, -1)
