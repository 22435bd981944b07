"""JoinGroup over its versions: what each can say, and who the member is."""

import pytest
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.describe_groups import DescribeGroupsRequest

from ..world import Node
from .members import SUBSCRIPTION, join, join_request, stable, waiting
from .test_find_coordinator import ready

__all__ = ["ready"]


@pytest.mark.parametrize("version", range(10))
def test_every_version(ready: Node, version: int) -> None:
    first = ready.ask(join_request(version=version), version)
    if version >= 4:
        assert first.error_code == ErrorCode.MEMBER_ID_REQUIRED
        # Before version 7 a name cannot be null.
        assert first.protocol_name == (None if version >= 7 else "")
        first = ready.ask(join_request(first.member_id, version=version), version)
    assert (first.error_code, first.generation_id, first.protocol_name) == (0, 1, "range")
    assert first.leader == first.member_id
    assert [(one.member_id, one.metadata) for one in first.members] == [(first.member_id, SUBSCRIPTION)]
    assert first.protocol_type == ("consumer" if version >= 7 else None)


def test_the_member_is_named_after_its_client(ready: Node) -> None:
    joined = join(ready)
    assert joined.member_id.startswith("test-")
    (group,) = ready.ask(DescribeGroupsRequest(groups=["g"])).groups
    assert (group.members[0].client_id, group.members[0].client_host) == ("test", "/127.0.0.1")
    assert join(ready, group="h", instance="i1").member_id.startswith("i1-")


def test_a_join_waits_for_the_others(ready: Node) -> None:
    leader = stable(ready)
    asked = waiting(ready)
    again = ready.send(join_request(leader.member_id, version=9), 9)
    ready.pass_time(0)
    assert [len(one.answers) for one in (asked, again)] == [1, 1]
    assert len(again.answers[0].members) == 2  # type: ignore[attr-defined]


def test_a_member_whose_client_went_while_it_waited_stays_for_its_session(ready: Node) -> None:
    """As in Kafka, which cannot tell either: the answer goes nowhere, then the session runs out, and nothing is left."""
    leader = stable(ready)
    asked = waiting(ready)
    assert asked.context.abandon is None
    again = ready.send(join_request(leader.member_id, version=9), 9)
    ready.pass_time(0)
    assert len(again.answers[0].members) == 2  # type: ignore[attr-defined]
    ready.pass_time(61_000)
    (group,) = ready.ask(DescribeGroupsRequest(groups=["g"])).groups
    assert (group.group_state, group.members) == ("Empty", [])


def test_without_the_offsets_topic(node: Node) -> None:
    response = node.ask(join_request(version=9), 9)
    assert (response.error_code, response.member_id) == (ErrorCode.NOT_COORDINATOR, "")
