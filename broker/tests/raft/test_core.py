"""The core of a voter: epochs, votes, and how far the log is committed, with one voter and with more."""

import pytest
from broker.raft.core import RaftCore
from broker.raft.election_store import ElectionState
from broker.raft.roles import Role
from hypothesis import given
from hypothesis import strategies as st


def leader(voters: tuple[int, ...] = (1, 2, 3), end: int = 10) -> RaftCore:
    core = RaftCore(1, voters, ElectionState(4), 4)
    core.stand()
    for voter in voters:
        core.observe_vote(voter, core.epoch)
    core.lead(end)
    return core


def test_standing_raises_the_epoch_and_votes_for_oneself() -> None:
    core = RaftCore(1, (1,), ElectionState(4, 2, 2), 3)
    assert (core.role, core.epoch) == (Role.UNATTACHED, 4)
    assert core.stand() == ElectionState(5, voted_id=1)
    assert core.role is Role.CANDIDATE


def test_a_log_that_knows_more_than_the_file_counts() -> None:
    assert RaftCore(1, (1,), ElectionState(2), 7).epoch == 7


def test_one_voter_is_its_own_majority() -> None:
    core = RaftCore(1, (1,), ElectionState(), -1)
    core.stand()
    assert core.observe_vote(1, core.epoch)
    assert core.lead(0) == ElectionState(1, 1, 1)
    assert (core.role, core.granting_voters, core.epoch_start_offset) == (Role.LEADER, (1,), 0)


def test_three_voters_need_two_votes() -> None:
    core = RaftCore(1, (1, 2, 3), ElectionState(), -1)
    core.stand()
    assert not core.observe_vote(1, core.epoch)
    assert not core.observe_vote(1, core.epoch), "a vote counts once"
    assert not core.observe_vote(9, core.epoch), "a stranger has none"
    assert not core.observe_vote(2, core.epoch - 1), "an old one does not count"
    assert core.observe_vote(3, core.epoch)
    assert core.granting_voters == (1, 3)


def test_votes_of_before_do_not_count() -> None:
    core = RaftCore(1, (1, 2, 3), ElectionState(), -1)
    core.stand()
    core.observe_vote(2, core.epoch)
    core.role = Role.UNATTACHED
    core.stand()
    assert not core.observe_vote(1, core.epoch)


def test_nobody_leads_without_standing() -> None:
    core = RaftCore(1, (1,), ElectionState(), -1)
    with pytest.raises(AssertionError, match="cannot go from unattached to leader"):
        core.lead(0)


def test_who_is_no_voter_has_no_core() -> None:
    with pytest.raises(AssertionError, match=r"node 4 is none of the voters \(1, 2\)"):
        RaftCore(4, (1, 2), ElectionState(), 0)


def test_committed_is_what_a_majority_has_persisted() -> None:
    core = leader()
    assert not core.observe_persisted(1, core.epoch, 15)
    assert core.observe_persisted(3, core.epoch, 12)
    assert core.high_watermark == 12
    assert core.observe_persisted(2, core.epoch, 14)
    assert core.high_watermark == 14


def test_the_leader_counts_itself_only_as_far_as_it_has_persisted() -> None:
    core = leader((1,))
    assert core.high_watermark == 0
    assert core.observe_persisted(1, core.epoch, 11)
    assert core.high_watermark == 11


def test_nothing_of_an_earlier_epoch_is_committed_by_counting() -> None:
    """Raft, section 5.4.2: only with a record of the own epoch."""
    core = leader(end=10)
    assert not core.observe_persisted(1, core.epoch, 10)
    assert not core.observe_persisted(2, core.epoch, 10)
    assert core.high_watermark == 0
    core.observe_persisted(1, core.epoch, 11)
    assert core.observe_persisted(2, core.epoch, 11)
    assert core.high_watermark == 11


def test_reports_of_another_epoch_do_not_count() -> None:
    core = leader((1,))
    assert not core.observe_persisted(1, core.epoch - 1, 50)
    core.resign()
    assert core.role is Role.RESIGNED
    assert not core.observe_persisted(1, core.epoch, 50)
    core.resign()
    assert core.high_watermark == 0


@given(st.lists(st.tuples(st.sampled_from([1, 2, 3]), st.integers(0, 40)), max_size=40))
def test_the_high_watermark_never_goes_back(reports: list[tuple[int, int]]) -> None:
    core = leader(end=10)
    best = dict.fromkeys((1, 2, 3), -1)
    before = 0
    for voter, end in reports:
        moved = core.observe_persisted(voter, core.epoch, end)
        best[voter] = max(best[voter], end)
        by_two = sorted(best.values())[1]
        assert core.high_watermark == (max(before, by_two) if by_two > 10 else before)
        assert moved == (core.high_watermark > before)
        before = core.high_watermark
