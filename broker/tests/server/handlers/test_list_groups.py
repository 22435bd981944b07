"""ListGroups over its versions."""

import pytest
from broker.protocol.messages.list_groups import ListGroupsRequest

from ..world import Node
from .members import stable
from .test_find_coordinator import ready
from .test_offset_commit import request as commit

__all__ = ["ready"]


@pytest.mark.parametrize("version", range(6))
def test_every_version(ready: Node, version: int) -> None:
    ready.topic("t")
    stable(ready)
    ready.ask(commit({"t": [0]}, group="simple"), 9)
    response = ready.ask(ListGroupsRequest(), version)
    state = version >= 4
    assert sorted((one.group_id, one.protocol_type, one.group_state) for one in response.groups) == [
        ("g", "consumer", "Stable" if state else ""),
        ("simple", "", "Empty" if state else ""),
    ]
    assert {one.group_type for one in response.groups} == {"classic" if version >= 5 else ""}


def test_filters(ready: Node) -> None:
    stable(ready)

    def listed(**filters: list[str]) -> int:
        return len(ready.ask(ListGroupsRequest(**filters)).groups)

    assert [listed(states_filter=states) for states in (["Stable"], ["empty", " STABLE "], ["Empty"], ["nonsense"])] == [
        1,
        1,
        0,
        0,
    ]
    assert [listed(types_filter=types) for types in (["classic"], ["Consumer"], ["consumer", "CLASSIC"])] == [1, 0, 1]
    assert listed(states_filter=["Stable"], types_filter=["share"]) == 0
    assert ready.ask(ListGroupsRequest(states_filter=["Empty"]), 4).groups == []


def test_without_the_offsets_topic(node: Node) -> None:
    response = node.ask(ListGroupsRequest())
    assert (response.error_code, response.groups) == (0, [])
