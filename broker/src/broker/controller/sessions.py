"""Which brokers are alive, as the active controller has heard from them: soft state, never written.

A new controller has heard from nobody yet and gives every registered broker a whole session. A broker speaks again when it was
answered, so while its answer waits for this controller's own disk it is not silent. Times are monotonic milliseconds.
Source: ``BrokerHeartbeatManager``, ``BrokerHeartbeatTracker``.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from broker.metadata.image import BrokerImage, MetadataImage

UNKNOWN_OFFSET = -1


@dataclass(slots=True)
class Session:
    """One life of a broker."""

    epoch: int
    heard_ms: int
    # Whether this controller has heard from it at all, or only gives it time to show itself.
    heard: bool = True
    # How many answers to it wait for a commit.
    unanswered: int = 0
    metadata_offset: int = UNKNOWN_OFFSET
    # Where the records that moved its leaders away end, once it has asked to shut down.
    shutdown_offset: int = UNKNOWN_OFFSET


class BrokerSessions:
    """See the module."""

    def __init__(self, timeout_ms: int) -> None:
        self._timeout_ms = timeout_ms
        self._sessions: dict[int, Session] = {}

    def begin(self, brokers: Iterable[BrokerImage], now_ms: int) -> None:
        """This controller is active from now on."""
        self._sessions = {broker.broker_id: Session(broker.epoch, now_ms, heard=False) for broker in brokers}

    def open(self, broker_id: int, epoch: int, now_ms: int) -> Session:
        """A broker has registered."""
        session = self._sessions[broker_id] = Session(epoch, now_ms)
        return session

    def touch(self, broker_id: int, epoch: int, metadata_offset: int, now_ms: int) -> Session:
        """A heartbeat came."""
        session = self._sessions.get(broker_id)
        if session is None or session.epoch != epoch:
            session = self.open(broker_id, epoch, now_ms)
        session.heard, session.heard_ms, session.metadata_offset = True, now_ms, metadata_offset
        return session

    def doubt(self, broker_id: int) -> None:
        """A connection of a broker has ended: it has to be heard again before another life of it is kept away."""
        session = self._sessions.get(broker_id)
        if session is not None:
            session.heard = False

    def close(self, broker_id: int) -> None:
        """A broker was fenced or forgotten: what it says from now on is news."""
        self._sessions.pop(broker_id, None)

    def hold(self, broker_id: int) -> Session | None:
        """Its answer waits for a commit, until `answered`."""
        session = self._sessions.get(broker_id)
        if session is not None:
            session.unanswered += 1
        return session

    def answered(self, session: Session, now_ms: int) -> None:
        """It may speak again, and has a whole session to do so."""
        session.unanswered -= 1
        session.heard_ms = now_ms

    def _is_silent(self, session: Session, now_ms: int) -> bool:
        return not session.unanswered and now_ms - session.heard_ms >= self._timeout_ms

    def is_valid(self, broker_id: int, epoch: int, now_ms: int) -> bool:
        """Whether a broker that was registered under this epoch is there: it was heard, and not long ago."""
        session = self._sessions.get(broker_id)
        if session is None or session.epoch != epoch or not session.heard:
            return False
        return not self._is_silent(session, now_ms)

    def heard_since(self, broker_id: int, since_ms: int) -> bool:
        """Whether a broker was heard at or after a time."""
        session = self._sessions.get(broker_id)
        return session is not None and session.heard and session.heard_ms >= since_ms

    def expired(self, now_ms: int) -> list[int]:
        """Brokers that were silent for a whole session, by id."""
        return sorted(one for one, session in self._sessions.items() if self._is_silent(session, now_ms))

    def next_deadline(self) -> int | None:
        """When `expired` may say something."""
        waited_for = (session for session in self._sessions.values() if not session.unanswered)
        return min((session.heard_ms + self._timeout_ms for session in waited_for), default=None)

    def lowest_active_offset(self, image: MetadataImage) -> int:
        """What every broker that serves has replayed."""
        active = (b.broker_id for b in image.brokers.values() if not b.fenced and not b.in_controlled_shutdown)
        return min((self._sessions[one].metadata_offset for one in active if one in self._sessions), default=2**63 - 1)
