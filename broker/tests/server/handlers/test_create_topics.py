"""CreateTopics through its handler: over its versions, answered when it is committed. What is decided is the controller's."""

import pytest
from broker.protocol.messages.create_topics import CreatableTopic, CreatableTopicConfig, CreateTopicsRequest

from ..world import Node, codes


def request(*names: str, partitions: int = 2, validate_only: bool = False) -> CreateTopicsRequest:
    configs = [CreatableTopicConfig(name="retention.ms", value="1000")]
    topics = [CreatableTopic(name=name, num_partitions=partitions, replication_factor=1, configs=configs) for name in names]
    return CreateTopicsRequest(topics=topics, timeout_ms=1000, validate_only=validate_only)


@pytest.mark.parametrize("listener", ["PLAINTEXT", "CONTROLLER"])
@pytest.mark.parametrize("version", range(2, 8))
def test_every_version(node: Node, version: int, listener: str) -> None:
    asked = node.send(request("t", "bad name"), version, listener=listener)
    # It is on the disk before it is said.
    assert asked.answers == []
    node.until(lambda: bool(asked.answers))
    made, refused = asked.answers[0].topics  # type: ignore[attr-defined]
    assert codes([made, refused]) == ["NONE", "INVALID_TOPIC_EXCEPTION"]
    assert refused.error_message
    assert len(node.services.metadata.image.topics["t"].partitions) == 2
    assert node.partition("t", 1).log.log_end_offset == 0
    if version >= 5:
        assert (made.num_partitions, made.replication_factor) == (2, 1)
        assert {one.name: one.value for one in made.configs}["retention.ms"] == "1000"
    if version >= 7:
        assert made.topic_id == node.topic_id("t")


def test_only_asked_whether_it_could(node: Node) -> None:
    assert codes(node.ask(request("t", validate_only=True)).topics) == ["NONE"]
    assert "t" not in node.services.metadata.image.topics
