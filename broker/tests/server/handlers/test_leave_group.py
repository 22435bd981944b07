"""LeaveGroup over its versions: one member, or many with an answer each."""

import pytest
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.leave_group import LeaveGroupRequest, MemberIdentity

from ..world import Node, codes
from .members import join, stable, sync
from .test_find_coordinator import ready

__all__ = ["ready"]


@pytest.mark.parametrize("version", [0, 1, 2])
def test_one_member(ready: Node, version: int) -> None:
    joined = stable(ready)
    for member_id, code in [("stranger", "UNKNOWN_MEMBER_ID"), ("", "UNKNOWN_MEMBER_ID"), (joined.member_id, "NONE")]:
        response = ready.ask(LeaveGroupRequest(group_id="g", member_id=member_id), version)
        assert ErrorCode(response.error_code).name == code
    assert ready.ask(LeaveGroupRequest(group_id="none", member_id="m"), version).error_code == ErrorCode.UNKNOWN_MEMBER_ID


@pytest.mark.parametrize("version", [3, 4, 5])
def test_many_members(ready: Node, version: int) -> None:
    joined = join(ready, instance="i1")
    sync(ready, joined)
    members = [
        MemberIdentity(member_id="stranger"),
        MemberIdentity(member_id="stranger", group_instance_id="i1"),
        MemberIdentity(member_id="", group_instance_id="i2"),
        MemberIdentity(member_id="", group_instance_id="i1"),
    ]
    response = ready.ask(LeaveGroupRequest(group_id="g", members=members), version)
    assert response.error_code == 0
    assert codes(response.members) == ["UNKNOWN_MEMBER_ID", "FENCED_INSTANCE_ID", "UNKNOWN_MEMBER_ID", "NONE"]
    assert [one.group_instance_id for one in response.members] == [None, "i1", "i2", "i1"]
    assert ready.ask(LeaveGroupRequest(group_id="g", members=[]), version).members == []


def test_without_the_offsets_topic(node: Node) -> None:
    assert node.ask(LeaveGroupRequest(group_id="g", members=[])).error_code == ErrorCode.NOT_COORDINATOR
