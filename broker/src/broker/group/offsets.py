"""OffsetCommit, OffsetFetch, OffsetDelete, and the expiry of offsets. Source: ``OffsetMetadataManager``.

Topics are named here; handlers translate topic ids. Not done: offsets of transactions.
"""

from broker.clock.port import Clock
from broker.config import BrokerConfig
from broker.group.classic_group import CONSUMER_PROTOCOL, ClassicGroup, GroupState, Reply
from broker.group.membership import Membership
from broker.group.ports import KeyValue
from broker.group.records import NO_TIMESTAMP, group_record, offset_record
from broker.group.shard import Shard, TopicPartition
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.group_records import OffsetCommitValue
from broker.protocol.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)
from broker.protocol.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteResponse,
    OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
)
from broker.protocol.messages.offset_fetch import (
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopics,
)
from broker.protocol.types import ZERO_UUID

# Before this version a client does not know GROUP_ID_NOT_FOUND as an answer to OffsetCommit.
GROUP_ID_NOT_FOUND_SINCE = 9
NO_OFFSET = -1
MINUTE_MS = 60_000


class Offsets:
    """The offsets of the groups of one shard."""

    def __init__(self, shard: Shard, membership: Membership, clock: Clock, config: BrokerConfig) -> None:
        self._shard = shard
        self._membership = membership
        self._clock = clock
        self._metadata_length_max: int = config.value("offset.metadata.max.bytes")
        self._retention_ms: int = config.value("offsets.retention.minutes") * MINUTE_MS

    # Committing.

    def commit(self, request: OffsetCommitRequest, version: int, reply: Reply) -> None:
        """Write the offsets as one batch and answer when it is committed."""
        try:
            self._check_commit(request, version)
        except KafkaError as error:
            reply(commit_error(request, error.code))
            return
        records: list[KeyValue] = []
        response = OffsetCommitResponse()
        now = self._clock.wall_ms()
        expires = NO_TIMESTAMP if request.retention_time_ms < 0 else now + request.retention_time_ms
        for topic in request.topics:
            answers = OffsetCommitResponseTopic(name=topic.name, topic_id=topic.topic_id)
            response.topics.append(answers)
            for item in topic.partitions:
                answer = OffsetCommitResponsePartition(partition_index=item.partition_index)
                answers.partitions.append(answer)
                note = item.committed_metadata or ""
                if _java_length(note) > self._metadata_length_max:
                    answer.error_code = ErrorCode.OFFSET_METADATA_TOO_LARGE
                    continue
                value = OffsetCommitValue(
                    offset=item.committed_offset,
                    leader_epoch=item.committed_leader_epoch,
                    metadata=note,
                    commit_timestamp=now,
                    expire_timestamp=expires,
                    topic_id=topic.topic_id,
                )
                records.append(offset_record(request.group_id, topic.name, item.partition_index, value))

        def written(code: ErrorCode) -> None:
            reply(response if code is ErrorCode.NONE else commit_error(request, code))

        self._shard.write(records, written)

    def _check_commit(self, request: OffsetCommitRequest, version: int) -> None:
        generation = request.generation_id_or_member_epoch
        group = self._shard.group(request.group_id, create=generation < 0)
        if group is None:
            late = version >= GROUP_ID_NOT_FOUND_SINCE
            raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND if late else ErrorCode.ILLEGAL_GENERATION)
        if generation < 0 and group.state is GroupState.EMPTY:
            return
        if generation < 0 and not request.member_id and request.group_instance_id is None:
            # A commit that names no member is taken from groups without members alone.
            raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID)
        member = group.validate_member(request.member_id, request.group_instance_id)
        if generation != group.generation:
            raise KafkaError(ErrorCode.ILLEGAL_GENERATION)
        if group.state is GroupState.COMPLETING_REBALANCE:
            raise KafkaError(ErrorCode.REBALANCE_IN_PROGRESS)
        self._membership.heard(group, member)

    # Fetching.

    def fetch(self, request: OffsetFetchRequestGroup) -> OffsetFetchResponseGroup:
        """The offsets of one group; -1 for those there are none of. Null topics ask for all."""
        known = self._shard.offsets.get(request.group_id, {})
        wanted = request.topics
        if wanted is None:
            by_topic: dict[str, list[int]] = {}
            for topic, partition in sorted(known):
                by_topic.setdefault(topic, []).append(partition)
            wanted = [OffsetFetchRequestTopics(name=topic, partition_indexes=indexes) for topic, indexes in by_topic.items()]
        return OffsetFetchResponseGroup(
            group_id=request.group_id,
            topics=[
                OffsetFetchResponseTopics(
                    name=topic.name,
                    topic_id=topic.topic_id,
                    partitions=[_fetched(topic, index, known) for index in topic.partition_indexes],
                )
                for topic in wanted
            ],
        )

    # Deleting.

    def delete(self, request: OffsetDeleteRequest, reply: Reply) -> None:
        """Forget offsets of topics that the group is not subscribed to."""
        group = self._shard.group(request.group_id)
        if group is None:
            reply(OffsetDeleteResponse(error_code=ErrorCode.GROUP_ID_NOT_FOUND))
            return
        if group.state not in (GroupState.EMPTY, GroupState.DEAD) and group.protocol_type != CONSUMER_PROTOCOL:
            reply(OffsetDeleteResponse(error_code=ErrorCode.NON_EMPTY_GROUP))
            return
        known = self._shard.offsets.get(request.group_id, {})
        response = OffsetDeleteResponse()
        records: list[KeyValue] = []
        for topic in request.topics:
            subscribed = group.is_subscribed_to(topic.name)
            code = ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC if subscribed else ErrorCode.NONE
            indexes = [item.partition_index for item in topic.partitions]
            response.topics.append(
                OffsetDeleteResponseTopic(
                    name=topic.name,
                    partitions=[OffsetDeleteResponsePartition(partition_index=index, error_code=code) for index in indexes],
                )
            )
            if not subscribed:
                found = [index for index in indexes if (topic.name, index) in known]
                records += [offset_record(request.group_id, topic.name, index, None) for index in found]

        def written(code: ErrorCode) -> None:
            reply(response if code is ErrorCode.NONE else OffsetDeleteResponse(error_code=code))

        self._shard.write(records, written)

    def tombstones(self, group_id: str) -> list[KeyValue]:
        """What makes a group and all its offsets forgotten."""
        known = sorted(self._shard.offsets.get(group_id, {}))
        return [*(offset_record(group_id, topic, index, None) for topic, index in known), group_record(group_id, None)]

    def forget_topic(self, topic: str) -> None:
        """The topic was deleted: so are the offsets in it."""
        records = [
            offset_record(group_id, topic, index, None)
            for group_id, known in sorted(self._shard.offsets.items())
            for name, index in sorted(known)
            if name == topic
        ]
        self._shard.write_in_parts(records)

    # Expiry.

    def expire(self) -> None:
        """Forget offsets that are too old, and groups without members that have none left."""
        now = self._clock.wall_ms()
        records: list[KeyValue] = []
        for group_id, group in sorted(self._shard.groups.items()):
            known = self._shard.offsets.get(group_id, {})
            expired = [key for key in sorted(known) if self._is_expired(group, key[0], known[key], now)]
            records += [offset_record(group_id, topic, index, None) for topic, index in expired]
            idle = group.state is GroupState.EMPTY and not group.pending_members
            if idle and len(expired) == len(known):
                records.append(group_record(group_id, None))
        self._shard.write_in_parts(records)

    def _is_expired(self, group: ClassicGroup, topic: str, value: OffsetCommitValue, now_ms: int) -> bool:
        since = self._counts_from(group, topic, value)
        if since is None:
            return False
        if value.expire_timestamp != NO_TIMESTAMP:
            return now_ms >= value.expire_timestamp
        return now_ms - since >= self._retention_ms

    @staticmethod
    def _counts_from(group: ClassicGroup, topic: str, value: OffsetCommitValue) -> int | None:
        """From when the retention of an offset counts; None while it does not expire."""
        if group.protocol_type is None:
            return value.commit_timestamp
        if group.state is GroupState.EMPTY:
            return group.state_since_ms if group.state_since_ms >= 0 else value.commit_timestamp
        if group.state is GroupState.STABLE and group.subscribed_topics is not None and not group.is_subscribed_to(topic):
            return value.commit_timestamp
        return None


