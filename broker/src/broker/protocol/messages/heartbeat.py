"""Heartbeat (12): a member is alive.

3 adds static members.
"""

from broker.protocol.message import Request, Response
from broker.protocol.types import int16, int32, string


class HeartbeatRequest(Request, key=12, versions="0-4", flexible="4+", listeners=("broker",)):
    """A sign of life within a generation."""

    group_id: str = string()
    generation_id: int = int32()
    member_id: str = string()
    group_instance_id: str | None = string("3+", nullable="3+", default=None)


class HeartbeatResponse(Response, key=12, versions="0-4", flexible="4+"):
    """Whether the member may go on, or has to join again."""

    throttle_time_ms: int = int32("1+", ignorable=True)
    error_code: int = int16()
