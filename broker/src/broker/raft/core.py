"""The Raft core of one replica: roles, epochs, votes, and how far the log is committed. Pure: no clock, disk or network.

Messages and `now` (monotonic milliseconds) go in by `observe_*`; what is to be done comes out of `take_ready`, in two lists:
at once, and when the election state and the log of this moment are durable. The log is only read here (`LogView`); a
follower's is changed by the shell, as `observe_answer` tells it, and `log_changed` says that this is done.

Invariants: the epoch never goes back; one vote per epoch, durable before anybody hears of it; a replica asks for votes and
fetches only with a log that is durable; the high watermark never goes back. Source: KIP-595, KIP-996, ``KafkaRaftClient``.
Beyond Kafka (decision 16): a leader whose door is closed, that resigned or that restarted is given up at once, not after the
fetch time-out; pre-votes that were refused are asked for again; of two that ask at once, the one with the better log, then
with the lower id, does not stand aside. Not done: voters that change.
"""

from dataclasses import replace

from broker.protocol.errors import ErrorCode
from broker.raft import answers
from broker.raft.election_store import NOBODY
from broker.raft.leader_state import Parked
from broker.raft.messages import (
    AnyAnswer,
    Append,
    BeginEpoch,
    EndEpoch,
    Fetch,
    FetchAnswer,
    LoadSnapshot,
    LogChange,
    Reply,
    Request,
    Truncate,
    Vote,
    VoteAnswer,
)
from broker.raft.replica import JITTER_MS, Replica
from broker.raft.roles import Role

# When a pre-vote that was refused is asked for again, and a reader that knows no leader asks the next voter.
ASK_AGAIN_MS = 50
# For so long after it began to ask, a prospective replica refuses those that rank behind it.
RANK_MS = 150


class RaftError(Exception):
    """This replica and the leader contradict each other about what is committed; nothing here may be trusted."""


