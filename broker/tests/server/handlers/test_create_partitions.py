"""CreatePartitions through its handler."""

import pytest
from broker.protocol.messages.create_partitions import CreatePartitionsRequest, CreatePartitionsTopic

from ..world import Node, codes


@pytest.mark.parametrize("version", range(4))
def test_every_version(node: Node, version: int) -> None:
    node.topic("t")
    topics = [CreatePartitionsTopic(name=name, count=3, assignments=None) for name in ("t", "none")]
    response = node.ask(CreatePartitionsRequest(topics=topics, timeout_ms=1000), version)
    assert codes(response.results) == ["NONE", "UNKNOWN_TOPIC_OR_PARTITION"]
    assert node.produce("t", b"a", index=2) == 0
