"""Records that a group cannot read go to `<topic>.<group>.dlt`, as they were, with headers that say why.

One that does not fit there with its headers is sent without its value: where it came from it still is.
"""

import logging
from datetime import UTC, datetime

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from events.envelope import format_time
from events.topics import dead_letter_topic

log = logging.getLogger(__name__)
ACKNOWLEDGE_SECONDS = 10.0
Headers = list[tuple[str, bytes | str | None]]


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
        headers: Headers = [
            *(message.headers() or []),
            ("dlt.reason", reason.encode()),
            ("dlt.topic", str(message.topic()).encode()),
            ("dlt.partition", str(message.partition()).encode()),
            ("dlt.offset", str(message.offset()).encode()),
            ("dlt.group", self._group.encode()),
            ("dlt.time", format_time(datetime.now(UTC)).encode()),
        ]
        error = self._deliver(message, message.value(), headers)
        if error is not None and error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            error = self._deliver(message, None, [*headers, ("dlt.value", b"left out: it is too large")])
        if error is not None:
            raise DeadLetterFailed(f"the dead letter was not acknowledged: {error.str()}")
        log.error("dead letter from %s-%s at offset %s: %s", message.topic(), message.partition(), message.offset(), reason)

    def _deliver(self, message: Message, value: bytes | None, headers: Headers) -> KafkaError | None:
        """Send and wait; what stood in the way."""
        outcome: list[KafkaError | None] = []
        try:
            self._producer.produce(
                dead_letter_topic(str(message.topic()), self._group),
                key=message.key(),
                value=value,
                headers=headers,
                on_delivery=lambda error, _: outcome.append(error),
            )
        except KafkaException as error:
            found: KafkaError = error.args[0]
            return found
        self._producer.flush(ACKNOWLEDGE_SECONDS)
        if not outcome:
            # It must not arrive after it was given up.
            self._producer.purge()
            self._producer.flush(0)
            return KafkaError(KafkaError._TIMED_OUT, "no answer")
        return outcome[0]
