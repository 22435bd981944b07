"""Where two logs part: checked against logs written out record by record."""

from broker.log.leader_epochs import LeaderEpochs
from broker.raft.divergence import compare, truncation_offset
from broker.raft.messages import EpochEnd
from hypothesis import given
from hypothesis import strategies as st


@st.composite
def two_logs(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Two logs of one quorum, as the epochs of their records: every leader goes on from a beginning of an earlier one's log."""
    written: list[list[int]] = [[]]
    for epoch in range(1, draw(st.integers(1, 6)) + 1):
        before = draw(st.sampled_from(written))
        kept = before[: draw(st.integers(0, len(before)))]
        written.append(kept + [epoch] * draw(st.integers(1, 4)))
    one, other = draw(st.sampled_from(written)), draw(st.sampled_from(written))
    return one[: draw(st.integers(0, len(one)))], other[: draw(st.integers(0, len(other)))]


def epochs_of(log: list[int]) -> LeaderEpochs:
    found = LeaderEpochs()
    for offset, epoch in enumerate(log):
        found.assign(epoch, offset)
    return found


def agreeing(one: list[int], other: list[int]) -> int:
    """Up to where two logs are the same: as in Raft, records of one offset and one epoch are the same record."""
    count = 0
    while count < min(len(one), len(other)) and one[count] == other[count]:
        count += 1
    return count


@given(two_logs())
def test_a_follower_ends_up_with_a_beginning_of_the_leaders_log(both: tuple[list[int], list[int]]) -> None:
    leader, follower = both
    same = agreeing(leader, follower)
    for _ in range(20):
        last = follower[-1] if follower else 0
        diverging, snapshot = compare(epochs_of(leader), 0, len(leader), [], EpochEnd(last, len(follower)))
        assert snapshot is None
        if diverging is None:
            break
        offset = truncation_offset(epochs_of(follower), len(follower), diverging)
        assert offset < len(follower), "every answer takes something away"
        assert offset >= same, "what both have stays"
        del follower[offset:]
    assert follower == leader[: len(follower)]


def test_the_known_cases() -> None:
    epochs = LeaderEpochs([(1, 0), (3, 10), (5, 20)])
    assert compare(epochs, 0, 30, [], EpochEnd(5, 25)) == (None, None)
    assert compare(epochs, 0, 30, [], EpochEnd(5, 31)) == (EpochEnd(5, 30), None)
    assert compare(epochs, 0, 30, [], EpochEnd(3, 22)) == (EpochEnd(3, 20), None)
    assert compare(epochs, 0, 30, [], EpochEnd(4, 22)) == (EpochEnd(3, 20), None)
    assert compare(epochs, 0, 30, [], EpochEnd(9, 22)) == (EpochEnd(5, 30), None)
    assert compare(epochs, 0, 30, [], EpochEnd(0, 0)) == (None, None)


def test_who_is_before_the_start_begins_with_the_newest_snapshot() -> None:
    epochs = LeaderEpochs([(3, 10), (5, 20)])
    snapshots = [EpochEnd(3, 10), EpochEnd(5, 25)]
    for other in (EpochEnd(3, 9), EpochEnd(2, 15), EpochEnd(2, 10), EpochEnd(0, 0)):
        assert compare(epochs, 10, 30, snapshots, other) == (None, EpochEnd(5, 25)), other
    assert compare(epochs, 10, 30, snapshots, EpochEnd(3, 10)) == (None, None)
    assert compare(epochs, 10, 30, snapshots, EpochEnd(3, 20)) == (None, None)


def test_where_a_follower_cuts() -> None:
    epochs = LeaderEpochs([(1, 0), (3, 10), (5, 20)])
    assert truncation_offset(epochs, 30, EpochEnd(3, 15)) == 15
    assert truncation_offset(epochs, 30, EpochEnd(3, 25)) == 20
    assert truncation_offset(epochs, 30, EpochEnd(4, 25)) == 20
    assert truncation_offset(epochs, 30, EpochEnd(0, 0)) == 0
