"""Leases of worker numbers: who may make ids with a number, and until when."""

from django.db import models


class WorkerLease(models.Model):
    """One number. `expires_ms` is wall time in milliseconds since the epoch."""

    number = models.PositiveIntegerField(primary_key=True)
    holder = models.UUIDField()
    expires_ms = models.BigIntegerField()

    class Meta:
        db_table = "worker_lease"
