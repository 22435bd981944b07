"""JoinGroup (11): become a member of a classic group, or come again for a rebalance.

1 adds the rebalance time-out; 4 makes a new member come twice, with the id it was given (KIP-394); 5 adds static members
(KIP-345); 7 the protocol type; 8 a reason; 9 lets the coordinator spare the leader the assignment (KIP-814).
"""

from broker.protocol.message import Request, Response, Struct
from broker.protocol.types import array, blob, boolean, int16, int32, string


class JoinGroupRequestProtocol(Struct):
    name: str = string()
    metadata: bytes = blob()


class JoinGroupRequest(Request, key=11, versions="0-9", flexible="6+", listeners=("broker",)):
    """A member with its time-outs and the protocols it knows."""

    group_id: str = string()
    session_timeout_ms: int = int32()
    rebalance_timeout_ms: int = int32("1+", default=-1, ignorable=True)
    member_id: str = string()
    group_instance_id: str | None = string("5+", nullable="5+", default=None)
    protocol_type: str = string()
    protocols: list[JoinGroupRequestProtocol] = array(JoinGroupRequestProtocol)
    reason: str | None = string("8+", nullable="8+", default=None, ignorable=True)


class JoinGroupResponseMember(Struct):
    member_id: str = string()
    group_instance_id: str | None = string("5+", nullable="5+", default=None, ignorable=True)
    metadata: bytes = blob()


class JoinGroupResponse(Response, key=11, versions="0-9", flexible="6+"):
    """The generation, the chosen protocol, and for the leader all members."""

    throttle_time_ms: int = int32("2+", ignorable=True)
    error_code: int = int16()
    generation_id: int = int32(default=-1)
    protocol_type: str | None = string("7+", nullable="7+", default=None, ignorable=True)
    protocol_name: str | None = string(nullable="7+")
    leader: str = string()
    skip_assignment: bool = boolean("9+")
    member_id: str = string()
    members: list[JoinGroupResponseMember] = array(JoinGroupResponseMember)
