"""DescribeTopicPartitions: page by page."""

import pytest
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.describe_topic_partitions import Cursor, DescribeTopicPartitionsRequest, TopicRequest
from broker.server.authorized_operations import TOPIC_OPERATIONS

from ..world import Node, codes, running


def request(*names: str, limit: int = 2000, cursor: tuple[str, int] | None = None) -> DescribeTopicPartitionsRequest:
    at = None if cursor is None else Cursor(topic_name=cursor[0], partition_index=cursor[1])
    return DescribeTopicPartitionsRequest(
        topics=[TopicRequest(name=name) for name in names], response_partition_limit=limit, cursor=at
    )


def pages(node: Node, *names: str, limit: int) -> list[list[tuple[str, list[int]]]]:
    found, cursor = [], None
    for _ in range(100):
        response = node.ask(request(*names, limit=limit, cursor=cursor))
        found.append([(topic.name, [one.partition_index for one in topic.partitions]) for topic in response.topics])
        if response.next_cursor is None:
            return found
        cursor = (response.next_cursor.topic_name, response.next_cursor.partition_index)
    raise AssertionError("it never ends")


@pytest.fixture
def topics(node: Node) -> Node:
    for name, count in [("b", 3), ("a", 2), ("c", 1)]:
        node.topic(name, count)
    return node


def test_all_topics_in_order(topics: Node) -> None:
    assert pages(topics, limit=2000) == [[("a", [0, 1]), ("b", [0, 1, 2]), ("c", [0])]]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (1, [[("a", [0])], [("a", [1])], [("b", [0])], [("b", [1])], [("b", [2])], [("c", [0])]]),
        (2, [[("a", [0, 1])], [("b", [0, 1])], [("b", [2]), ("c", [0])]]),
        (4, [[("a", [0, 1]), ("b", [0, 1])], [("b", [2]), ("c", [0])]]),
        (6, [[("a", [0, 1]), ("b", [0, 1, 2]), ("c", [0])]]),
    ],
)
def test_pages(topics: Node, limit: int, expected: list[list[tuple[str, list[int]]]]) -> None:
    assert pages(topics, limit=limit) == expected


def test_named_topics(topics: Node) -> None:
    response = topics.ask(request("c", "none", "a", "bad name", "c"))
    assert [topic.name for topic in response.topics] == ["a", "bad name", "c", "none"]
    assert codes(response.topics) == ["NONE", "INVALID_TOPIC_EXCEPTION", "NONE", "UNKNOWN_TOPIC_OR_PARTITION"]
    partition = response.topics[0].partitions[0]
    assert (partition.leader_id, partition.isr_nodes, partition.eligible_leader_replicas) == (1, [1], [])
    assert response.topics[0].topic_authorized_operations == TOPIC_OPERATIONS
    assert response.topics[0].topic_id == topics.topic_id("a")


def test_a_cursor_outside_what_is_asked_for(topics: Node) -> None:
    for cursor in [("b", 0), ("a", -1)]:
        response = topics.ask(request("a", "c", cursor=cursor))
        assert set(codes(response.topics)) == {ErrorCode.INVALID_REQUEST.name}
    # A topic that went since the last page: the next one goes on.
    assert [topic.name for topic in topics.ask(request(cursor=("aa", 0))).topics] == ["b", "c"]


def test_the_broker_bounds_a_page() -> None:
    with running(max_request_partition_size_limit="2") as node:
        node.topic("t", 3)
        assert pages(node, limit=2000) == [[("t", [0, 1])], [("t", [2])]]
