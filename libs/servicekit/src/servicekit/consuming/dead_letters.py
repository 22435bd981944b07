"""Records that a group cannot read go to `<topic>.<group>.dlt`, as they were, with headers that say why."""

import logging
from datetime import UTC, datetime

from confluent_kafka import KafkaError, Message, Producer
from events.envelope import format_time
from events.topics import dead_letter_topic

log = logging.getLogger(__name__)
ACKNOWLEDGE_SECONDS = 10.0


class DeadLetterFailed(Exception):
    """The broker did not take the dead letter; the record is not done with."""


class DeadLetters:
    """One producer; every letter is acknowledged before the record it is about counts as done."""

    def __init__(self, bootstrap_servers: str, group: str) -> None:
        self._group = group
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap_servers,
                "client.id": f"{group}-dead-letters",
                "enable.idempotence": True,
                "acks": "all",
                "delivery.timeout.ms": int(ACKNOWLEDGE_SECONDS * 1000),
                "partitioner": "murmur2_random",
            }
        )

    def send(self, message: Message, reason: str) -> None:
        """DeadLetterFailed when there is no acknowledgement."""
        topic, outcome = message.topic(), list[KafkaError | None]()
        assert topic is not None
        headers = [
            *(message.headers() or []),
            ("dlt.reason", reason.encode()),
            ("dlt.topic", topic.encode()),
            ("dlt.partition", str(message.partition()).encode()),
            ("dlt.offset", str(message.offset()).encode()),
            ("dlt.group", self._group.encode()),
            ("dlt.time", format_time(datetime.now(UTC)).encode()),
        ]
        self._producer.produce(
            dead_letter_topic(topic, self._group),
            key=message.key(),
            value=message.value(),
            headers=headers,
            on_delivery=lambda error, _: outcome.append(error),
        )
        self._producer.flush(ACKNOWLEDGE_SECONDS)
        if not outcome or outcome[0] is not None:
            self._producer.purge()
            self._producer.flush(0)
            raise DeadLetterFailed(f"the dead letter was not acknowledged: {outcome[0] if outcome else 'no answer'}")
        log.error("dead letter from %s-%s at offset %s: %s", topic, message.partition(), message.offset(), reason)
