"""DeleteGroups (42): delete empty groups with their offsets.

2 is flexible.
"""

from broker.protocol.message import Request, Response, Struct
from broker.protocol.types import array, int16, int32, string


class DeleteGroupsRequest(Request, key=42, versions="0-2", flexible="2+", listeners=("broker",)):
    """The groups to delete."""

    groups_names: list[str] = array(string)


class DeletableGroupResult(Struct):
    group_id: str = string()
    error_code: int = int16()


class DeleteGroupsResponse(Response, key=42, versions="0-2", flexible="2+"):
    """The outcome for each group."""

    throttle_time_ms: int = int32()
    results: list[DeletableGroupResult] = array(DeletableGroupResult)
