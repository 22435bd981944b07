"""Produce requests that wait for the high watermark: one entry per partition in the order of offsets, and one sweep for all.

Invariants: an entry is answered exactly once; the entries of a partition are answered in the order of their offsets; nobody
waits longer than its time-out and a sweep. Bound: a connection has at most queued.max.requests of them.
Source: ``DelayedProduce``, ``DelayedOperationPurgatory``.
"""

from collections import deque
from collections.abc import Callable

from broker.protocol.errors import ErrorCode

SWEEP_MS = 100
OnAnswer = Callable[[ErrorCode], None]


class ProduceWaiters:
    """Those of one partition."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        # (offset behind the batch, deadline, answer); offsets grow.
        self._entries: deque[tuple[int, int, OnAnswer]] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, end_offset: int, deadline_ms: int, answer: OnAnswer) -> None:
        self._entries.append((end_offset, deadline_ms, answer))

    def advance(self, high_watermark: int, code: ErrorCode) -> None:
        """Answer everybody below the high watermark with `code`."""
        entries = self._entries
        while entries and entries[0][0] <= high_watermark:
            entries.popleft()[2](code)

    def fail(self, code: ErrorCode) -> None:
        """Answer everybody: this node leads no more, or the partition is gone."""
        entries, self._entries = self._entries, deque()
        for _, _, answer in entries:
            answer(code)

    def expire(self, now_ms: int) -> None:
        """Answer those whose time is over: their records may still be committed."""
        overdue = [entry for entry in self._entries if entry[1] <= now_ms]
        if not overdue:
            return
        self._entries = deque(entry for entry in self._entries if entry[1] > now_ms)
        for _, _, answer in overdue:
            answer(ErrorCode.REQUEST_TIMED_OUT)
