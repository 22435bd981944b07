"""What a leader knows of the others: what is committed, who follows, who comes next."""

from broker.raft.leader_state import OBSERVER_SESSION_MS, OBSERVERS_MAX, LeaderState
from hypothesis import given
from hypothesis import strategies as st


def leader(voters: tuple[int, ...] = (1, 2, 3), start: int = 10) -> LeaderState:
    return LeaderState(1, voters, start, 0)


@given(st.lists(st.tuples(st.sampled_from([1, 2, 3]), st.integers(0, 40)), max_size=40))
def test_committed_is_what_two_of_three_have_and_never_goes_back(reports: list[tuple[int, int]]) -> None:
    state = leader()
    best = dict.fromkeys((1, 2, 3), -1)
    committed = 0
    for voter, end in reports:
        if voter == 1:
            state.observe_persisted(end)
        else:
            state.observe_fetch(voter, end, 50, 0)
        best[voter] = max(best[voter], end)
        by_two = sorted(best.values())[1]
        before, committed = committed, state.committed(committed)
        assert committed == (max(before, by_two) if by_two > 10 else before)


def test_nothing_of_an_earlier_epoch_is_committed_by_counting() -> None:
    state = leader(start=10)
    for voter in (2, 3):
        state.observe_fetch(voter, 10, 11, 0)
    assert state.committed(3) == 3
    state.observe_fetch(2, 11, 11, 0)
    state.observe_persisted(11)
    assert state.committed(3) == 11


def test_observers_do_not_count() -> None:
    state = leader((1,))
    state.observe_fetch(7, 50, 50, 0)
    assert state.committed(0) == 0
    assert state.observers[7].end_offset == 50


def test_a_majority_follows_since_its_slowest_member_asked() -> None:
    state = leader((1, 2, 3, 4, 5))
    assert state.majority_fetched_ms() == 0
    state.observe_fetch(2, 0, 50, 100)
    assert state.majority_fetched_ms() == 0
    state.observe_fetch(3, 0, 50, 80)
    state.observe_fetch(9, 0, 50, 500)
    assert state.majority_fetched_ms() == 80
    state.heard_of(4, 90)
    assert state.majority_fetched_ms() == 90
    assert leader((1,)).majority_fetched_ms() is None


def test_caught_up_is_who_has_what_there_was_when_it_asked_before() -> None:
    state = leader()
    state.observe_fetch(2, 5, 10, 100)
    assert state.voters[2].last_caught_up_ms == -1
    state.observe_fetch(2, 10, 20, 200)
    assert state.voters[2].last_caught_up_ms == 100
    state.observe_fetch(2, 20, 20, 300)
    assert state.voters[2].last_caught_up_ms == 300


def test_the_longest_log_succeeds() -> None:
    state = leader()
    state.observe_fetch(3, 12, 20, 0)
    state.observe_fetch(2, 11, 20, 0)
    assert state.successors() == (3, 2)


def test_silent_observers_are_forgotten_and_there_is_a_bound() -> None:
    state = leader()
    state.observe_fetch(7, 5, 50, 0)
    state.observe_fetch(8, 5, 50, OBSERVER_SESSION_MS + 1)
    assert list(state.observers) == [8]
    for number in range(OBSERVERS_MAX + 5):
        state.observe_fetch(100 + number, 5, 50, OBSERVER_SESSION_MS + 1)
    assert len(state.observers) == OBSERVERS_MAX
