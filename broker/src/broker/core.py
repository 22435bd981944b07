"""The one shape of every core (Raft, controller, partition, group coordinator): decide, then replay.

A core is a plain class without clock, disk, network or randomness of its own:

- ``decide``-like methods take a request and ``now`` and return a `Result`; they change no hard state;
- hard state moves only in ``replay(record)``, which leader, follower and restart share;
- soft state (heartbeats, deadlines, followers' offsets) moves in ``observe_*`` methods and is never written;
- ``next_deadline()`` and ``on_deadline(now)`` are the only notion of a timer.

The active core replays its records when they are appended; the answer waits until they are committed.
The idea is Kafka's ``ControllerResult`` / ``CoordinatorResult``.
"""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

R = TypeVar("R")
T = TypeVar("T")


@dataclass(slots=True, frozen=True)
class Result(Generic[R, T]):
    """What a core decided: the `records` to append (in order) and the `response` to give once they are committed."""

    response: T
    records: list[R] = field(default_factory=list)