def _java_length(text: str) -> int:
    """As Java counts: units of UTF-16. The limit is named in bytes, but Kafka compares it with this."""
    return len(text) + sum(character > "\uffff" for character in text)


def _fetched(
    topic: OffsetFetchRequestTopics, index: int, known: dict[TopicPartition, OffsetCommitValue]
) -> OffsetFetchResponsePartitions:
    value = known.get((topic.name, index))
    other = value is not None and ZERO_UUID not in (value.topic_id, topic.topic_id) and value.topic_id != topic.topic_id
    if value is None or other:
        return OffsetFetchResponsePartitions(partition_index=index, committed_offset=NO_OFFSET, metadata="")
    return OffsetFetchResponsePartitions(
        partition_index=index,
        committed_offset=value.offset,
        committed_leader_epoch=value.leader_epoch,
        metadata=value.metadata,
    )


def commit_error(request: OffsetCommitRequest, code: ErrorCode) -> OffsetCommitResponse:
    """The same code for every partition."""
    return OffsetCommitResponse(
        topics=[
            OffsetCommitResponseTopic(
                name=topic.name,
                topic_id=topic.topic_id,
                partitions=[
                    OffsetCommitResponsePartition(partition_index=item.partition_index, error_code=code)
                    for item in topic.partitions
                ],
            )
            for topic in request.topics
        ]
    )
