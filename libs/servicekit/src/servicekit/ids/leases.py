"""Taking and renewing a worker number in the service's own database.

Invariant: a number has one holder at a time, and a new holder begins only after the old one's lease is over by the clock.
"""

import uuid

from django.db import IntegrityError, transaction

from servicekit.ids.models import WorkerLease

NUMBERS = 1024
LEASE_MS = 60_000


def take(holder: uuid.UUID, now_ms: int) -> int | None:
    """A free number for `holder`; None when all are taken."""
    with transaction.atomic():
        free = (
            WorkerLease.objects.select_for_update(skip_locked=_skips()).filter(expires_ms__lt=now_ms).order_by("number").first()
        )
        if free is not None:
            free.holder, free.expires_ms = holder, now_ms + LEASE_MS
            free.save()
            return free.number
    taken = set(WorkerLease.objects.values_list("number", flat=True))
    for number in range(NUMBERS):
        if number not in taken:
            try:
                with transaction.atomic():
                    WorkerLease.objects.create(number=number, holder=holder, expires_ms=now_ms + LEASE_MS)
            except IntegrityError:
                continue  # Another process was quicker.
            return number
    return None


def renew(number: int, holder: uuid.UUID, now_ms: int) -> bool:
    """Hold a number for longer; False when it is another's by now."""
    changed = WorkerLease.objects.filter(number=number, holder=holder, expires_ms__gte=now_ms).update(
        expires_ms=now_ms + LEASE_MS
    )
    return changed == 1


def _skips() -> bool:
    from django.db import connection  # noqa: PLC0415 - the connection of the calling thread

    return connection.features.has_select_for_update_skip_locked
