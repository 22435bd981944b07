"""One replica of the quorum: its role and epoch, how one role follows another, and when.

The half of the Raft core that is the same whatever the messages say; `core` has the other, and the rules.
"""

from dataclasses import replace

from broker.clock.randomness import Randomness
from broker.protocol.errors import ErrorCode
from broker.raft import answers, asking
from broker.raft.asking import Questions
from broker.raft.election import Tally
from broker.raft.election_store import NOBODY, ElectionState
from broker.raft.leader_state import LeaderState
from broker.raft.messages import AnyAnswer, Effect, FetchAnswer, OpenEpoch, Ready, Reply, Send
from broker.raft.ports import LogView, Timing
from broker.raft.roles import Role, check

# How long to wait at most before a vote is asked for when the leader is known to be gone, or this replica has just started.
JITTER_MS = 100
# How often that is doubled at most for a candidate that loses one election after the other.
DOUBLINGS_MAX = 10


class Replica:
    """See the module. A node that is none of the `voters` is an observer."""

    leader_state = LeaderState

    def __init__(
        self,
        node_id: int,
        voters: tuple[int, ...],
        stored: ElectionState,
        log: LogView,
        *,
        randomness: Randomness,
        timing: Timing | None = None,
        committed: int = 0,
    ) -> None:
        """`committed`: up to where the log is known to be, from its snapshot."""
        self.node_id = node_id
        self.voters = voters
        self.peers = tuple(voter for voter in voters if voter != node_id)
        self.log = log
        self.timing = timing or Timing()
        self._randomness = randomness
        self.role = Role.UNATTACHED
        # Who led when the node stopped does not matter: it is found anew, and this node itself leads no epoch twice.
        epoch = max(stored.epoch, log.last_epoch)
        self.election = ElectionState(epoch, stored.voted_id if epoch == stored.epoch else NOBODY)
        self.high_watermark = committed
        self.leader: LeaderState | None = None
        # Prospective, or a candidate: the votes, and when a prospective replica begins to ask.
        self.tally = Tally(voters)
        self.vote_at = 0
        # Since somebody led.
        self._elections_lost = 0
        # Follower: whether the leader ever answered, whether it is known to be gone, what it has committed, and whether the
        # shell is busy with the log.
        self._fetched = False
        self._gone = False
        self._leader_committed = 0
        self.busy = False
        self.successors: tuple[int, ...] = ()
        self.questions = Questions()
        # When the role's time-out is over.
        self._deadline: int | None = None
        # Nodes whose door is closed, until something is heard from them.
        self._shut: dict[int, None] = {}
        self._at_once: list[Effect] = []
        self._after_persist: list[Effect] = []
        self._dirty = False

    @property
    def epoch(self) -> int:
        return self.election.epoch

    @property
    def leader_id(self) -> int:
        return self.election.leader_id

    @property
    def is_voter(self) -> bool:
        return self.node_id in self.voters

    # Out.

    def take_ready(self) -> Ready:
        """What is to be done since the last call."""
        ready = Ready(self._at_once, self._after_persist, self.election if self._dirty else None)
        self._at_once, self._after_persist, self._dirty = [], [], False
        return ready

    def next_deadline(self) -> int | None:
        """When `on_deadline` is due."""
        times = [not_before for peer, kind, not_before in asking.wishes(self) if not self.questions.is_open(peer, kind)]
        if self._deadline is not None:
            times.append(self._deadline)
        if self.leader is not None:
            times += [parked.deadline_ms for parked in self.leader.parked.values()]
            quorum_ms = self._quorum_deadline()
            if quorum_ms is not None:
                times.append(quorum_ms)
        return min(times, default=None)

    def _quorum_deadline(self) -> int | None:
        """When a leader without followers gives up."""
        fetched_ms = self.leader.majority_fetched_ms() if self.leader is not None else None
        return None if fetched_ms is None else fetched_ms + self.timing.check_quorum_ms

    def on_deadline(self, now: int) -> None:
        """Whatever is due."""
        if self.leader is not None:
            quorum_ms = self._quorum_deadline()
            if quorum_ms is not None and quorum_ms <= now:
                self.resign(now)
            else:
                self._answer_parked(now)
        elif self._deadline is not None and self._deadline <= now:
            self._time_out(now)
        self._poll(now)

    def _time_out(self, now: int) -> None:
        if self.role is Role.RESIGNED:
            self._detach(self.epoch + 1, now)
        elif not self.is_voter:
            self._set_election(ElectionState(self.epoch))
            self._detach(self.epoch, now)
        elif self.role is Role.PROSPECTIVE:
            self._lose(now)
        elif self.role is Role.CANDIDATE and not self.tally.granted_by(self.node_id):
            # Its own vote is not durable yet, and nobody was asked: another epoch would have to be written as well.
            self._deadline = now + self._election_timeout()
        else:
            self._stand(now)

    # Changing roles.

    def start(self, now: int) -> None:
        """Alone, a voter stands at once; with others, after a jitter: it harms nobody to ask whether one would be elected."""
        self._deadline = None
        if self.is_voter:
            self._deadline = now + (self._randomness.randint(0, JITTER_MS) if self.peers else 0)
        self.on_deadline(now)

    def _become(self, role: Role, deadline: int | None) -> None:
        check(self.role, role, voter=self.is_voter)
        if self.leader is not None:
            self._dismiss()
        self.role = role
        self._deadline = deadline if self.is_voter or role is Role.FOLLOWER else None
        self._gone = self._fetched = self.busy = False
        self.questions.clear()

    def _dismiss(self) -> None:
        """Leading is over: nobody waits for this leader's records any more."""
        assert self.leader is not None
        tokens, self.leader = list(self.leader.parked), None
        for token in tokens:
            self._reply(token, FetchAnswer(ErrorCode.NOT_LEADER_OR_FOLLOWER, self.epoch, self.leader_id))

    def _set_election(self, election: ElectionState) -> None:
        assert election.epoch >= self.epoch
        if election != self.election:
            self.election = election
            self._dirty = True

    def _election_timeout(self) -> int:
        timeout = self.timing.election_timeout_ms
        return self._randomness.randint(timeout, 2 * timeout)

    def _detach(self, epoch: int, now: int) -> None:
        """An epoch whose leader is not known."""
        if epoch > self.epoch:
            self._set_election(ElectionState(epoch))
        self._become(Role.UNATTACHED, now + self._election_timeout())

    def _follow(self, leader_id: int, epoch: int, now: int) -> None:
        voted_id = self.election.voted_id if epoch == self.epoch else NOBODY
        self._set_election(ElectionState(epoch, voted_id, leader_id))
        self._elections_lost = 0
        self._become(Role.FOLLOWER, now + self.timing.fetch_timeout_ms)
        self._leader_committed = 0

    def _stand(self, now: int, jitter_ms: int = 0) -> None:
        """Ask whether a majority would vote for this replica (KIP-996)."""
        gone = self._gone
        self._become(Role.PROSPECTIVE, None)
        self._gone = gone
        self._ask_anew(now, jitter_ms)

    def _ask_anew(self, now: int, jitter_ms: int) -> None:
        self._deadline = now + self._election_timeout()
        self.vote_at = now + (self._randomness.randint(0, jitter_ms) if jitter_ms else 0)
        self.questions.clear()
        self.tally = Tally(self.voters)
        self.tally.record(self.node_id, granted=True)
        if self.tally.won:
            self._run(now)

    def _run(self, now: int) -> None:
        """Ask for votes in a new epoch; this replica's own counts when it is durable."""
        self._set_election(ElectionState(self.epoch + 1, self.node_id))
        self._become(Role.CANDIDATE, now + self._election_timeout())
        self.tally = Tally(self.voters)

    def _lose(self, now: int) -> None:
        """A candidate asks again; a prospective replica, too, while its leader is gone; else it goes back to that, or waits."""
        if self.role is Role.CANDIDATE:
            # Two that go on standing in each other's way wait longer each time, and not equally long.
            self._elections_lost += 1
            longest_ms = JITTER_MS << min(self._elections_lost - 1, DOUBLINGS_MAX)
            self._stand(now, min(longest_ms, self.timing.election_backoff_max_ms))
        elif self._gone:
            self._ask_anew(now, JITTER_MS)
        elif self.leader_id == NOBODY:
            self._become(Role.UNATTACHED, now + self._election_timeout())
        else:
            self._follow(self.leader_id, self.epoch, now)

    def _lead(self, now: int) -> None:
        granting = self.tally.granting
        self._set_election(replace(self.election, leader_id=self.node_id))
        self._elections_lost = 0
        self._become(Role.LEADER, None)
        self.leader = self.leader_state(self.node_id, self.voters, self.log.end_offset, now)
        self._at_once.append(OpenEpoch(self.epoch, granting))

    def resign(self, now: int) -> None:
        """Lead no more: the node stops, or no majority follows. The voters are told, the best of them first."""
        if self.leader is None:
            return
        self.successors = self.leader.successors()
        self._set_election(replace(self.election, leader_id=NOBODY))
        self._become(Role.RESIGNED, now + self._election_timeout())
        self._poll(now)

    def _observe_leader(self, epoch: int, leader_id: int, now: int) -> None:
        """A message tells of an epoch, and perhaps of its leader."""
        known = leader_id if leader_id in self.voters and leader_id != self.node_id else NOBODY
        if epoch < self.epoch or (epoch == self.epoch and (known == NOBODY or self.leader_id != NOBODY)):
            return
        if known == NOBODY:
            self._detach(epoch, now)
        else:
            self._follow(known, epoch, now)

    def door_closed(self, node_id: int, now: int) -> None:
        """That node is dead as far as can be seen."""
        if node_id in self.peers:
            self._shut[node_id] = None
            self._leader_gone(node_id, now + self._randomness.randint(0, JITTER_MS))
            if self.role is Role.CANDIDATE and self.tally.lost(self._shut):
                self._lose(now)
        self._poll(now)

    def _leader_gone(self, node_id: int, stand_at: int) -> None:
        """Wait no longer for a leader that resigned, restarted or died."""
        if node_id == self.leader_id and self.role in (Role.FOLLOWER, Role.PROSPECTIVE):
            self._gone = True
            if self.role is Role.FOLLOWER and self._deadline is not None:
                self._deadline = min(self._deadline, stand_at)

    # Doing.

    def _reply(self, token: int, answer: AnyAnswer, *, read_from: int = -1, max_bytes: int = 0) -> None:
        self._at_once.append(Reply(token, answer, read_from, max_bytes))

    def _answer_parked(self, now: int) -> None:
        leader = self.leader
        if leader is None:
            return
        for token, parked in list(leader.parked.items()):
            fetch = parked.fetch
            news = fetch.offset < self.log.end_offset or fetch.high_watermark < self.high_watermark
            if news or parked.deadline_ms <= now:
                del leader.parked[token]
                self._reply(token, answers.fetched(self), read_from=fetch.offset, max_bytes=fetch.max_bytes)

    def _commit(self, now: int) -> None:
        assert self.leader is not None
        self._raise_high_watermark(self.leader.committed(self.high_watermark))
        self._answer_parked(now)

    def _raise_high_watermark(self, offset: int) -> None:
        self.high_watermark = max(self.high_watermark, offset)

    def _poll(self, now: int) -> None:
        """Ask everything that may be asked now."""
        for peer, kind, not_before in asking.wishes(self):
            if not_before <= now and not self.questions.is_open(peer, kind):
                request = asking.request(self, kind)
                self.questions.put(peer, request)
                effects = self._after_persist if asking.needs_persistence(self, kind) else self._at_once
                effects.append(Send(peer, request))
