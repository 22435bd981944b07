"""DeleteGroups over its versions."""

import pytest
from broker.protocol.messages.delete_groups import DeleteGroupsRequest

from ..world import Node, codes
from .members import stable
from .test_find_coordinator import ready
from .test_offset_commit import kept
from .test_offset_commit import request as commit

__all__ = ["ready"]


@pytest.mark.parametrize("version", range(3))
def test_every_version(ready: Node, version: int) -> None:
    ready.topic("t")
    stable(ready)
    ready.ask(commit({"t": [0]}, group="simple"), 9)
    response = ready.ask(DeleteGroupsRequest(groups_names=["g", "simple", "none"]), version)
    assert [one.group_id for one in response.results] == ["g", "simple", "none"]
    assert codes(response.results) == ["NON_EMPTY_GROUP", "NONE", "GROUP_ID_NOT_FOUND"]
    assert kept(ready, "simple") == {}
    assert ready.ask(DeleteGroupsRequest(groups_names=[]), version).results == []


def test_without_the_offsets_topic(node: Node) -> None:
    assert codes(node.ask(DeleteGroupsRequest(groups_names=["g", "h"])).results) == ["NOT_COORDINATOR"] * 2
