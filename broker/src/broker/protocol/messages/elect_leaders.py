"""ElectLeaders (43): let the preferred, or any, replica lead.

1 names the kind of the election (KIP-460).
"""

from broker.protocol.message import Request, Response, Struct
from broker.protocol.types import array, int8, int16, int32, string


class TopicPartitions(Struct):
    topic: str = string()
    partitions: list[int] = array(int32)


class ElectLeadersRequest(Request, key=43, versions="0-2", flexible="2+", listeners=("broker", "controller")):
    """The partitions, or null for all; 0 elects the preferred leader, 1 an unclean one."""

    election_type: int = int8("1+")
    topic_partitions: list[TopicPartitions] | None = array(TopicPartitions, nullable="0+")
    timeout_ms: int = int32(default=60000)


class PartitionResult(Struct):
    partition_id: int = int32()
    error_code: int = int16()
    error_message: str | None = string(nullable="0+")


class ReplicaElectionResult(Struct):
    topic: str = string()
    partition_result: list[PartitionResult] = array(PartitionResult)


class ElectLeadersResponse(Response, key=43, versions="0-2", flexible="2+"):
    """What became of each election."""

    throttle_time_ms: int = int32()
    # Kafka leaves it out of the first version (``ElectLeadersResponse``), although its declaration would refuse to.
    error_code: int = int16("1+", ignorable=True)
    replica_election_results: list[ReplicaElectionResult] = array(ReplicaElectionResult)
