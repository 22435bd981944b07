"""One relay per service: a lease in the service's database, renewed while it lives and given back when it stops."""

import logging
import time
import uuid

from django.db import DatabaseError, IntegrityError, transaction

from servicekit.outbox.models import RelayLease

log = logging.getLogger(__name__)
NAME = "relay"
# So long nothing is sent after a relay was killed. A relay that stalls for longer than its lease finds another in its place.
LEASE_MS = 8_000
RENEW_AFTER_MS = 2_000
# What this process knows of its own lease, so that it does not ask for each batch.
_renewed_ms: dict[uuid.UUID, int] = {}


def hold(holder: uuid.UUID) -> bool:
    """Whether `holder` is the relay now, after taking or renewing the lease when it may."""
    now = time.time_ns() // 1_000_000
    if 0 <= now - _renewed_ms.get(holder, 0) < RENEW_AFTER_MS:
        return True
    if not _take(holder, now):
        _renewed_ms.pop(holder, None)
        return False
    _renewed_ms[holder] = now
    return True


def _take(holder: uuid.UUID, now: int) -> bool:
    with transaction.atomic():
        found = RelayLease.objects.select_for_update().filter(name=NAME).first()
        if found is not None:
            if found.holder != holder and found.expires_ms >= now:
                return False
            found.holder, found.expires_ms = holder, now + LEASE_MS
            found.save()
            return True
    try:
        with transaction.atomic():
            RelayLease.objects.create(name=NAME, holder=holder, expires_ms=now + LEASE_MS)
    except IntegrityError:
        return False
    return True


def release(holder: uuid.UUID) -> None:
    """Let another relay begin at once."""
    _renewed_ms.pop(holder, None)
    try:
        RelayLease.objects.filter(name=NAME, holder=holder).update(expires_ms=0)
    except DatabaseError as error:
        log.warning("the relay's lease ends by itself: %s", error)
