"""FetchSnapshot (59): read a piece of a metadata snapshot.

1 adds the directory id.
"""

from broker.protocol.message import Request, Response, Struct
from broker.protocol.types import UUID, Records, array, int16, int32, int64, records, string, struct, uint16, uuid_


class SnapshotId(Struct):
    end_offset: int = int64()
    epoch: int = int32()


class PartitionSnapshot(Struct):
    partition: int = int32()
    current_leader_epoch: int = int32()
    snapshot_id: SnapshotId = struct(SnapshotId)
    position: int = int64()
    replica_directory_id: UUID = uuid_("1+", ignorable=True, tag=0)


class TopicSnapshot(Struct):
    name: str = string()
    partitions: list[PartitionSnapshot] = array(PartitionSnapshot)


class FetchSnapshotRequest(Request, key=59, versions="0-1", flexible="0+", listeners=("controller",)):
    """Which snapshot, from which position."""

    cluster_id: str | None = string(nullable="0+", default=None, tag=0)
    replica_id: int = int32(default=-1)
    max_bytes: int = int32(default=2147483647)
    topics: list[TopicSnapshot] = array(TopicSnapshot)


class ResponseSnapshotId(Struct):
    end_offset: int = int64()
    epoch: int = int32()


class LeaderIdAndEpoch(Struct):
    leader_id: int = int32()
    leader_epoch: int = int32()


class ResponsePartitionSnapshot(Struct):
    index: int = int32()
    error_code: int = int16()
    snapshot_id: ResponseSnapshotId = struct(ResponseSnapshotId)
    current_leader: LeaderIdAndEpoch = struct(LeaderIdAndEpoch, tag=0)
    size: int = int64()
    position: int = int64()
    unaligned_records: Records | None = records()


class ResponseTopicSnapshot(Struct):
    name: str = string()
    partitions: list[ResponsePartitionSnapshot] = array(ResponsePartitionSnapshot)


class NodeEndpoint(Struct):
    node_id: int = int32("1+")
    host: str = string("1+")
    port: int = uint16("1+")


class FetchSnapshotResponse(Response, key=59, versions="0-1", flexible="0+"):
    """A piece of the snapshot."""

    throttle_time_ms: int = int32(ignorable=True)
    error_code: int = int16()
    topics: list[ResponseTopicSnapshot] = array(ResponseTopicSnapshot)
    node_endpoints: list[NodeEndpoint] = array(NodeEndpoint, "1+", tag=0)
