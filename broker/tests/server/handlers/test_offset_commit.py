"""OffsetCommit: partitions that do not exist are answered here, the others by the coordinator."""

import uuid
from typing import Any

import pytest
from broker.protocol.messages.offset_commit import OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic
from broker.protocol.messages.offset_fetch import OffsetFetchRequestGroup

from ..world import Node
from .test_find_coordinator import ready

__all__ = ["ready"]


def request(topics: dict[Any, list[int]], group: str = "g", **options: Any) -> OffsetCommitRequest:
    """Topics by name or id, each with its partitions; the offset is 10 + the partition."""
    named = [
        OffsetCommitRequestTopic(
            name=topic if isinstance(topic, str) else "",
            topic_id=topic if isinstance(topic, uuid.UUID) else uuid.UUID(int=0),
            partitions=[
                OffsetCommitRequestPartition(partition_index=index, committed_offset=10 + index, committed_metadata=None)
                for index in indexes
            ],
        )
        for topic, indexes in topics.items()
    ]
    return OffsetCommitRequest(group_id=group, topics=named, **options)


def told(response: Any) -> dict[tuple[Any, int], str]:
    from broker.protocol.errors import ErrorCode

    return {
        (topic.name or topic.topic_id, one.partition_index): ErrorCode(one.error_code).name
        for topic in response.topics
        for one in topic.partitions
    }


def kept(node: Node, group: str = "g") -> dict[tuple[str, int], int]:
    found = node.services.groups.offset_fetch(OffsetFetchRequestGroup(group_id=group, topics=None))
    return {(topic.name, one.partition_index): one.committed_offset for topic in found.topics for one in topic.partitions}


@pytest.mark.parametrize("version", range(2, 10))
def test_what_exists_is_kept(ready: Node, version: int) -> None:
    ready.topic("t", 2)
    response = ready.ask(request({"t": [0, 1, 2], "none": [0]}), version)
    assert told(response) == {
        ("t", 0): "NONE",
        ("t", 1): "NONE",
        ("t", 2): "UNKNOWN_TOPIC_OR_PARTITION",
        ("none", 0): "UNKNOWN_TOPIC_OR_PARTITION",
    }
    # One entry a topic, as clients expect it.
    assert sorted(topic.name for topic in response.topics) == ["none", "t"]
    assert kept(ready) == {("t", 0): 10, ("t", 1): 11}


def test_by_id(ready: Node) -> None:
    ready.topic("t")
    known, unknown = ready.topic_id("t"), uuid.UUID(int=5)
    response = ready.ask(request({known: [0, 7], unknown: [0]}), 10)
    assert told(response) == {(known, 0): "NONE", (known, 7): "UNKNOWN_TOPIC_OR_PARTITION", (unknown, 0): "UNKNOWN_TOPIC_ID"}
    assert kept(ready) == {("t", 0): 10}


def test_nothing_that_exists(ready: Node) -> None:
    assert told(ready.ask(request({"none": [0]}), 9)) == {("none", 0): "UNKNOWN_TOPIC_OR_PARTITION"}
    assert ready.ask(request({}), 9).topics == []


@pytest.mark.parametrize(
    ("options", "version", "code"),
    [
        ({"generation_id_or_member_epoch": 3, "member_id": "m"}, 9, "GROUP_ID_NOT_FOUND"),
        ({"generation_id_or_member_epoch": 3, "member_id": "m"}, 8, "ILLEGAL_GENERATION"),
    ],
)
def test_who_is_no_member(ready: Node, options: dict[str, Any], version: int, code: str) -> None:
    ready.topic("t")
    response = ready.ask(request({"t": [0, 3]}, **options), version)
    assert told(response) == {("t", 0): code, ("t", 3): "UNKNOWN_TOPIC_OR_PARTITION"}
    assert kept(ready) == {}


def test_without_the_offsets_topic(node: Node) -> None:
    node.topic("t")
    assert told(node.ask(request({"t": [0]}), 9)) == {("t", 0): "NOT_COORDINATOR"}


def test_a_commit_that_is_too_large_is_refused(ready: Node) -> None:
    ready.topic("t")
    asked = request({"t": [0]}, group="g" * 30_000)
    asked.topics[0].partitions *= 40
    assert set(told(ready.ask(asked, 9)).values()) == {"UNKNOWN_SERVER_ERROR"}
