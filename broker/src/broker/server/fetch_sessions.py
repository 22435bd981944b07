"""Incremental fetch sessions (KIP-227): the broker remembers what a client fetches, so that it need not be said again.

A session has an epoch that grows with each request; a client that lost track is refused and begins anew. The cache is
bounded; when it is full, a session goes that was unused for `EVICTION_MS`, or else an old one that is smaller than the new
one. Source: ``FetchSession``, ``FetchSessionCacheShard``.
"""

import uuid
from dataclasses import dataclass, field

from broker.clock.randomness import Randomness
from broker.protocol.errors import ErrorCode, KafkaError
from broker.replication.news import News

NO_SESSION = 0
INITIAL_EPOCH = 0
FINAL_EPOCH = -1
EVICTION_MS = 120_000
EPOCH_MAX = 2**31 - 1
# What a reader knows that was told nothing yet.
UNTOLD = (-2, -2)
# (topic id, topic name, partition); the id is zero for clients that speak names, the name empty for those that speak ids.
PartitionKey = tuple[uuid.UUID, str, int]


@dataclass(slots=True)
class Wanted:
    """What is wanted of one partition, and what its reader was last told: its high watermark, and where its log begins."""

    fetch_offset: int
    max_bytes: int
    current_leader_epoch: int
    last_fetched_epoch: int = -1
    log_start_offset: int = -1
    told: tuple[int, int] = UNTOLD


@dataclass(slots=True)
class Session:
    """One client's partitions in the order in which they are served. `by_id`: it names topics by their ids."""

    session_id: int
    epoch: int
    by_id: bool
    created_at_ms: int
    used_at_ms: int
    partitions: dict[PartitionKey, Wanted] = field(default_factory=dict)
    # A follower's: which of the partitions are to be looked at.
    news: News | None = None

    def serve_last(self, key: PartitionKey) -> None:
        """Its reader got data of this partition: the others come first the next time, so that none starves."""
        wanted = self.partitions.pop(key, None)
        if wanted is not None:
            self.partitions[key] = wanted
        if self.news is not None:
            self.news.changed.pop(key, None)
            self.news.changed[key] = None


class FetchSessions:
    """All sessions of a broker."""

    def __init__(self, slots: int, randomness: Randomness) -> None:
        self._slots = slots
        self._randomness = randomness
        self._sessions: dict[int, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, partitions: dict[PartitionKey, Wanted], now_ms: int, *, by_id: bool) -> int:
        """Remember a full fetch; the new session's id, or 0 when there is no room."""
        if len(self._sessions) >= self._slots and not self._evict(len(partitions), now_ms):
            return NO_SESSION
        session = Session(self._new_id(), 1, by_id, now_ms, now_ms, partitions)
        self._sessions[session.session_id] = session
        return session.session_id

    def _new_id(self) -> int:
        # At random, so that a client of before a restart does not take another's session for its own.
        while (session_id := self._randomness.randint(1, EPOCH_MAX)) in self._sessions:
            pass
        return session_id

    def _evict(self, size: int, now_ms: int) -> bool:
        """Make room for a session of `size` partitions."""
        oldest = min(self._sessions.values(), key=lambda session: session.used_at_ms, default=None)
        if oldest is None:
            return False
        if now_ms - oldest.used_at_ms > EVICTION_MS:
            del self._sessions[oldest.session_id]
            return True
        old = (session for session in self._sessions.values() if now_ms - session.created_at_ms > EVICTION_MS)
        smallest = min(old, key=lambda session: len(session.partitions), default=None)
        if smallest is None or len(smallest.partitions) >= size:
            return False
        del self._sessions[smallest.session_id]
        return True

    def resume(self, session_id: int, epoch: int, now_ms: int, *, by_id: bool) -> Session:
        """The session of an incremental fetch; KafkaError when it is gone, or the epoch is not the next one."""
        session = self._sessions.get(session_id)
        if session is None:
            raise KafkaError(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
        if session.epoch != epoch:
            raise KafkaError(ErrorCode.INVALID_FETCH_SESSION_EPOCH)
        if session.by_id != by_id:
            raise KafkaError(ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR)
        session.epoch = 1 if epoch == EPOCH_MAX else epoch + 1
        session.used_at_ms = now_ms
        return session

    def close(self, session_id: int) -> None:
        self._sessions.pop(session_id, None)
