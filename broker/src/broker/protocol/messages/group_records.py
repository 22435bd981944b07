"""Keys and values of `__consumer_offsets` for offsets and classic groups.

A key on disk is preceded by its number as an int16, a value by its version.
"""

from broker.protocol.message import Record, Struct
from broker.protocol.types import UUID, array, blob, int32, int64, string, uuid_


class OffsetCommitKey(Record, key=1, versions="0"):
    """Which offset: group, topic, partition."""

    group: str = string("0")
    topic: str = string("0")
    partition: int = int32("0")


class OffsetCommitValue(Record, key=1, versions="0-4", flexible="4+"):
    """A committed offset."""

    offset: int = int64()
    leader_epoch: int = int32("3+", default=-1, ignorable=True)
    metadata: str = string()
    commit_timestamp: int = int64()
    expire_timestamp: int = int64("1", default=-1, ignorable=True)
    topic_id: UUID = uuid_("4+", ignorable=True, tag=0)


class GroupMetadataKey(Record, key=2, versions="0"):
    """Which group."""

    group: str = string("0")


class MemberMetadata(Struct):
    member_id: str = string()
    group_instance_id: str | None = string("3+", nullable="3+", default=None, ignorable=True)
    client_id: str = string()
    client_host: str = string()
    rebalance_timeout: int = int32("1+", default=-1, ignorable=True)
    session_timeout: int = int32()
    subscription: bytes = blob()
    assignment: bytes = blob()


class GroupMetadataValue(Record, key=2, versions="0-4", flexible="4+"):
    """A classic group: generation, protocol, leader and members."""

    protocol_type: str = string()
    generation: int = int32()
    protocol: str | None = string(nullable="0+")
    leader: str | None = string(nullable="0+")
    current_state_timestamp: int = int64("2+", default=-1, ignorable=True)
    members: list[MemberMetadata] = array(MemberMetadata)
