"""Groups as their coordinators know them: listing and describing."""

from collections.abc import Iterable
from typing import NamedTuple

from broker.cli.cluster import Cluster, Node
from broker.cli.failures import check
from broker.cli.group_offsets import asking_coordinator
from broker.cli.offsets import TopicPartition
from broker.client.consumer_protocol import PROTOCOL_TYPE, decode_assignment
from broker.protocol.codec import MalformedMessage
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.describe_groups import DescribedGroup, DescribeGroupsRequest, DescribeGroupsResponse
from broker.protocol.messages.list_groups import ListedGroup, ListGroupsRequest, ListGroupsResponse

CLASSIC, CONSUMER = "Classic", "Consumer"
EMPTY, DEAD, STABLE = "Empty", "Dead", "Stable"
STATES = ("PreparingRebalance", "CompletingRebalance", STABLE, DEAD, EMPTY, "Assigning", "Reconciling")
# Groups that only commit have no protocol type.
CONSUMER_PROTOCOL_TYPES = frozenset({"", PROTOCOL_TYPE})


class GroupMember(NamedTuple):
    """A member and what it was assigned."""

    member_id: str
    instance_id: str
    client_id: str
    host: str
    partitions: list[TopicPartition]


class Group(NamedTuple):
    """A classic group. `protocol` is the assignor, empty when there is none."""

    group_id: str
    state: str
    protocol: str
    coordinator: Node
    members: list[GroupMember]


def list_groups(cluster: Cluster, states: Iterable[str] = (), types: Iterable[str] = ()) -> list[ListedGroup]:
    """The consumer groups of all brokers, by id."""
    found = {}
    for node_id in cluster.node_ids():
        request = ListGroupsRequest(states_filter=list(states), types_filter=list(types) or [CLASSIC, CONSUMER])
        response = cluster.node(node_id).ask(request, ListGroupsResponse)
        check(response.error_code, f"groups of broker {node_id}")
        for group in response.groups:
            if group.protocol_type in CONSUMER_PROTOCOL_TYPES:
                found[group.group_id] = group
    return [found[group_id] for group_id in sorted(found)]


def describe_group(cluster: Cluster, group_id: str) -> Group:
    """KafkaError GROUP_ID_NOT_FOUND when there is none."""
    found = asking_coordinator(cluster, group_id, lambda: _describe(cluster, group_id))
    if found.group_state == DEAD and not found.members:
        raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND, f"group '{group_id}' does not exist; --list shows those that do")
    members = [
        GroupMember(
            member.member_id,
            member.group_instance_id or "",
            member.client_id,
            member.client_host,
            _assignment(member.member_assignment),
        )
        for member in found.members
    ]
    return Group(group_id, found.group_state, found.protocol_data, cluster.coordinator_node(group_id), members)


def _describe(cluster: Cluster, group_id: str) -> DescribedGroup:
    response = cluster.coordinator(group_id).ask(DescribeGroupsRequest(groups=[group_id]), DescribeGroupsResponse)
    found = response.groups[0]
    if found.error_code == ErrorCode.GROUP_ID_NOT_FOUND:
        text = f"group '{group_id}' does not exist; --list shows those that do"
        raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND, text)
    check(found.error_code, f"group '{group_id}'", found.error_message)
    return found


def _assignment(data: bytes) -> list[TopicPartition]:
    """Nothing for bytes of another protocol."""
    try:
        return decode_assignment(data)
    except MalformedMessage:
        return []
