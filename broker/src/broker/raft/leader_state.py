"""What a leader knows of the other replicas: how far each has persisted the log, when it last asked. Source: ``LeaderState``.

Invariant: the high watermark is the largest offset that a majority of voters has persisted, and a leader moves it only past
the start of its own epoch (Raft 5.4.2). The leader counts itself up to what is persisted, like everybody else.
"""

from dataclasses import dataclass

from broker.raft.messages import Fetch

UNKNOWN = -1
# An observer that was silent for so long is forgotten, and there are never more than so many.
OBSERVER_SESSION_MS = 300_000
OBSERVERS_MAX = 1000


@dataclass(slots=True)
class Progress:
    """One replica. Times are monotonic milliseconds, `UNKNOWN` when it never asked."""

    end_offset: int = UNKNOWN
    last_fetch_ms: int = UNKNOWN
    last_caught_up_ms: int = UNKNOWN
    # Where the leader's log ended at the last fetch: who has reached that by the next one was caught up then.
    leader_end_offset: int = UNKNOWN

    @property
    def asked(self) -> bool:
        return self.last_fetch_ms != UNKNOWN

    def observe(self, offset: int, leader_end_offset: int, now: int) -> None:
        if offset >= leader_end_offset:
            self.last_caught_up_ms = now
        elif self.leader_end_offset != UNKNOWN and offset >= self.leader_end_offset:
            self.last_caught_up_ms = self.last_fetch_ms
        self.last_fetch_ms = now
        self.leader_end_offset = leader_end_offset
        self.end_offset = max(self.end_offset, offset)


@dataclass(frozen=True, slots=True)
class Parked:
    """A fetch that waits until there is news for it."""

    fetch: Fetch
    deadline_ms: int


class LeaderState:
    """One term of office."""

    def __init__(self, node_id: int, voters: tuple[int, ...], epoch_start_offset: int, now: int) -> None:
        self.node_id = node_id
        self.began_ms = now
        self.epoch_start_offset = epoch_start_offset
        self.majority = len(voters) // 2 + 1
        self.voters = {voter: Progress() for voter in voters}
        self.observers: dict[int, Progress] = {}
        self.parked: dict[int, Parked] = {}

    def heard_of(self, replica_id: int, now: int) -> None:
        """A voter asked for something else than the log: it is alive."""
        progress = self.voters.get(replica_id)
        if progress is not None:
            progress.last_fetch_ms = now

    def observe_fetch(self, replica_id: int, offset: int, leader_end_offset: int, now: int) -> None:
        """A replica has persisted the log up to `offset`, which agrees with this leader's."""
        progress = self.voters.get(replica_id)
        if progress is None and replica_id >= 0:
            self._forget_observers(now)
            progress = self.observers.setdefault(replica_id, Progress())
        if progress is not None:
            progress.observe(offset, leader_end_offset, now)

    def _forget_observers(self, now: int) -> None:
        silent = [one for one, progress in self.observers.items() if now - progress.last_fetch_ms > OBSERVER_SESSION_MS]
        for one in silent:
            del self.observers[one]
        while len(self.observers) >= OBSERVERS_MAX:
            del self.observers[next(iter(self.observers))]

    def observe_persisted(self, end_offset: int) -> None:
        """The leader's own disk."""
        own = self.voters[self.node_id]
        own.end_offset = max(own.end_offset, end_offset)

    def committed(self, high_watermark: int) -> int:
        """The high watermark as it may be now."""
        by_majority = sorted((progress.end_offset for progress in self.voters.values()), reverse=True)[self.majority - 1]
        return max(high_watermark, by_majority) if by_majority > self.epoch_start_offset else high_watermark

    def majority_fetched_ms(self) -> int | None:
        """When a majority, this leader included, was last known to follow; None when it is a majority alone."""
        others = self.majority - 1
        if not others:
            return None
        times = (max(p.last_fetch_ms, self.began_ms) for voter, p in self.voters.items() if voter != self.node_id)
        return sorted(times, reverse=True)[others - 1]

    def successors(self) -> tuple[int, ...]:
        """The other voters, the one with the longest log first."""
        others = [voter for voter in sorted(self.voters) if voter != self.node_id]
        return tuple(sorted(others, key=lambda voter: -self.voters[voter].end_offset))
