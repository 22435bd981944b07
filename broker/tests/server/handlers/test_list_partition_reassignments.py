"""ListPartitionReassignments: nothing moves."""

from broker.protocol.messages.list_partition_reassignments import (
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsTopics,
)

from ..world import Node


def test_nothing_moves(node: Node) -> None:
    node.topic("t")
    for topics in (None, [ListPartitionReassignmentsTopics(name="t", partition_indexes=[0])]):
        response = node.ask(ListPartitionReassignmentsRequest(topics=topics))
        assert (response.error_code, response.topics) == (0, [])
