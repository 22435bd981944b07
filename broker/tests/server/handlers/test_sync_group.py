"""SyncGroup over its versions."""

import pytest
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.sync_group import SyncGroupRequest

from ..world import Node
from .members import join, sync
from .test_find_coordinator import ready

__all__ = ["ready"]


@pytest.mark.parametrize("version", range(6))
def test_every_version(ready: Node, version: int) -> None:
    response = sync(ready, join(ready), version=version, assignment=b"\0\1 mine")
    assert (response.error_code, response.assignment) == (0, b"\0\1 mine")
    named = (response.protocol_type, response.protocol_name)
    assert named == (("consumer", "range") if version >= 5 else (None, None))


@pytest.mark.parametrize("version", range(6))
def test_who_is_no_member(ready: Node, version: int) -> None:
    request = SyncGroupRequest(group_id="g", generation_id=1, member_id="stranger")
    response = ready.ask(request, version)
    assert (response.error_code, response.assignment) == (ErrorCode.UNKNOWN_MEMBER_ID, b"")


def test_without_the_offsets_topic(node: Node) -> None:
    request = SyncGroupRequest(group_id="g", generation_id=1, member_id="m")
    assert node.ask(request).error_code == ErrorCode.NOT_COORDINATOR
