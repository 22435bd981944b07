"""Where a consumer stands in a partition, and what it hears when it does not stand where it thought."""

from dataclasses import dataclass

Partition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Step:
    """From one position to the next: `expected` is the offset of the record that is taken now, as far as the consumer knows."""

    topic: str
    partition: int
    expected: int
    next: int


class PositionMoved(Exception):
    """The projection's position is another than expected: it was emptied, went back with its disk, or was rebuilt.

    Whoever consumes has to go on from the stored position.
    """


class DependencyDown(Exception):
    """The projection's store does not answer; nothing was changed, or it is not known. Ask again later."""
