"""What consumers of a classic group tell each other through the coordinator: subscriptions and assignments.

The coordinator passes them on as bytes. On the wire a version of two bytes stands before each. 1 adds the partitions a
member owns; 2 the generation it owned them in; 3 its rack. A newer version is read as the newest known one.
"""

from broker.protocol.message import Record, Struct
from broker.protocol.types import array, blob, int32, string


class TopicPartitions(Struct):
    topic: str = string()
    partitions: list[int] = array(int32)


class ConsumerProtocolSubscription(Record, versions="0-3"):
    """What a member wants, and what it has."""

    topics: list[str] = array(string)
    user_data: bytes | None = blob(nullable="0+", default=None)
    owned_partitions: list[TopicPartitions] = array(TopicPartitions, "1+", ignorable=True)
    generation_id: int = int32("2+", default=-1, ignorable=True)
    rack_id: str | None = string("3+", nullable="3+", default=None, ignorable=True)


class ConsumerProtocolAssignment(Record, versions="0-3"):
    """What a member gets."""

    assigned_partitions: list[TopicPartitions] = array(TopicPartitions)
    user_data: bytes | None = blob(nullable="0+", default=None)
