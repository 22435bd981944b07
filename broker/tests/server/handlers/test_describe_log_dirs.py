"""DescribeLogDirs: how large every partition is, and how much room there is."""

from typing import Any

import pytest
from broker.protocol.messages.describe_log_dirs import DescribableLogDirTopic, DescribeLogDirsRequest

from ..world import Node, batch


def sizes(response: Any) -> dict[str, dict[int, int]]:
    (directory,) = response.results
    return {topic.name: {one.partition_index: one.partition_size for one in topic.partitions} for topic in directory.topics}


@pytest.mark.parametrize("version", range(1, 6))
def test_everything(node: Node, version: int) -> None:
    node.topic("t", 2)
    node.topic("u")
    node.produce("t", b"a", index=1)
    response = node.ask(DescribeLogDirsRequest(topics=None), version)
    assert sizes(response) == {"t": {0: 0, 1: len(batch(b"a"))}, "u": {0: 0}}
    (directory,) = response.results
    assert (directory.error_code, directory.log_dir) == (0, "/data")
    total, usable = node.services.logs.space()
    assert (directory.total_bytes, directory.usable_bytes) == ((total, usable) if version >= 4 else (-1, -1))


def test_only_what_is_asked_for(node: Node) -> None:
    node.topic("t", 3)
    node.topic("u")
    wanted = [
        DescribableLogDirTopic(topic="t", partitions=[0, 2, 9]),
        DescribableLogDirTopic(topic="none", partitions=[0]),
        DescribableLogDirTopic(topic="u", partitions=[]),
    ]
    assert sizes(node.ask(DescribeLogDirsRequest(topics=wanted))) == {"t": {0: 0, 2: 0}}
    assert sizes(node.ask(DescribeLogDirsRequest(topics=[]))) == {}
