"""Members of a group over the handlers: joining in the two steps, syncing."""

from typing import Any

from broker.protocol.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol
from broker.protocol.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment

from ..world import Asked, Node

SUBSCRIPTION = b"\0\0\0\0\0\1\0\1t\0\0\0\0"


def join_request(member_id: str = "", *, version: int, group: str = "g", instance: str | None = None) -> JoinGroupRequest:
    request = JoinGroupRequest(
        group_id=group,
        session_timeout_ms=10_000,
        rebalance_timeout_ms=60_000,
        member_id=member_id,
        protocol_type="consumer",
        protocols=[JoinGroupRequestProtocol(name="range", metadata=SUBSCRIPTION)],
    )
    if version >= 5:
        request.group_instance_id = instance
    return request


def join(node: Node, *, version: int = 9, group: str = "g", instance: str | None = None) -> Any:
    """Become the only member: the answer that says so."""
    response = node.ask(join_request(version=version, group=group, instance=instance), version)
    if response.error_code:
        response = node.ask(join_request(response.member_id, version=version, group=group, instance=instance), version)
    return response


def sync(node: Node, joined: Any, *, version: int = 5, group: str = "g", assignment: bytes = b"all") -> Any:
    """Sync as the leader that keeps everything."""
    request = SyncGroupRequest(
        group_id=group,
        generation_id=joined.generation_id,
        member_id=joined.member_id,
        assignments=[SyncGroupRequestAssignment(member_id=joined.member_id, assignment=assignment)],
    )
    if version >= 5:
        request.protocol_type, request.protocol_name = "consumer", "range"
    return node.ask(request, version)


def stable(node: Node, group: str = "g") -> Any:
    """A stable group of one."""
    joined = join(node, group=group)
    assert sync(node, joined, group=group).error_code == 0
    return joined


def waiting(node: Node, *, group: str = "g") -> Asked:
    """A member whose join waits for the others of a stable group."""
    first = node.ask(join_request(version=9, group=group), 9)
    asked = node.send(join_request(first.member_id, version=9, group=group), 9)
    assert asked.answers == []
    return asked
