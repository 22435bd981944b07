"""Heartbeat over its versions."""

import pytest
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.heartbeat import HeartbeatRequest

from ..world import Node
from .members import stable, waiting
from .test_find_coordinator import ready

__all__ = ["ready"]


@pytest.mark.parametrize("version", range(5))
def test_every_version(ready: Node, version: int) -> None:
    joined = stable(ready)

    def beat(member_id: str, generation: int) -> str:
        request = HeartbeatRequest(group_id="g", generation_id=generation, member_id=member_id)
        return ErrorCode(ready.ask(request, version).error_code).name

    assert beat(joined.member_id, 1) == "NONE"
    assert beat(joined.member_id, 2) == "ILLEGAL_GENERATION"
    assert beat("stranger", 1) == "UNKNOWN_MEMBER_ID"
    waiting(ready)
    assert beat(joined.member_id, 1) == "REBALANCE_IN_PROGRESS"


def test_without_the_offsets_topic(node: Node) -> None:
    request = HeartbeatRequest(group_id="g", generation_id=1, member_id="m")
    assert node.ask(request).error_code == ErrorCode.NOT_COORDINATOR
