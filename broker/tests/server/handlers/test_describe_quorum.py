"""DescribeQuorum: the leader, the voters and how far they are."""

import pytest
from broker.protocol.messages.describe_quorum import DescribeQuorumRequest, PartitionData, TopicData

from ..world import Node, codes


def request(topic: str = "__cluster_metadata", index: int = 0) -> DescribeQuorumRequest:
    return DescribeQuorumRequest(topics=[TopicData(topic_name=topic, partitions=[PartitionData(partition_index=index)])])


@pytest.mark.parametrize("listener", ["PLAINTEXT", "CONTROLLER"])
@pytest.mark.parametrize("version", [0, 1, 2])
def test_every_version(node: Node, version: int, listener: str) -> None:
    response = node.ask(request(), version, listener=listener)
    (quorum,) = response.topics[0].partitions
    end = node.broker.driver.log.log_end_offset
    assert (quorum.error_code, quorum.leader_id, quorum.leader_epoch, quorum.high_watermark) == (0, 1, 1, end)
    (voter,) = quorum.current_voters
    assert (voter.replica_id, voter.log_end_offset) == (1, end)
    now = node.clock.wall_ms()
    assert (voter.last_fetch_timestamp, voter.last_caught_up_timestamp) == ((now, now) if version >= 1 else (-1, -1))
    assert quorum.observers == []
    told = [(one.node_id, [(at.name, at.host, at.port) for at in one.listeners]) for one in response.nodes]
    assert told == ([(1, [("CONTROLLER", "127.0.0.1", 9093)])] if version >= 2 else [])


@pytest.mark.parametrize(("topic", "index"), [("__cluster_metadata", 1), ("t", 0)])
def test_there_is_one_quorum(node: Node, topic: str, index: int) -> None:
    node.topic("t")
    answers = node.ask(request(topic, index)).topics[0].partitions
    assert codes(answers) == ["UNKNOWN_TOPIC_OR_PARTITION"]
