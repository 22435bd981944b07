"""OffsetDelete: offsets of topics that the group does not read."""

from broker.protocol.errors import ErrorCode
from broker.protocol.messages.offset_delete import OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic

from ..world import Node, codes
from .members import stable
from .test_find_coordinator import ready
from .test_offset_commit import kept
from .test_offset_commit import request as commit

__all__ = ["ready"]


def request(topics: dict[str, list[int]], group: str = "g") -> OffsetDeleteRequest:
    named = [
        OffsetDeleteRequestTopic(name=name, partitions=[OffsetDeleteRequestPartition(partition_index=index) for index in indexes])
        for name, indexes in topics.items()
    ]
    return OffsetDeleteRequest(group_id=group, topics=named)


def test_topics_are_decided_one_by_one(ready: Node) -> None:
    for topic in ("t", "u"):
        ready.topic(topic, 2)
    joined = stable(ready)
    member = {"generation_id_or_member_epoch": 1, "member_id": joined.member_id}
    ready.ask(commit({"t": [0], "u": [0, 1]}, **member), 9)
    response = ready.ask(request({"t": [0], "u": [0, 5], "none": [0]}))
    assert response.error_code == 0
    assert {topic.name: codes(topic.partitions) for topic in response.topics} == {
        "t": ["GROUP_SUBSCRIBED_TO_TOPIC"],
        "u": ["NONE", "NONE"],
        "none": ["NONE"],
    }
    assert kept(ready) == {("t", 0): 10, ("u", 1): 11}


def test_no_group_no_topic(node: Node) -> None:
    assert node.ask(request({"t": [0]})).error_code == ErrorCode.NOT_COORDINATOR
    node.services.groups.ensure_topic()
    node.until(lambda: "__consumer_offsets" in node.services.metadata.image.topics)
    assert node.ask(request({"t": [0]})).error_code == ErrorCode.GROUP_ID_NOT_FOUND
