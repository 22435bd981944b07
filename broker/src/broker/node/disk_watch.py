"""Noticing a disk that hangs: fsyncs are under way, and none has come back for a long time.

A slow disk keeps nobody from serving: heartbeats do not wait for it, and what is acknowledged is in the page caches of the ISR.
One that never answers again is a failed one, as if an fsync had ended in an error (docs/adr/0012). Not in Kafka, which waits.
"""

import errno
from collections.abc import Callable

from broker.clock.port import Clock, Timer
from broker.log.failure import LogDirFailure
from broker.storage.port import Storage

# When Linux, too, says that a task hangs (hung_task_timeout_secs); disks behind a network come back from shorter pauses.
HANGS_MS = 120_000
CHECK_MS = 10_000


class DiskWatch:
    """See the module."""

    def __init__(self, storage: Storage, clock: Clock, directory: str, on_failure: Callable[[LogDirFailure], None]) -> None:
        self._storage = storage
        self._clock = clock
        self._directory = directory
        self._on_failure = on_failure
        self._timer: Timer | None = None
        self._done = 0
        self._moved_ms = 0

    def start(self) -> None:
        self._moved_ms = self._clock.monotonic_ms()
        self._check()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self) -> None:
        now = self._clock.monotonic_ms()
        done = self._storage.fsyncs_done
        if not self._storage.fsyncs_waiting or done != self._done:
            self._done, self._moved_ms = done, now
        if now - self._moved_ms >= HANGS_MS:
            why = f"no fsync has come back for {HANGS_MS // 1000} s: the disk hangs"
            self._on_failure(LogDirFailure(self._directory, OSError(errno.ETIMEDOUT, why)))
            return
        self._timer = self._clock.call_at(now + CHECK_MS, self._check)
