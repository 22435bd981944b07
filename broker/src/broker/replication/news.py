"""What one follower has not been told yet, of all the partitions it fetches here: so that a fetch costs what has changed.

Invariant: a partition that is not in `changed` is *quiet* for this follower: it is in the ISR, has everything, and knows the
high watermark and the start of the log. Whatever may end that marks the partition (`Partition.mark`), and nothing else makes
it quiet than a fetch that was read. A quiet follower counts as caught up at each of its fetches, though none is looked at.
A fetch that waits without asking for a partition it should ask for is answered, so that it comes again (`hurry`).
"""

from collections.abc import Callable

from broker.protocol.types import UUID

# As fetch sessions have it: those of followers name topics by their ids alone.
NewsKey = tuple[UUID, str, int]
LONG_AGO_MS = -(2**62)


class News:
    """See the module. `fetched_ms`: when this follower last fetched (monotonic).

    `wake` lets the fetch that waits look for news, `answer` answers it with what there is.
    """

    __slots__ = ("answer", "changed", "fetched_ms", "wake")

    def __init__(self) -> None:
        self.changed: dict[NewsKey, None] = {}
        self.fetched_ms = LONG_AGO_MS
        self.wake: Callable[[], None] | None = None
        self.answer: Callable[[], None] | None = None
