"""The board's topics on a broker: made as `./board up` makes them, and read from their beginning to their end."""

from dataclasses import dataclass

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from events.envelope import Envelope, decode
from events.topics import PARTITIONS, TOPICS

TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Taken:
    """One record as a consumer gets it."""

    partition: int
    offset: int
    key: str
    event: Envelope


def create_topics(bootstrap_servers: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    wanted = [NewTopic(topic, num_partitions=PARTITIONS, config={"retention.ms": "-1"}) for topic in TOPICS]
    for future in admin.create_topics(wanted).values():
        future.result(TIMEOUT_SECONDS)


def read_topic(bootstrap_servers: str, topic: str) -> list[Taken]:
    """Everything up to the ends of now; per partition in order. Every value is checked against its schema on the way."""
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "reader", "enable.auto.commit": False})
    try:
        found: list[Taken] = []
        for partition in range(PARTITIONS):
            end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=TIMEOUT_SECONDS)[1]
            consumer.assign([TopicPartition(topic, partition, 0)])
            taken = 0
            while taken < end:
                message = consumer.poll(TIMEOUT_SECONDS)
                assert message is not None, f"{topic}-{partition} ends at {end}, and nothing comes at {taken}"
                assert message.error() is None, message.error()
                taken = message.offset() + 1
                found.append(Taken(partition, message.offset(), message.key().decode(), decode(message.value())))
        return found
    finally:
        consumer.close()


def by_key(taken: list[Taken]) -> dict[str, list[Envelope]]:
    """The events of each key in their order. A key is in one partition."""
    found: dict[str, list[Envelope]] = {}
    places: dict[str, int] = {}
    for one in taken:
        assert places.setdefault(one.key, one.partition) == one.partition, f"key {one.key} is in two partitions"
        found.setdefault(one.key, []).append(one.event)
    return found


def without_repetition(events: list[Envelope]) -> list[Envelope]:
    """Each event once, at its last place: what a delivery error repeats counts from where it came for good."""
    last = {event.id: place for place, event in enumerate(events)}
    return [event for place, event in enumerate(events) if last[event.id] == place]
