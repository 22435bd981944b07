"""Vote: who asks is judged by the quorum, on a controller's listener."""

import pytest
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.vote import PartitionData, TopicData, VoteRequest

from ..world import Node


def request(candidate: int = 2, epoch: int = 5, **fields: object) -> VoteRequest:
    ballot = PartitionData(replica_id=candidate, replica_epoch=epoch, last_offset_epoch=4, last_offset=100)
    return VoteRequest(topics=[TopicData(topic_name="__cluster_metadata", partitions=[ballot])], **fields)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_who_is_no_voter_gets_none_and_learns_who_leads(node: Node, version: int) -> None:
    response = node.ask(request(), version, listener="CONTROLLER")
    (answer,) = response.topics[0].partitions
    assert (answer.error_code, answer.vote_granted) == (ErrorCode.INCONSISTENT_VOTER_SET, False)
    assert (answer.leader_id, answer.leader_epoch) == (1, 1)
    told = [(one.node_id, one.host, one.port) for one in response.node_endpoints]
    assert told == ([(1, "127.0.0.1", 9093)] if version >= 1 else [])


def test_another_cluster_and_another_voter_are_refused(node: Node) -> None:
    assert node.ask(request(cluster_id="another"), listener="CONTROLLER").error_code == ErrorCode.INCONSISTENT_CLUSTER_ID
    assert node.ask(request(voter_id=7), listener="CONTROLLER").error_code == ErrorCode.INVALID_VOTER_KEY
    assert node.ask(VoteRequest(), listener="CONTROLLER").error_code == ErrorCode.INVALID_REQUEST
