"""A group's committed offsets: reading them and writing them, asked of its coordinator."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

from broker.cli.cluster import Cluster
from broker.cli.failures import Unavailable, check
from broker.cli.offsets import TopicPartition
from broker.cli.retrying import RETRY_S, patiently
from broker.client.retriable import STALE_COORDINATOR
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
)
from broker.protocol.messages.offset_fetch import OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchResponse

# The newest versions that name topics, not their ids.
OFFSET_COMMIT_VERSION = 9
OFFSET_FETCH_VERSION = 9
NO_OFFSET = -1
NO_GENERATION = -1
T = TypeVar("T")


class Committed(NamedTuple):
    """A committed offset and the leader epoch it was committed with, -1 for none."""

    offset: int
    leader_epoch: int


def asking_coordinator(cluster: Cluster, group: str, ask: Callable[[], T]) -> T:
    """What `ask` gives; the coordinator is looked for again while it moves or loads, and once when it does not answer.

    A connection that lay idle may have ended without anybody noticing. What is asked here does no harm twice.
    """

    def ask_once() -> T:
        try:
            return ask()
        except Unavailable:
            cluster.forget_coordinator(group)
            return ask()
        except KafkaError as error:
            if error.code in STALE_COORDINATOR:
                cluster.forget_coordinator(group)
            raise

    return patiently(ask_once, STALE_COORDINATOR, RETRY_S)


def committed(cluster: Cluster, group: str) -> dict[TopicPartition, Committed]:
    """Every partition the group has an offset for."""

    def ask() -> dict[TopicPartition, Committed]:
        request = OffsetFetchRequest(groups=[OffsetFetchRequestGroup(group_id=group, topics=None)])
        response = cluster.coordinator(group).ask(request, OffsetFetchResponse, version_max=OFFSET_FETCH_VERSION)
        answer = response.groups[0]
        check(answer.error_code, f"group '{group}'")
        found = {}
        for topic in answer.topics:
            for one in topic.partitions:
                check(one.error_code, f"group '{group}', {topic.name}-{one.partition_index}")
                if one.committed_offset != NO_OFFSET:
                    found[topic.name, one.partition_index] = Committed(one.committed_offset, one.committed_leader_epoch)
        return found

    return asking_coordinator(cluster, group, ask)


def commit(
    cluster: Cluster,
    group: str,
    offsets: Mapping[TopicPartition, int],
    *,
    generation_id: int = NO_GENERATION,
    member_id: str = "",
    group_instance_id: str | None = None,
) -> None:
    """Commit; without a member only to a group that has none. KafkaError names the partition that was refused."""
    topics: dict[str, list[OffsetCommitRequestPartition]] = {}
    for (topic, index), offset in sorted(offsets.items()):
        part = OffsetCommitRequestPartition(partition_index=index, committed_offset=offset, committed_metadata="")
        topics.setdefault(topic, []).append(part)
    if not topics:
        return
    request = OffsetCommitRequest(
        group_id=group,
        generation_id_or_member_epoch=generation_id,
        member_id=member_id,
        group_instance_id=group_instance_id,
        topics=[OffsetCommitRequestTopic(name=topic, partitions=parts) for topic, parts in topics.items()],
    )

    def ask() -> None:
        response = cluster.coordinator(group).ask(request, OffsetCommitResponse, version_max=OFFSET_COMMIT_VERSION)
        for topic in response.topics:
            for one in topic.partitions:
                if one.error_code != ErrorCode.NONE:
                    check(one.error_code, f"group '{group}', {topic.name}-{one.partition_index}")

    asking_coordinator(cluster, group, ask)
