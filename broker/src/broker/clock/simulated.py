"""The simulated twin of the clock: a heap of callbacks and a time that jumps to the next of them.

`SimulatedClock` is the time of the whole simulation, `NodeClock` what one node sees of it: its own wall clock, and callbacks
that die with the node. A node can be paused: time goes on, and what was due meanwhile is called when it goes on as well.
"""

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
        if self.next_ms() is None:
            return False
        self.now_ms, _, timer = heapq.heappop(self._heap)
        callback = timer.callback
        assert callback is not None
        callback()
        return True

    def next_ms(self) -> int | None:
        """When the next callback is due; None when there is none."""
        while self._heap and self._heap[0][2].callback is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def run_until(self, deadline_ms: int) -> None:
        """Run everything that is due up to a time, and go there."""
        while (due := self.next_ms()) is not None and due <= deadline_ms:
            self.step()
        self.now_ms = max(self.now_ms, deadline_ms)


class NodeClock:
    """One node's clock. `wall_offset_ms`: how far its wall clock is off; it may be changed at any time."""

    def __init__(self, clock: SimulatedClock, wall_offset_ms: int = 0) -> None:
        self._clock = clock
        self._life = 0
        self.wall_offset_ms = wall_offset_ms
        # What was due while the node was paused; None while it is not.
        self._held: list[Callable[[], None]] | None = None

    def monotonic_ms(self) -> int:
        return self._clock.now_ms

    def wall_ms(self) -> int:
        return self._clock.wall_ms() + self.wall_offset_ms

    def call_at(self, deadline_ms: int, callback: Callable[[], None]) -> SimulatedTimer:
        life = self._life

        def run() -> None:
            if self._life != life or timer.callback is None:
                return
            if self._held is not None:
                self._held.append(run)
                return
            callback()

        timer = self._clock.call_at(deadline_ms, run)
        return timer

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.call_at(self._clock.now_ms, callback)

    def crash(self) -> None:
        """The node died: whatever it has asked for is never called."""
        self._life += 1
        self._held = None

    def pause(self) -> None:
        """The node does nothing until `resume`; harmless when it does nothing already."""
        if self._held is None:
            self._held = []

    def resume(self) -> None:
        """The node goes on with what was due meanwhile."""
        held, self._held = self._held, None
        for run in held or []:
            self._clock.call_soon(run)