class RaftCore(Replica):
    """See the module."""

    # Requests of others.

    def observe_vote(self, token: int, vote: Vote, now: int) -> None:
        """A vote is answered when it is durable; a refusal, and a pre-vote, at once."""
        error = answers.vote_error(self, vote)
        if error is not ErrorCode.NONE:
            self._reply(token, VoteAnswer(error, self.epoch, self.leader_id, False))
            return
        self._shut.pop(vote.candidate_id, None)
        self._observe_leader(vote.epoch, NOBODY, now)
        granted = answers.may_grant(self, vote, now)
        effect = Reply(token, VoteAnswer(ErrorCode.NONE, self.epoch, self.leader_id, granted))
        if granted and not vote.pre_vote:
            self._set_election(replace(self.election, voted_id=vote.candidate_id))
            if self.role is not Role.FOLLOWER:
                self._become(Role.UNATTACHED, now + self._election_timeout())
            self._after_persist.append(effect)
        else:
            self._at_once.append(effect)
            if granted:
                self._stand_aside(now)
        self._poll(now)

    def _stand_aside(self, now: int) -> None:
        """A pre-vote was given: the other gets time to be elected."""
        if self.role is Role.PROSPECTIVE:
            self._ask_anew(now, 0)
            self.vote_at = now + RANK_MS
        elif self._deadline is not None and self.role is not Role.CANDIDATE:
            self._deadline = max(self._deadline, now + RANK_MS)

    def ranks_behind(self, vote: Vote, now: int) -> bool:
        """Whether another that asks at the same time as this replica comes first."""
        if self.role is not Role.PROSPECTIVE or not self.vote_at <= now < self.vote_at + RANK_MS:
            return True
        own = (self.log.last_epoch, self.log.end_offset, -self.node_id)
        return (vote.last_epoch, vote.last_offset, -vote.candidate_id) > own

    @property
    def would_change_leader(self) -> bool:
        """Whether a follower has reason to believe that its leader is not there."""
        return self._gone or not self._fetched

    def observe_begin_epoch(self, token: int, begin: BeginEpoch, now: int) -> None:
        error = answers.begin_error(self, begin)
        if error is ErrorCode.NONE:
            self._shut.pop(begin.leader_id, None)
            if self.role is Role.PROSPECTIVE and (begin.leader_id, begin.epoch) == (self.leader_id, self.epoch):
                self._follow(begin.leader_id, begin.epoch, now)
            self._observe_leader(begin.epoch, begin.leader_id, now)
        self._reply(token, answers.answer(self, error))
        self._poll(now)

    def observe_end_epoch(self, token: int, end: EndEpoch, now: int) -> None:
        error = answers.begin_error(self, end)
        if error is ErrorCode.NONE:
            self._observe_leader(end.epoch, end.leader_id, now)
            turn = end.successors.index(self.node_id) if self.node_id in end.successors else len(end.successors)
            self._leader_gone(end.leader_id, now + turn * JITTER_MS)
        self._reply(token, answers.answer(self, error))
        self._poll(now)

    def observe_fetch(self, token: int, fetch: Fetch, now: int) -> None:
        """A leader answers at once when it has news, and parks the fetch when it has none."""
        error = answers.fetch_error(self, fetch)
        leader = self.leader
        if leader is None or error is not ErrorCode.NONE:
            error = error if error is not ErrorCode.NONE else ErrorCode.NOT_LEADER_OR_FOLLOWER
            self._reply(token, FetchAnswer(error, self.epoch, self.leader_id))
            return
        self._shut.pop(fetch.replica_id, None)
        leader.heard_of(fetch.replica_id, now)
        diverging, snapshot = self.log.compare(fetch.offset, fetch.last_epoch)
        if diverging is not None or snapshot is not None:
            self._reply(
                token,
                replace(answers.fetched(self), diverging=diverging, snapshot=snapshot, log_start_offset=self.log.start_offset),
            )
            return
        leader.observe_fetch(fetch.replica_id, fetch.offset, self.log.end_offset, now)
        leader.parked[token] = Parked(fetch, now + fetch.max_wait_ms)
        self._commit(now)
        self._poll(now)

    def observe_snapshot_fetch(self, replica_id: int, now: int) -> None:
        """A replica reads a snapshot of this leader."""
        if self.leader is not None:
            self.leader.heard_of(replica_id, now)

    # The own log.

    def observe_appended(self, now: int) -> None:
        """The leader's log has grown."""
        self._answer_parked(now)

    def persisted(self, epoch: int, end_offset: int, now: int) -> None:
        """The election state of `epoch` and the log up to `end_offset` are durable."""
        if self.role is Role.CANDIDATE and epoch == self.epoch:
            self._record_vote(self.node_id, granted=True, now=now)
        if self.leader is not None and epoch == self.epoch:
            self.leader.observe_persisted(end_offset)
            self._commit(now)
        self._poll(now)

    def log_changed(self, now: int, *, refused: bool = False) -> None:
        """A follower's shell has done with the log what `observe_answer` said; `refused`: it could not, so not at once again."""
        self.busy = False
        if self.role is Role.FOLLOWER:
            self._raise_high_watermark(min(self._leader_committed, self.log.end_offset))
            if refused:
                self.questions.pause(self.leader_id, now + self.timing.fetch_timeout_ms // 2)
        self._poll(now)

    def snapshot_loaded(self, end_offset: int) -> None:
        """The log begins behind a snapshot of the leader: everything in that is committed."""
        self._raise_high_watermark(end_offset)

    def observe_snapshot_progress(self, now: int) -> None:
        """The leader gives pieces of its snapshot: it is there."""
        if self.role is Role.FOLLOWER and self._deadline is not None:
            self._deadline = now + self.timing.fetch_timeout_ms

    # Asking others.

    def observe_answer(self, peer: int, request: Request, answer: AnyAnswer | None, now: int) -> LogChange | None:
        """What became of a `Send`; None when it got no answer. What is returned is to be done to the log at once."""
        change = None
        if answer is not None:
            self._shut.pop(peer, None)
            self._observe_leader(answer.epoch, answer.leader_id, now)
        # What was asked in another role or epoch says nothing more.
        if self.questions.close(peer, request, answered=answer is not None):
            if answer is None:
                self._not_answered(peer, request, now)
            else:
                change = self._answered(peer, request, answer, now)
        self._poll(now)
        return change

    def _not_answered(self, peer: int, request: Request, now: int) -> None:
        first_ms = self.timing.retry_backoff_ms
        if isinstance(request, Fetch):
            self.questions.pause(peer, now + first_ms)
            self.questions.turn += self.role is Role.UNATTACHED
        else:
            longest_ms = ASK_AGAIN_MS if isinstance(request, Vote) else self.timing.begin_epoch_ms
            self.questions.back_off(peer, now, first_ms, longest_ms)

    def _answered(self, peer: int, request: Request, answer: AnyAnswer, now: int) -> LogChange | None:
        if isinstance(answer, FetchAnswer):
            return self._fetch_answered(peer, answer, now)
        if isinstance(answer, VoteAnswer):
            self.questions.pause(peer, now + ASK_AGAIN_MS)
            self._vote_answered(peer, answer, now)
        else:
            told_ms = self.timing.begin_epoch_ms if isinstance(request, BeginEpoch) else 2 * self.timing.election_timeout_ms
            self.questions.pause(peer, now + told_ms)
        return None

    def _vote_answered(self, peer: int, answer: VoteAnswer, now: int) -> None:
        if self.role is Role.PROSPECTIVE and (answer.leader_id, answer.epoch) == (peer, self.epoch):
            # It does lead, whatever its silence was.
            self._follow(peer, self.epoch, now)
            return
        self._record_vote(peer, granted=answer.granted and answer.error is ErrorCode.NONE, now=now)

    def _record_vote(self, voter: int, *, granted: bool, now: int) -> None:
        self.tally.record(voter, granted=granted)
        if self.tally.won:
            if self.role is Role.PROSPECTIVE:
                self._run(now)
            else:
                self._lead(now)
        elif self.tally.lost(self._shut if self.role is Role.CANDIDATE else ()):
            self._lose(now)

    def _fetch_answered(self, peer: int, answer: FetchAnswer, now: int) -> LogChange | None:
        if self.role is not Role.FOLLOWER:
            self.questions.turn += 1
            self.questions.pause(peer, now + ASK_AGAIN_MS)
            return None
        if answer.error is not ErrorCode.NONE:
            self.questions.pause(peer, now + self.timing.retry_backoff_ms)
            if answer.error is ErrorCode.NOT_LEADER_OR_FOLLOWER and answer.epoch == self.epoch:
                self._leader_gone(peer, now + self._randomness.randint(0, JITTER_MS))
            return None
        self._fetched, self._gone = True, False
        if self._deadline is not None:
            self._deadline = now + self.timing.fetch_timeout_ms
        self.busy = True
        if answer.snapshot is not None:
            return LoadSnapshot(peer, self.epoch, answer.snapshot)
        if answer.diverging is not None:
            offset = self.log.truncation_offset(answer.diverging)
            if offset < self.high_watermark:
                raise RaftError(f"node {peer} would have this log cut to {offset}, but {self.high_watermark} is committed")
            return Truncate(offset)
        self._leader_committed = answer.high_watermark
        if len(answer.records):
            return Append(answer.records)
        self.log_changed(now)
        return None
