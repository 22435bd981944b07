"""Whom a replica asks what, and when again: one question of a kind to a peer at a time, with a pause after each.

Source: ``RequestManager``, ``KafkaRaftClient.poll*``.
"""

from typing import TYPE_CHECKING

from broker.raft.messages import BeginEpoch, EndEpoch, Fetch, Request, Vote
from broker.raft.roles import Role

if TYPE_CHECKING:
    from broker.raft.replica import Replica

# The pause doubles with every question that got no answer, so many times at most.
DOUBLINGS_MAX = 10
Kind = type[Vote] | type[BeginEpoch] | type[EndEpoch] | type[Fetch]


class Questions:
    """The questions of one role in one epoch. Times are monotonic milliseconds."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, type], Request] = {}
        self._not_before: dict[int, int] = {}
        self._unanswered: dict[int, int] = {}
        # Whose turn it is to be asked who leads.
        self.turn = 0

    def clear(self) -> None:
        self._open.clear()
        self._not_before.clear()
        self._unanswered.clear()

    def put(self, peer: int, request: Request) -> None:
        self._open[peer, type(request)] = request

    def is_open(self, peer: int, kind: type) -> bool:
        return (peer, kind) in self._open

    def close(self, peer: int, request: Request, *, answered: bool) -> bool:
        """The question is over; False when nobody waits for what became of it."""
        if self._open.get((peer, type(request))) is not request:
            return False
        del self._open[peer, type(request)]
        self._unanswered[peer] = 0 if answered else min(self._unanswered.get(peer, 0) + 1, DOUBLINGS_MAX)
        return True

    def pause(self, peer: int, until_ms: int) -> None:
        """Ask this peer nothing more until then."""
        self._not_before[peer] = until_ms

    def not_before(self, peer: int) -> int:
        return self._not_before.get(peer, 0)

    def back_off(self, peer: int, now: int, first_ms: int, longest_ms: int) -> None:
        """No answer: pause, and longer each time."""
        self.pause(peer, now + min(first_ms << self._unanswered.get(peer, 0), longest_ms))


def wishes(core: "Replica") -> list[tuple[int, Kind, int]]:
    """Whom this replica would ask what, and from when on."""
    pause = core.questions.not_before
    if core.role is Role.PROSPECTIVE:
        return [(peer, Vote, max(pause(peer), core.vote_at)) for peer in core.peers if not core.tally.granted_by(peer)]
    if core.role is Role.CANDIDATE:
        return [(peer, Vote, pause(peer)) for peer in core.peers if not core.tally.answered(peer)]
    if core.leader is not None:
        fetched, quiet_ms = core.leader.voters, core.timing.begin_epoch_ms
        return [
            (peer, BeginEpoch, max(pause(peer), fetched[peer].last_fetch_ms + quiet_ms if fetched[peer].asked else 0))
            for peer in core.peers
        ]
    if core.role is Role.RESIGNED:
        return [(peer, EndEpoch, pause(peer)) for peer in core.peers]
    if core.busy or not core.peers:
        return []
    peer = core.leader_id if core.role is Role.FOLLOWER else core.peers[core.questions.turn % len(core.peers)]
    return [(peer, Fetch, pause(peer))]


def request(core: "Replica", kind: Kind) -> Request:
    """The question as it is now."""
    log, timing = core.log, core.timing
    if kind is Vote:
        return Vote(core.node_id, core.epoch, log.last_epoch, log.end_offset, core.role is Role.PROSPECTIVE)
    if kind is BeginEpoch:
        return BeginEpoch(core.node_id, core.epoch)
    if kind is EndEpoch:
        return EndEpoch(core.node_id, core.epoch, core.successors)
    return Fetch(
        core.node_id,
        core.epoch,
        log.end_offset,
        log.last_epoch,
        core.high_watermark,
        timing.fetch_wait_ms,
        timing.fetch_bytes,
    )


def needs_persistence(core: "Replica", kind: Kind) -> bool:
    """A candidate's vote and a fetch tell what this replica has: it must have it for good."""
    return kind is Fetch or (kind is Vote and core.role is Role.CANDIDATE)
