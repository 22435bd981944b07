"""EndQuorumEpoch: nobody else ends this node's term of office."""

import pytest
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.end_quorum_epoch import EndQuorumEpochRequest, PartitionData, TopicData

from ..world import Node


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize(("leader", "code"), [(2, ErrorCode.INCONSISTENT_VOTER_SET), (1, ErrorCode.INVALID_REQUEST)])
def test_a_leader_is_ended_by_itself_alone(node: Node, leader: int, code: ErrorCode, version: int) -> None:
    data = PartitionData(leader_id=leader, leader_epoch=1)
    request = EndQuorumEpochRequest(topics=[TopicData(topic_name="__cluster_metadata", partitions=[data])])
    (answer,) = node.ask(request, version, listener="CONTROLLER").topics[0].partitions
    assert (answer.error_code, answer.leader_id, answer.leader_epoch) == (code, 1, 1)
    assert node.broker.driver.is_leader
