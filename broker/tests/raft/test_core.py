"""The core: votes, terms of office, what is committed, and what a follower does. The order of events is in the scenarios."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from broker.clock.randomness import Randomness
from broker.protocol.errors import ErrorCode
from broker.raft.core import RaftCore, RaftError
from broker.raft.election_store import ElectionState
from broker.raft.messages import (
    Answer,
    Append,
    BeginEpoch,
    EndEpoch,
    EpochEnd,
    Fetch,
    FetchAnswer,
    LoadSnapshot,
    OpenEpoch,
    Reply,
    Send,
    Truncate,
    Vote,
    VoteAnswer,
)
from broker.raft.ports import Timing
from broker.raft.replica import JITTER_MS
from broker.raft.roles import Role

NONE = ErrorCode.NONE


@dataclass
class Log:
    """A log as the core sees it. `parts`: what comparing says."""

    end_offset: int = 10
    last_epoch: int = 4
    start_offset: int = 0
    parts: tuple[EpochEnd | None, EpochEnd | None] = (None, None)
    cut_at: int = 0

    def compare(self, offset: int, last_epoch: int) -> tuple[EpochEnd | None, EpochEnd | None]:
        return self.parts

    def truncation_offset(self, end: EpochEnd) -> int:
        return self.cut_at


@dataclass
class Stage:
    """A core with its log; every `take` empties what it wants."""

    node_id: int = 1
    voters: tuple[int, ...] = (1, 2, 3)
    stored: ElectionState = field(default_factory=lambda: ElectionState(4))
    log: Log = field(default_factory=Log)
    committed: int = 0
    now: int = 0

    def __post_init__(self) -> None:
        self.core = RaftCore(self.node_id, self.voters, self.stored, self.log, randomness=Randomness(1), committed=self.committed)

    def take(self) -> tuple[list[Any], list[Any]]:
        ready = self.core.take_ready()
        return ready.at_once, ready.after_persist

    def run_to(self, now: int) -> None:
        while (due := self.core.next_deadline()) is not None and due <= now:
            self.now = max(self.now, due)
            self.core.on_deadline(self.now)
        self.now = now

    def expect(self, role: Role) -> None:
        assert self.core.role is role

    def stand(self) -> None:
        """Ask whether it would be elected."""
        self.core.start(self.now)
        self.run_to(self.now + 100)
        assert self.core.role is (Role.PROSPECTIVE if self.core.peers else Role.CANDIDATE)

    def run(self) -> None:
        """Be a candidate with a durable vote for itself."""
        self.stand()
        for effect in self.take()[0]:
            if isinstance(effect, Send) and effect.peer == 2:
                self.core.observe_answer(2, effect.request, VoteAnswer(NONE, self.core.epoch, -1, True), self.now)
        self.expect(Role.CANDIDATE)
        self.core.persisted(self.core.epoch, self.log.end_offset, self.now)

    def lead(self) -> None:
        self.run()
        for effect in self.take()[1]:
            if isinstance(effect, Send) and effect.peer == 2:
                self.core.observe_answer(2, effect.request, VoteAnswer(NONE, self.core.epoch, -1, True), self.now)
        self.expect(Role.LEADER)
        self.log.end_offset += 1
        self.log.last_epoch = self.core.epoch
        self.core.observe_appended(self.now)
        self.take()

    def follow(self, leader: int = 2) -> Fetch:
        """Follow a leader; the first fetch."""
        self.core.start(self.now)
        self.core.observe_begin_epoch(1, BeginEpoch(leader, 5), self.now)
        (send,) = [e for e in self.take()[1] if isinstance(e.request, Fetch) and e.request.epoch == 5]
        fetch: Fetch = send.request
        return fetch


def test_it_begins_where_file_and_log_say() -> None:
    assert Stage(stored=ElectionState(6, 2, 3)).core.election == ElectionState(6, 2)
    assert Stage(stored=ElectionState(2, 2, 3)).core.election == ElectionState(4)


def test_alone_it_stands_at_once_and_leads_when_its_vote_is_durable() -> None:
    stage = Stage(voters=(1,))
    stage.core.start(0)
    ready = stage.core.take_ready()
    assert (ready.election, ready.at_once, ready.after_persist) == (ElectionState(5, 1), [], [])
    stage.core.persisted(4, 10, 0)
    assert stage.core.role is Role.CANDIDATE
    stage.core.persisted(5, 10, 0)
    ready = stage.core.take_ready()
    assert ready.election == ElectionState(5, 1, 1)
    assert ready.at_once == [OpenEpoch(5, (1,))]


def test_who_asks_first_has_raised_no_epoch() -> None:
    stage = Stage()
    stage.stand()
    at_once, after = stage.take()
    assert [e.request for e in at_once if isinstance(e.request, Vote)] == [Vote(1, 4, 4, 10, True)] * 2
    assert all(isinstance(e.request, Fetch) for e in after)
    assert stage.core.epoch == 4


def test_votes_are_asked_for_when_the_own_is_durable() -> None:
    stage = Stage()
    stage.run()
    at_once, after = stage.take()
    assert [e for e in at_once if isinstance(e, Send)] == []
    assert [(e.peer, e.request) for e in after] == [(2, Vote(1, 5, 4, 10, False)), (3, Vote(1, 5, 4, 10, False))]


def test_two_of_three_make_a_leader() -> None:
    stage = Stage()
    stage.run()
    votes = {e.peer: e.request for e in stage.take()[1]}
    stage.core.observe_answer(3, votes[3], VoteAnswer(NONE, 5, -1, False), 200)
    assert stage.core.role is Role.CANDIDATE
    stage.core.observe_answer(2, votes[2], VoteAnswer(NONE, 5, -1, True), 200)
    assert stage.core.role is Role.LEADER
    assert stage.core.leader is not None
    assert stage.core.leader.epoch_start_offset == 10
    at_once, _ = stage.take()
    assert OpenEpoch(5, (1, 2)) in at_once
    assert Send(2, BeginEpoch(1, 5)) in at_once and Send(3, BeginEpoch(1, 5)) in at_once


def test_two_refusals_end_an_election_and_the_next_one_is_not_at_once() -> None:
    stage = Stage()
    stage.run()
    for peer, request in {e.peer: e.request for e in stage.take()[1]}.items():
        stage.core.observe_answer(peer, request, VoteAnswer(NONE, 5, -1, False), 200)
    assert (stage.core.role, stage.core.epoch) == (Role.PROSPECTIVE, 5)


def pauses_of_a_loser(longest_ms: int, times: int = 12) -> list[int]:
    """How long a candidate that is refused again and again waits before it asks again."""
    stage = Stage()
    stage.core.timing = Timing(election_backoff_max_ms=longest_ms)
    stage.run()
    pauses = []
    while len(pauses) < times:
        for send in stage.take()[1]:
            if isinstance(send.request, Vote):
                stage.core.observe_answer(send.peer, send.request, VoteAnswer(NONE, stage.core.epoch, -1, False), stage.now)
        stage.expect(Role.PROSPECTIVE)
        pauses.append(stage.core.vote_at - stage.now)
        stage.run_to(stage.core.vote_at)
        for send in stage.take()[0]:
            if isinstance(send.request, Vote) and send.peer == 2:
                stage.core.observe_answer(2, send.request, VoteAnswer(NONE, stage.core.epoch, -1, True), stage.now)
        stage.expect(Role.CANDIDATE)
        stage.core.persisted(stage.core.epoch, stage.log.end_offset, stage.now)
    return pauses


def test_who_loses_again_and_again_waits_longer_up_to_a_bound() -> None:
    pauses = pauses_of_a_loser(1000)
    assert pauses[0] <= JITTER_MS
    assert JITTER_MS < max(pauses) <= 1000
    assert max(pauses_of_a_loser(30)) <= 30
    assert set(pauses_of_a_loser(0)) == {0}


def vote(stage: Stage, request: Vote) -> tuple[VoteAnswer, bool]:
    """The answer, and whether it waits for the disk."""
    stage.core.observe_vote(9, request, stage.now)
    at_once, after = stage.take()
    (effect,) = [e for e in at_once + after if isinstance(e, Reply)]
    assert isinstance(effect.answer, VoteAnswer)
    return effect.answer, effect in after


def test_a_vote_waits_for_the_disk_and_is_given_once() -> None:
    stage = Stage()
    assert vote(stage, Vote(2, 5, 4, 10, False)) == (VoteAnswer(NONE, 5, -1, True), True)
    assert vote(stage, Vote(3, 5, 4, 10, False)) == (VoteAnswer(NONE, 5, -1, False), False)
    assert vote(stage, Vote(2, 5, 4, 10, False)) == (VoteAnswer(NONE, 5, -1, True), True)
    assert stage.core.election == ElectionState(5, 2)


@pytest.mark.parametrize("pre_vote", [False, True])
@pytest.mark.parametrize(("last_epoch", "last_offset", "granted"), [(4, 10, True), (4, 9, False), (3, 99, False), (4, 11, True)])
def test_only_a_log_that_is_as_long_gets_a_vote(last_epoch: int, last_offset: int, granted: bool, pre_vote: bool) -> None:
    answer, _ = vote(Stage(), Vote(2, 5, last_epoch, last_offset, pre_vote))
    assert answer.granted is granted


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (Vote(9, 50, 4, 10, False), ErrorCode.INCONSISTENT_VOTER_SET),
        (Vote(1, 50, 4, 10, False), ErrorCode.INCONSISTENT_VOTER_SET),
        (Vote(2, 3, 3, 10, False), ErrorCode.FENCED_LEADER_EPOCH),
        (Vote(2, 5, 5, 10, False), ErrorCode.INVALID_REQUEST),
        (Vote(2, 5, -1, 10, False), ErrorCode.INVALID_REQUEST),
    ],
)
def test_what_is_no_ballot_is_refused_and_moves_nothing(request_: Vote, error: ErrorCode) -> None:
    stage = Stage()
    assert vote(stage, request_) == (VoteAnswer(error, 4, -1, False), False)


def test_a_follower_gives_pre_votes_only_while_its_leader_is_in_doubt() -> None:
    stage = Stage()
    fetch = stage.follow()
    assert vote(stage, Vote(3, 5, 4, 10, True))[0].granted
    stage.core.observe_answer(2, fetch, FetchAnswer(NONE, 5, 2, 0), stage.now)
    stage.take()
    assert not vote(stage, Vote(3, 5, 4, 10, True))[0].granted
    stage.core.door_closed(2, stage.now)
    stage.take()
    assert vote(stage, Vote(3, 5, 4, 10, True))[0].granted


def test_of_two_that_ask_at_once_one_stands_aside() -> None:
    first, second = Stage(node_id=1), Stage(node_id=2)
    for stage in (first, second):
        stage.stand()
        stage.take()
    assert not vote(first, Vote(2, 4, 4, 10, True))[0].granted
    assert vote(second, Vote(1, 4, 4, 10, True))[0].granted
    better = Vote(2, 4, 4, 11, True)
    assert vote(first, better)[0].granted


def test_a_second_leader_of_an_epoch_is_refused() -> None:
    stage = Stage()
    stage.follow(2)
    stage.core.observe_begin_epoch(7, BeginEpoch(3, 5), 0)
    assert Reply(7, Answer(ErrorCode.INVALID_REQUEST, 5, 2)) in stage.take()[0]
    stage.core.observe_begin_epoch(8, BeginEpoch(9, 6), 0)
    assert Reply(8, Answer(ErrorCode.INCONSISTENT_VOTER_SET, 5, 2)) in stage.take()[0]
    stage.core.observe_begin_epoch(9, BeginEpoch(3, 4), 0)
    assert Reply(9, Answer(ErrorCode.FENCED_LEADER_EPOCH, 5, 2)) in stage.take()[0]
    assert stage.core.leader_id == 2


def test_a_follower_does_what_the_leader_says_and_then_asks_on() -> None:
    stage = Stage()
    fetch = stage.follow()
    assert (fetch.offset, fetch.last_epoch, fetch.epoch, fetch.high_watermark) == (10, 4, 5, 0)
    change = stage.core.observe_answer(2, fetch, FetchAnswer(NONE, 5, 2, 12, records=b"abc"), 10)
    assert change == Append(b"abc")
    assert stage.take() == ([], [])
    stage.log.end_offset, stage.log.last_epoch = 11, 5
    stage.core.log_changed(10)
    assert stage.core.high_watermark == 11
    at_once, after = stage.take()
    assert at_once == []
    assert [(e.request.offset, e.request.high_watermark) for e in after] == [(11, 11)]


def test_a_follower_truncates_but_never_what_is_committed() -> None:
    stage = Stage(committed=6)
    fetch = stage.follow()
    stage.log.cut_at = 6
    diverging = FetchAnswer(NONE, 5, 2, 12, diverging=EpochEnd(3, 6))
    assert stage.core.observe_answer(2, fetch, diverging, 10) == Truncate(6)
    stage.core.log_changed(10)
    (again,) = [e.request for e in stage.take()[1]]
    stage.log.cut_at = 5
    with pytest.raises(RaftError, match="cut to 5, but 6 is committed"):
        stage.core.observe_answer(2, again, diverging, 20)


def test_a_follower_that_is_too_far_behind_loads_a_snapshot() -> None:
    stage = Stage()
    fetch = stage.follow()
    answer = FetchAnswer(NONE, 5, 2, 120, snapshot=EpochEnd(4, 100))
    assert stage.core.observe_answer(2, fetch, answer, 10) == LoadSnapshot(2, 5, EpochEnd(4, 100))
    stage.log.end_offset = stage.log.start_offset = 100
    stage.core.snapshot_loaded(100)
    stage.core.log_changed(10)
    assert stage.core.high_watermark == 100


def test_a_leader_that_restarted_is_given_up_at_once() -> None:
    stage = Stage()
    fetch = stage.follow()
    stage.core.observe_answer(2, fetch, FetchAnswer(ErrorCode.NOT_LEADER_OR_FOLLOWER, 5, -1), 10)
    stage.run_to(200)
    assert stage.core.role is Role.PROSPECTIVE


def test_the_best_successor_stands_at_once() -> None:
    stage = Stage()
    stage.follow()
    stage.core.observe_end_epoch(3, EndEpoch(2, 5, (1, 3)), 20)
    stage.run_to(20)
    assert stage.core.role is Role.PROSPECTIVE
    other = Stage()
    other.follow()
    other.core.observe_end_epoch(3, EndEpoch(2, 5, (3, 1)), 20)
    other.run_to(119)
    assert other.core.role is Role.FOLLOWER


def fetched(stage: Stage, replica: int, offset: int, **options: Any) -> list[Reply]:
    """A fetch, and what is answered now."""
    stage.core.observe_fetch(100 + replica, Fetch(replica, stage.core.epoch, offset, 4, **options), stage.now)
    return [e for e in stage.take()[0] if isinstance(e, Reply)]


def test_committed_is_what_a_majority_has_persisted_with_a_record_of_the_epoch() -> None:
    stage = Stage()
    stage.lead()
    assert fetched(stage, 2, 10)[0].read_from == 10
    stage.core.persisted(5, 10, stage.now)
    assert stage.core.high_watermark == 0
    fetched(stage, 2, 11, max_wait_ms=500)
    assert stage.core.high_watermark == 0
    stage.core.persisted(5, 11, stage.now)
    assert stage.core.high_watermark == 11


def test_a_waiting_fetch_is_answered_by_news_and_by_time() -> None:
    stage = Stage()
    stage.lead()
    assert fetched(stage, 2, 11, max_wait_ms=500, high_watermark=0) == []
    stage.core.persisted(5, 11, stage.now)
    (reply,) = [e for e in stage.take()[0] if isinstance(e, Reply)]
    assert isinstance(reply.answer, FetchAnswer) and reply.answer.high_watermark == 11
    assert fetched(stage, 2, 11, max_wait_ms=500, high_watermark=11) == []
    stage.log.end_offset = 12
    stage.core.observe_appended(stage.now)
    assert [e.read_from for e in stage.take()[0] if isinstance(e, Reply)] == [11]
    assert fetched(stage, 2, 12, max_wait_ms=500, high_watermark=11) == []
    began = stage.now
    stage.run_to(began + 499)
    assert [e for e in stage.take()[0] if isinstance(e, Reply)] == []
    stage.run_to(began + 500)
    assert [e.token for e in stage.take()[0] if isinstance(e, Reply)] == [102]


@pytest.mark.parametrize(
    ("epoch", "replica", "error"),
    [(4, 2, ErrorCode.FENCED_LEADER_EPOCH), (6, 2, ErrorCode.UNKNOWN_LEADER_EPOCH), (5, 1, ErrorCode.INVALID_REQUEST)],
)
def test_fetches_that_a_leader_refuses(epoch: int, replica: int, error: ErrorCode) -> None:
    stage = Stage()
    stage.lead()
    stage.core.observe_fetch(7, Fetch(replica, epoch, 11, 5), stage.now)
    (reply,) = [e for e in stage.take()[0] if isinstance(e, Reply)]
    assert isinstance(reply.answer, FetchAnswer)
    assert (reply.answer.error, reply.answer.epoch, reply.answer.leader_id) == (error, 5, 1)


def test_who_parts_from_the_leader_is_told_where() -> None:
    stage = Stage()
    stage.lead()
    stage.log.parts = (EpochEnd(3, 7), None)
    (reply,) = fetched(stage, 2, 9)
    assert isinstance(reply.answer, FetchAnswer)
    assert (reply.answer.diverging, reply.read_from) == (EpochEnd(3, 7), -1)
    assert stage.core.leader is not None
    assert stage.core.leader.voters[2].end_offset == -1


def test_a_leader_that_nobody_follows_resigns() -> None:
    stage = Stage()
    stage.lead()
    began = stage.now
    fetched(stage, 3, 11, max_wait_ms=100_000)
    stage.run_to(began + 2999)
    assert stage.core.role is Role.LEADER
    stage.take()
    stage.run_to(began + 3000)
    assert (stage.core.role, stage.core.leader_id) == (Role.RESIGNED, -1)
    at_once, _ = stage.take()
    assert Send(3, EndEpoch(1, 5, (3, 2))) in at_once
    assert [e.answer.error for e in at_once if isinstance(e, Reply)] == [ErrorCode.NOT_LEADER_OR_FOLLOWER]
    stage.run_to(began + 6000)
    assert stage.core.epoch == 6


def test_an_observer_only_fetches_and_looks_for_another_leader() -> None:
    stage = Stage(node_id=4)
    stage.core.start(0)
    (send,) = stage.take()[1]
    assert isinstance(send.request, Fetch)
    stage.core.observe_answer(send.peer, send.request, FetchAnswer(ErrorCode.FENCED_LEADER_EPOCH, 7, 3), 1)
    assert (stage.core.role, stage.core.leader_id, stage.core.epoch) == (Role.FOLLOWER, 3, 7)
    stage.core.observe_vote(1, Vote(1, 9, 4, 10, False), 2)
    assert not any(isinstance(e, Reply) and getattr(e.answer, "granted", False) for part in stage.take() for e in part)
    stage.run_to(3000)
    assert (stage.core.role, stage.core.leader_id) == (Role.UNATTACHED, -1)
