"""ListGroups (16): the groups this broker coordinates.

4 filters by state; 5 by type.
"""

from broker.protocol.message import Request, Response, Struct
from broker.protocol.types import array, int16, int32, string


class ListGroupsRequest(Request, key=16, versions="0-5", flexible="3+", listeners=("broker",)):
    """Which states and types to list; empty for all."""

    states_filter: list[str] = array(string, "4+")
    types_filter: list[str] = array(string, "5+")


class ListedGroup(Struct):
    group_id: str = string()
    protocol_type: str = string()
    group_state: str = string("4+", ignorable=True)
    group_type: str = string("5+", ignorable=True)


class ListGroupsResponse(Response, key=16, versions="0-5", flexible="3+"):
    """The groups with their state and type."""

    throttle_time_ms: int = int32("1+", ignorable=True)
    error_code: int = int16()
    groups: list[ListedGroup] = array(ListedGroup)
