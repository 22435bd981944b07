"""Offsets of partitions by time, asked of their leaders."""

from collections.abc import Iterable, Mapping

from broker.cli.cluster import NO_LEADER, Cluster
from broker.cli.failures import check
from broker.cli.retrying import RETRY_S, patiently
from broker.client.retriable import STALE_METADATA
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
)

LATEST, EARLIEST, MAX_TIMESTAMP = -1, -2, -3
CONSUMER = -1
READ_UNCOMMITTED, READ_COMMITTED = 0, 1
TopicPartition = tuple[str, int]


def list_offsets(
    cluster: Cluster, partitions: Iterable[TopicPartition], timestamp: int, isolation_level: int = READ_UNCOMMITTED
) -> dict[TopicPartition, int]:
    """-1 where no record is that new. KafkaError names the topic or partition that is not there; waits for leaders."""
    wanted = sorted(set(partitions))

    def ask() -> dict[TopicPartition, int]:
        topics = {topic for topic, _ in wanted}
        leaders = {topic: cluster.leaders(topic) for topic in sorted(topics)}
        return _ask_leaders(cluster, by_leader(wanted, leaders), timestamp, isolation_level)

    return patiently(ask, STALE_METADATA - {ErrorCode.UNKNOWN_TOPIC_OR_PARTITION}, RETRY_S) if wanted else {}


def by_leader(partitions: Iterable[TopicPartition], leaders: Mapping[str, Mapping[int, int]]) -> dict[int, dict[str, list[int]]]:
    """Leader -> topic -> partitions. KafkaError names a partition that its topic does not have, or that has no leader."""
    found: dict[int, dict[str, list[int]]] = {}
    for topic, index in partitions:
        leader = leaders[topic].get(index)
        if leader is None:
            text = f"topic '{topic}' has no partition {index}, it has {len(leaders[topic])} from 0 on"
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, text)
        if leader == NO_LEADER:
            raise KafkaError(ErrorCode.LEADER_NOT_AVAILABLE, f"{topic}-{index} has no leader: is its broker running?")
        found.setdefault(leader, {}).setdefault(topic, []).append(index)
    return found


def _ask_leaders(
    cluster: Cluster, asked: Mapping[int, Mapping[str, list[int]]], timestamp: int, isolation_level: int
) -> dict[TopicPartition, int]:
    pending = []
    for leader, topics in asked.items():
        request = ListOffsetsRequest(
            replica_id=CONSUMER,
            isolation_level=isolation_level,
            topics=[
                ListOffsetsTopic(
                    name=topic, partitions=[ListOffsetsPartition(partition_index=index, timestamp=timestamp) for index in indexes]
                )
                for topic, indexes in topics.items()
            ],
        )
        connection = cluster.node(leader)
        pending.append((connection, connection.begin(request)))
    found: dict[TopicPartition, int] = {}
    for connection, one in pending:
        for topic in connection.wait(one, ListOffsetsResponse).topics:
            for answer in topic.partitions:
                check(answer.error_code, f"{topic.name}-{answer.partition_index}")
                found[topic.name, answer.partition_index] = answer.offset
    return found
