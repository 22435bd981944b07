"""Events that wait to be sent, and who sends them."""

from django.db import models


class OutboxEvent(models.Model):
    """One event. Rows of one key have ids in the order of their commits, because the key's aggregate is locked."""

    id = models.BigAutoField(primary_key=True)
    topic = models.CharField(max_length=249)
    key = models.CharField(max_length=64)
    value = models.BinaryField()
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "outbox_event"
        indexes = [  # noqa: RUF012 - Django's own shape
            models.Index(fields=["id"], name="outbox_unsent", condition=models.Q(sent_at__isnull=True)),
            models.Index(fields=["sent_at"], name="outbox_sent"),
        ]


class RelayLease(models.Model):
    """Which process relays: one row, `expires_ms` in milliseconds since the epoch."""

    name = models.CharField(max_length=64, primary_key=True)
    holder = models.UUIDField()
    expires_ms = models.BigIntegerField()

    class Meta:
        db_table = "relay_lease"
