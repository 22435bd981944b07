"""The generator of ids, on a leased worker number.

Invariants: ids of one process grow; no id is made after the lease is over, or while the clock stands before the last id.
A clock that goes back stops the generator with `ClockWentBack` until it has caught up.
"""

import threading
import time
import uuid
from collections.abc import Callable

from django.db import DatabaseError

from servicekit.ids import leases
from servicekit.problems import Unavailable

EPOCH_MS = 1_704_067_200_000  # 2024-01-01T00:00:00Z
TIME_BITS, WORKER_BITS, SEQUENCE_BITS = 41, 10, 12
SEQUENCE_MAX = (1 << SEQUENCE_BITS) - 1
RENEW_AFTER_MS = leases.LEASE_MS // 3


class IdsUnavailable(Unavailable):
    """No id can be made right now."""


class LeaseLost(IdsUnavailable):
    """The worker number could not be leased, or not renewed in time."""


class ClockWentBack(IdsUnavailable):
    """The clock stands before the time of the last id."""


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


class Generator:
    """See the module. `take` and `renew` are those of `leases`; `clock` gives wall time in milliseconds."""

    def __init__(
        self,
        clock: Callable[[], int] = wall_ms,
        take: Callable[[uuid.UUID, int], int | None] = leases.take,
        renew: Callable[[int, uuid.UUID, int], bool] = leases.renew,
    ) -> None:
        self._clock, self._take, self._renew = clock, take, renew
        self._lock = threading.Lock()
        self._holder = uuid.uuid4()
        self._number: int | None = None
        self._expires_ms = 0
        self._last_ms = 0
        self._sequence = 0

    def next_id(self) -> int:
        """A new id. ClockWentBack, LeaseLost."""
        with self._lock:
            now = self._clock()
            self._check(now)
            self._hold(now)
            if now == self._last_ms:
                self._sequence += 1
                if self._sequence > SEQUENCE_MAX:
                    now = self._next_millisecond()
            if now > self._last_ms:
                self._last_ms, self._sequence = now, 0
            assert self._number is not None
            return (now - EPOCH_MS) << (WORKER_BITS + SEQUENCE_BITS) | self._number << SEQUENCE_BITS | self._sequence

    def _next_millisecond(self) -> int:
        while (now := self._clock()) == self._last_ms:
            time.sleep(0.0002)
        self._check(now)
        return now

    def _check(self, now: int) -> None:
        if now < self._last_ms:
            raise ClockWentBack(f"the clock went back by {self._last_ms - now} ms; no ids until it has caught up")

    def _hold(self, now: int) -> None:
        """Have a lease that is not about to end."""
        if self._number is not None and now < self._expires_ms - leases.LEASE_MS + RENEW_AFTER_MS:
            return
        try:
            if self._number is not None and self._renew(self._number, self._holder, now):
                self._expires_ms = now + leases.LEASE_MS
                return
            self._number = self._take(self._holder, now)
        except DatabaseError as error:
            if self._number is not None and now < self._expires_ms:
                return  # The lease still holds; the next id tries again.
            raise LeaseLost(f"the worker number cannot be leased: {error}") from error
        if self._number is None:
            raise LeaseLost(f"all {leases.NUMBERS} worker numbers are leased")
        self._expires_ms = now + leases.LEASE_MS


_generator = Generator()


def next_id() -> int:
    """A new id of this process. Call it outside of transactions: taking a lease is one of its own."""
    return _generator.next_id()
