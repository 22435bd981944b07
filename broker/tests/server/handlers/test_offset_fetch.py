"""OffsetFetch: of one group and of many, of some partitions and of all, by name and by id."""

import uuid
from typing import Any

import pytest
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopic,
    OffsetFetchRequestTopics,
)

from ..world import Node
from .test_find_coordinator import ready
from .test_offset_commit import request as commit

__all__ = ["ready"]


@pytest.fixture
def filled(ready: Node) -> Node:
    """Group g: t-0 at 10, t-1 at 11, u-0 at 10; group h: t-0 at 10."""
    ready.topic("t", 3)
    ready.topic("u")
    ready.ask(commit({"t": [0, 1], "u": [0]}), 9)
    ready.ask(commit({"t": [0]}, group="h"), 9)
    return ready


def offsets(topics: Any) -> dict[tuple[Any, int], int]:
    return {
        (topic.name or topic.topic_id, one.partition_index): one.committed_offset for topic in topics for one in topic.partitions
    }


@pytest.mark.parametrize("version", range(1, 8))
def test_one_group(filled: Node, version: int) -> None:
    topics = [
        OffsetFetchRequestTopic(name="t", partition_indexes=[0, 2]),
        OffsetFetchRequestTopic(name="no", partition_indexes=[0]),
    ]
    response = filled.ask(OffsetFetchRequest(group_id="g", topics=topics), version)
    assert response.error_code == 0
    assert offsets(response.topics) == {("t", 0): 10, ("t", 2): -1, ("no", 0): -1}
    one = response.topics[0].partitions[0]
    assert (one.metadata, one.error_code, one.committed_leader_epoch) == ("", 0, -1)
    none = filled.ask(OffsetFetchRequest(group_id="nobody", topics=topics), version)
    assert set(offsets(none.topics).values()) == {-1}


@pytest.mark.parametrize("version", range(2, 8))
def test_null_means_all(filled: Node, version: int) -> None:
    response = filled.ask(OffsetFetchRequest(group_id="g", topics=None), version)
    assert offsets(response.topics) == {("t", 0): 10, ("t", 1): 11, ("u", 0): 10}
    assert filled.ask(OffsetFetchRequest(group_id="nobody", topics=None), version).topics == []


@pytest.mark.parametrize("stable", [False, True])
@pytest.mark.parametrize("version", [8, 9])
def test_many_groups(filled: Node, version: int, stable: bool) -> None:
    groups = [
        OffsetFetchRequestGroup(group_id="g", topics=None),
        OffsetFetchRequestGroup(group_id="h", topics=[OffsetFetchRequestTopics(name="t", partition_indexes=[0, 1])]),
        OffsetFetchRequestGroup(group_id="nobody", topics=None),
        OffsetFetchRequestGroup(group_id="g", topics=[]),
    ]
    response = filled.ask(OffsetFetchRequest(groups=groups, require_stable=stable), version)
    assert [one.group_id for one in response.groups] == ["g", "h", "nobody", "g"]
    assert [offsets(one.topics) for one in response.groups] == [
        {("t", 0): 10, ("t", 1): 11, ("u", 0): 10},
        {("t", 0): 10, ("t", 1): -1},
        {},
        {},
    ]


def test_by_id(filled: Node) -> None:
    known, unknown = filled.topic_id("t"), uuid.UUID(int=8)
    topics = [OffsetFetchRequestTopics(topic_id=topic_id, partition_indexes=[0]) for topic_id in (unknown, known)]
    groups = [OffsetFetchRequestGroup(group_id="g", topics=topics), OffsetFetchRequestGroup(group_id="g", topics=None)]
    some, everything = filled.ask(OffsetFetchRequest(groups=groups), 10).groups
    assert offsets(some.topics) == {(known, 0): 10, (unknown, 0): -1}
    assert [one.partitions[0].error_code for one in some.topics] == [0, ErrorCode.UNKNOWN_TOPIC_ID]
    assert offsets(everything.topics) == {(known, 0): 10, (known, 1): 11, (filled.topic_id("u"), 0): 10}


def test_offsets_of_a_topic_made_anew_are_not_those_of_the_old_one(filled: Node) -> None:
    from broker.protocol.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState

    filled.ask(DeleteTopicsRequest(topics=[DeleteTopicState(name="t")], timeout_ms=1000))
    filled.until(lambda: "t" not in filled.services.metadata.image.topics)
    filled.topic("t")
    group = OffsetFetchRequestGroup(group_id="g", topics=None)
    assert offsets(filled.ask(OffsetFetchRequest(groups=[group]), 9).groups[0].topics) == {("u", 0): 10}


def test_without_the_offsets_topic(node: Node) -> None:
    topics = [OffsetFetchRequestTopic(name="t", partition_indexes=[0, 1])]
    first = node.ask(OffsetFetchRequest(group_id="g", topics=topics), 1)
    # Version 1 has no error of its own.
    assert [one.error_code for one in first.topics[0].partitions] == [ErrorCode.NOT_COORDINATOR] * 2
    second = node.ask(OffsetFetchRequest(group_id="g", topics=topics), 2)
    assert (second.error_code, second.topics) == (ErrorCode.NOT_COORDINATOR, [])
    groups = [OffsetFetchRequestGroup(group_id="g", topics=None)]
    assert node.ask(OffsetFetchRequest(groups=groups), 8).groups[0].error_code == ErrorCode.NOT_COORDINATOR
