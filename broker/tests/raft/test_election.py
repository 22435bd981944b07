"""Counting votes."""

from broker.raft.election import Tally


def test_a_majority_wins_and_every_voter_counts_once() -> None:
    tally = Tally((1, 2, 3, 4, 5))
    for voter in (1, 1, 2, 9):
        tally.record(voter, granted=True)
    assert not tally.won
    tally.record(5, granted=True)
    assert tally.won
    assert tally.granting == (1, 2, 5)


def test_what_was_granted_stays_granted_and_a_refusal_may_change() -> None:
    tally = Tally((1, 2, 3))
    tally.record(2, granted=True)
    tally.record(2, granted=False)
    assert tally.granted_by(2)
    tally.record(3, granted=False)
    assert tally.answered(3) and not tally.granted_by(3)
    tally.record(3, granted=True)
    assert tally.granted_by(3)


def test_lost_is_what_nobody_can_win_any_more() -> None:
    tally = Tally((1, 2, 3))
    tally.record(1, granted=True)
    tally.record(2, granted=False)
    assert not tally.lost()
    assert tally.lost({3: None})
    tally.record(3, granted=False)
    assert tally.lost()
