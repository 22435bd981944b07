"""The consumer protocol of classic groups as a member speaks it: subscriptions, assignments, the range assignor.

Not done: rack-aware assignment, and the cooperative protocols.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from broker.protocol import codec
from broker.protocol.codec import MalformedMessage
from broker.protocol.message import Record
from broker.protocol.messages.consumer_protocol import (
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
    TopicPartitions,
)

PROTOCOL_TYPE = "consumer"
RANGE = "range"
SUBSCRIPTION_VERSION = ConsumerProtocolSubscription.VERSIONS[1]
ASSIGNMENT_VERSION = ConsumerProtocolAssignment.VERSIONS[1]
VERSION_BYTES = 2

TopicPartition = tuple[str, int]
M = TypeVar("M", bound=Record)


def encode_subscription(topics: Iterable[str], owned: Iterable[TopicPartition] = (), generation_id: int = -1) -> bytes:
    """The metadata of a JoinGroup."""
    message = ConsumerProtocolSubscription(topics=sorted(topics), owned_partitions=_by_topic(owned), generation_id=generation_id)
    return _encode(message, SUBSCRIPTION_VERSION)


def decode_subscription(data: bytes) -> ConsumerProtocolSubscription:
    return _decode(ConsumerProtocolSubscription, data)


def encode_assignment(partitions: Iterable[TopicPartition]) -> bytes:
    """One member's part of a SyncGroup."""
    return _encode(ConsumerProtocolAssignment(assigned_partitions=_by_topic(partitions)), ASSIGNMENT_VERSION)


def decode_assignment(data: bytes) -> list[TopicPartition]:
    """The partitions in an assignment, sorted; none in an empty one, which a member without a part gets."""
    if not data:
        return []
    message = _decode(ConsumerProtocolAssignment, data)
    return sorted((topic.topic, partition) for topic in message.assigned_partitions for partition in topic.partitions)


def assign_range(
    subscriptions: Mapping[str, Iterable[str]], partition_counts: Mapping[str, int]
) -> dict[str, list[TopicPartition]]:
    """Topic by topic: its partitions in a row among the members that want it, sorted by id; the first get one more."""
    assigned: dict[str, list[TopicPartition]] = {member: [] for member in sorted(subscriptions)}
    wanted = {member: set(topics) for member, topics in subscriptions.items()}
    for topic in sorted(set().union(*wanted.values())):
        members = [member for member in assigned if topic in wanted[member]]
        share, extra = divmod(partition_counts.get(topic, 0), len(members))
        start = 0
        for position, member in enumerate(members):
            count = share + (1 if position < extra else 0)
            assigned[member] += [(topic, partition) for partition in range(start, start + count)]
            start += count
    return assigned


def _by_topic(partitions: Iterable[TopicPartition]) -> list[TopicPartitions]:
    topics: dict[str, list[int]] = {}
    for topic, partition in sorted(partitions):
        topics.setdefault(topic, []).append(partition)
    return [TopicPartitions(topic=topic, partitions=indexes) for topic, indexes in topics.items()]


def _encode(message: Record, version: int) -> bytes:
    return version.to_bytes(VERSION_BYTES, "big") + b"".join(codec.encode(message, version))


def _decode(cls: type[M], data: bytes) -> M:
    if len(data) < VERSION_BYTES:
        raise MalformedMessage(f"{cls.__name__}: {len(data)} bytes are too few for a version")
    version = int.from_bytes(data[:VERSION_BYTES], "big", signed=True)
    if version < 0:
        raise MalformedMessage(f"{cls.__name__}: its version is {version}")
    # Fields that a later version appended are passed over.
    return codec.decode_prefix(cls, min(version, cls.VERSIONS[1]), data, VERSION_BYTES)[0]
