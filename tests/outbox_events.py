"""What a service wrote to its outbox, as events in the order of their rows."""

from events.envelope import Envelope, decode


def outbox_events() -> list[Envelope]:
    """Every one is checked against its schema on the way."""
    from servicekit.outbox.models import OutboxEvent

    found = []
    for row in OutboxEvent.objects.order_by("id"):
        event = decode(bytes(row.value))
        assert row.key == event.subject
        found.append(event)
    return found
