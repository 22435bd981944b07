"""DescribeGroups over its versions."""

import pytest
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.describe_groups import DescribeGroupsRequest
from broker.server.authorized_operations import GROUP_OPERATIONS, NOT_ASKED

from ..world import Node
from .members import SUBSCRIPTION, stable, waiting
from .test_find_coordinator import ready

__all__ = ["ready"]


@pytest.mark.parametrize("version", range(7))
def test_every_version(ready: Node, version: int) -> None:
    joined = stable(ready)
    group, missing = ready.ask(DescribeGroupsRequest(groups=["g", "none"]), version).groups
    assert (group.group_id, group.group_state, group.protocol_type, group.protocol_data) == ("g", "Stable", "consumer", "range")
    (member,) = group.members
    assert (member.member_id, member.client_id, member.client_host) == (joined.member_id, "test", "/127.0.0.1")
    assert (member.member_metadata, member.member_assignment) == (SUBSCRIPTION, b"all")
    # A group that is not there is dead; from version 6 on that is an error.
    assert (missing.group_state, missing.members) == ("Dead", [])
    assert missing.error_code == (ErrorCode.GROUP_ID_NOT_FOUND if version >= 6 else 0)
    assert missing.error_message == ("Group none not found." if version >= 6 else None)


def test_the_longest_id_there_may_be(ready: Node) -> None:
    (missing,) = ready.ask(DescribeGroupsRequest(groups=["g" * 32_767])).groups
    assert len(missing.group_id) == 32_767
    assert missing.error_message == f"Group {'g' * 1000} not found."


def test_a_group_that_is_not_stable_shows_no_metadata(ready: Node) -> None:
    stable(ready)
    waiting(ready)
    (group,) = ready.ask(DescribeGroupsRequest(groups=["g"])).groups
    assert (group.group_state, group.protocol_type, group.protocol_data) == ("PreparingRebalance", "consumer", "")
    assert [one.member_metadata for one in group.members] == [b"", b""]


@pytest.mark.parametrize("version", [3, 6])
def test_operations_are_told_to_who_asks(ready: Node, version: int) -> None:
    stable(ready)
    for wanted, told in [(False, NOT_ASKED), (True, GROUP_OPERATIONS)]:
        request = DescribeGroupsRequest(groups=["g"], include_authorized_operations=wanted)
        assert ready.ask(request, version).groups[0].authorized_operations == told


def test_without_the_offsets_topic(node: Node) -> None:
    (group,) = node.ask(DescribeGroupsRequest(groups=["g"])).groups
    assert group.error_code == ErrorCode.NOT_COORDINATOR
