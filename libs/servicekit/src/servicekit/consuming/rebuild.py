"""Building a projection anew from offset 0, beside the live one, and putting it in its place.

The live one goes on meanwhile. After the swap its consumer finds another position than it expected, and goes on from there.
"""

import logging
from collections.abc import Callable, Sequence

from confluent_kafka import Consumer, KafkaException, TopicPartition
from events.envelope import BadEvent, UnknownType, decode

from servicekit.consuming.positions import Partition, PositionMoved, Step
from servicekit.consuming.runner import Projection, read
from servicekit.consuming.store import ProjectionStore

log = logging.getLogger(__name__)
TIMEOUT_SECONDS = 30.0


class RebuildFailed(Exception):
    """The projection was not rebuilt; the live one is as it was."""


def rebuild(
    bootstrap_servers: str, topics: Sequence[str], live: ProjectionStore, make_projection: Callable[[ProjectionStore], Projection]
) -> int:
    """Build, swap, remove the old one; how many records were read. RebuildFailed, DependencyDown, KafkaException."""
    built = live.next_generation()
    try:
        count = _fill(bootstrap_servers, topics, make_projection(built))
    except PositionMoved as error:
        raise RebuildFailed(f"another rebuild is under way: {error}") from error
    before = built.swap()
    live.generation(before).clear()
    return count


def _fill(bootstrap_servers: str, topics: Sequence[str], projection: Projection) -> int:
    # group.id is required by the client; nothing is committed, so no group appears.
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "rebuild", "enable.auto.commit": False})
    try:
        ends = _ends(consumer, topics)
        positions = projection.store.begin(ends)
        consumer.assign([TopicPartition(*partition, offset) for partition, offset in positions.items()])
        left = {partition for partition, end in ends.items() if positions[partition] < end}
        count = 0
        while left:
            messages = read(consumer, TIMEOUT_SECONDS)
            if not messages:
                raise RebuildFailed(f"nothing came for {TIMEOUT_SECONDS} s; still missing: {sorted(left)}")
            for message in messages:
                error, topic, number, offset = message.error(), message.topic(), message.partition(), message.offset()
                if error is not None:
                    raise KafkaException(error)
                assert topic is not None and number is not None and offset is not None
                partition = (topic, number)
                _apply(projection, Step(topic, number, positions[partition], offset + 1), message.value())
                positions[partition] = offset + 1
                count += 1
                if offset + 1 >= ends[partition]:
                    left.discard(partition)
        for partition in ends:
            projection.store.mark_end(partition)
        return count
    finally:
        consumer.close()


def _ends(consumer: Consumer, topics: Sequence[str]) -> dict[Partition, int]:
    metadata = consumer.list_topics(timeout=TIMEOUT_SECONDS)
    ends: dict[Partition, int] = {}
    for topic in topics:
        if topic not in metadata.topics:
            raise RebuildFailed(f"there is no topic {topic}")
        for number in sorted(metadata.topics[topic].partitions):
            ends[topic, number] = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=TIMEOUT_SECONDS)[1]
    return ends


def _apply(projection: Projection, step: Step, value: bytes | None) -> None:
    try:
        envelope = decode(value)
    except (UnknownType, BadEvent):
        # It is a dead letter already, or none of ours.
        projection.store.skip(step)
        return
    projection.apply(step, envelope)
