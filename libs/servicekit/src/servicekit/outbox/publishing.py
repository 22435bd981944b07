"""The one way to publish: a row in the transaction that changes what the event is about."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction
from events.envelope import Envelope, encode

from servicekit.correlation import require_id
from servicekit.outbox.models import OutboxEvent
from servicekit.outbox.waking import wake_relay


@dataclass(frozen=True)
class NewEvent:
    """What a service says; the envelope's other fields are filled in here. `subject` is the article's id."""

    type: str
    source: str
    subject: str
    aggregate: str
    aggregateversion: int
    data: dict[str, Any]
    dataversion: int = 1


def now() -> datetime:
    """The time of events and rows: UTC, to the millisecond, as everybody will read it."""
    found = datetime.now(UTC)
    return found.replace(microsecond=found.microsecond // 1000 * 1000)


def publish(topic: str, event: NewEvent, *, time: datetime) -> None:
    """Write the event; it is sent when the transaction has been committed, and never when it is rolled back."""
    assert connection.in_atomic_block, "an event is published in the transaction that changes the rows"
    envelope = Envelope(
        id=str(uuid.uuid4()),
        source=event.source,
        type=event.type,
        dataversion=event.dataversion,
        time=time,
        subject=event.subject,
        aggregate=event.aggregate,
        aggregateversion=event.aggregateversion,
        correlationid=require_id(),
        data=event.data,
    )
    OutboxEvent.objects.create(topic=topic, key=event.subject, value=encode(envelope))
    transaction.on_commit(wake_relay, robust=True)
