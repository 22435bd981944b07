"""The clock port: the only way the node learns the time or asks to be called later.

Two times: monotonic for deadlines, wall for what is written into records. All callbacks run on the node's one thread.
"""

from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """A scheduled callback."""

    def cancel(self) -> None:
        """Forget the callback; harmless when it already ran."""


class Clock(Protocol):
    """Time and deferred calls, in milliseconds."""

    def monotonic_ms(self) -> int:
        """Milliseconds from an arbitrary start; never goes back."""

    def wall_ms(self) -> int:
        """Milliseconds since the Unix epoch; may jump."""

    def call_at(self, deadline_ms: int, callback: Callable[[], None]) -> Timer:
        """Run `callback` when `monotonic_ms()` has reached `deadline_ms`."""

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Run `callback` after the current turn of the loop."""
