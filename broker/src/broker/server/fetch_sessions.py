"""Incremental fetch sessions (KIP-227): the broker remembers what a client fetches, so that it need not be said again.

A session has an epoch that grows with each request; a client that lost track is refused and begins anew. The cache is
bounded; when it is full, the session that was unused the longest goes after `EVICTION_MS`. Source: ``FetchSession``.
"""

import uuid
from dataclasses import dataclass, field

from broker.protocol.errors import ErrorCode, KafkaError

NO_SESSION = 0
INITIAL_EPOCH = 0
FINAL_EPOCH = -1
EVICTION_MS = 120_000
EPOCH_MAX = 2**31 - 1
# (topic id, topic name, partition); the id is zero for clients that speak names, the name empty for those that speak ids.
PartitionKey = tuple[uuid.UUID, str, int]


@dataclass(slots=True)
class Wanted:
    """What is wanted of one partition, and what its reader was last told."""

    fetch_offset: int
    max_bytes: int
    current_leader_epoch: int
    last_fetched_epoch: int = -1
    told_high_watermark: int = -2
    told_log_start_offset: int = -2


@dataclass(slots=True)
class Session:
    """One client's partitions in the order in which they are served."""

    session_id: int
    epoch: int
    used_at_ms: int
    partitions: dict[PartitionKey, Wanted] = field(default_factory=dict)


class FetchSessions:
    """All sessions of a broker."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._sessions: dict[int, Session] = {}
        self._next_id = 1

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, partitions: dict[PartitionKey, Wanted], now_ms: int) -> int:
        """Remember a full fetch; the new session's id, or 0 when there is no room."""
        if len(self._sessions) >= self._slots and not self._evict(now_ms):
            return NO_SESSION
        session = Session(self._next_id, 1, now_ms, partitions)
        self._next_id = self._next_id % EPOCH_MAX + 1
        self._sessions[session.session_id] = session
        return session.session_id

    def _evict(self, now_ms: int) -> bool:
        oldest = min(self._sessions.values(), key=lambda session: session.used_at_ms, default=None)
        if oldest is None or now_ms - oldest.used_at_ms < EVICTION_MS:
            return False
        del self._sessions[oldest.session_id]
        return True

    def resume(self, session_id: int, epoch: int, now_ms: int) -> Session:
        """The session of an incremental fetch; KafkaError when it is gone or the epoch is not the next one."""
        session = self._sessions.get(session_id)
        if session is None:
            raise KafkaError(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
        if session.epoch != epoch:
            raise KafkaError(ErrorCode.INVALID_FETCH_SESSION_EPOCH)
        session.epoch = 1 if epoch == EPOCH_MAX else epoch + 1
        session.used_at_ms = now_ms
        return session

    def close(self, session_id: int) -> None:
        self._sessions.pop(session_id, None)
