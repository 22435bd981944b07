"""The simulated twin of the clock: a heap of callbacks and a time that jumps to the next of them."""

import heapq
from collections.abc import Callable

WALL_START_MS = 1_700_000_000_000


class SimulatedTimer:
    """A callback on the heap."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class SimulatedClock:
    """Virtual time for everything in one simulation. Ties run in the order in which they were asked for."""

    def __init__(self) -> None:
        self.now_ms = 0
        self._heap: list[tuple[int, int, SimulatedTimer]] = []
        self._sequence = 0

    def monotonic_ms(self) -> int:
        return self.now_ms

    def wall_ms(self) -> int:
        return WALL_START_MS + self.now_ms

    def call_at(self, deadline_ms: int, callback: Callable[[], None]) -> SimulatedTimer:
        timer = SimulatedTimer(callback)
        self._sequence += 1
        heapq.heappush(self._heap, (max(deadline_ms, self.now_ms), self._sequence, timer))
        return timer

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.call_at(self.now_ms, callback)

    def step(self) -> bool:
        """Run the next callback; False when there is none."""
        while self._heap:
            when, _, timer = heapq.heappop(self._heap)
            if timer.callback is None:
                continue
            self.now_ms = when
            timer.callback()
            return True
        return False

    def run_until(self, deadline_ms: int) -> None:
        """Run everything that is due up to a time, and go there."""
        while self._heap and self._heap[0][0] <= deadline_ms:
            self.step()
        self.now_ms = max(self.now_ms, deadline_ms)
