"""DeleteTopics through its handler: by name and by id, with everything that knew the topic."""

import pytest
from broker.protocol.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState

from ..world import Node, codes


@pytest.mark.parametrize("version", range(1, 7))
def test_every_version(node: Node, version: int) -> None:
    node.topic("t")
    node.produce("t", b"a")
    request = DeleteTopicsRequest(timeout_ms=1000)
    if version >= 6:
        request.topics = [DeleteTopicState(name="t"), DeleteTopicState(name="none")]
    else:
        request.topic_names = ["t", "none"]
    response = node.ask(request, version)
    assert codes(response.responses) == ["NONE", "UNKNOWN_TOPIC_OR_PARTITION"]
    assert "t" not in node.services.metadata.image.topics
    assert ("t", 0) not in node.services.replicas.partitions
    node.topic("t")
    assert node.partition("t").log.log_end_offset == 0


def test_by_id(node: Node) -> None:
    node.topic("t")
    response = node.ask(DeleteTopicsRequest(topics=[DeleteTopicState(name=None, topic_id=node.topic_id("t"))], timeout_ms=1000))
    assert [(one.name, one.error_code) for one in response.responses] == [("t", 0)]
