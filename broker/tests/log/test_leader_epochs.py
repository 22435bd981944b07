"""Where leader epochs begin: assigning, asking where one ended, cutting at both ends, and the checkpoint's text."""

import pytest
from broker.log.leader_epochs import LeaderEpochs
from hypothesis import given
from hypothesis import strategies as st


def test_assigning() -> None:
    epochs = LeaderEpochs()
    assert epochs.latest == -1
    assert epochs.assign(0, 0)
    assert not epochs.assign(0, 5), "an epoch begins once"
    assert epochs.assign(3, 10)
    assert not epochs.assign(-1, 20), "no epoch is no entry"
    assert (epochs.entries, epochs.latest) == ([(0, 0), (3, 10)], 3)


def test_an_epoch_without_records_gives_way_to_the_next() -> None:
    epochs = LeaderEpochs([(0, 0), (1, 10)])
    assert epochs.assign(2, 10)
    assert epochs.entries == [(0, 0), (2, 10)]


def test_what_contradicts_an_entry_drops_it() -> None:
    epochs = LeaderEpochs([(0, 0), (2, 10), (4, 20)])
    assert epochs.assign(3, 15)
    assert epochs.entries == [(0, 0), (2, 10), (3, 15)]


def test_where_an_epoch_ends() -> None:
    """The largest known epoch that is not newer, and where the next one begins. Source: `endOffsetFor`."""
    epochs = LeaderEpochs([(2, 5), (4, 10), (7, 20)])
    found = {epoch: epochs.end_offset(epoch, 30) for epoch in (-1, 0, 2, 3, 4, 6, 7, 8)}
    assert found == {
        -1: (-1, -1),
        0: (0, 5),
        2: (2, 10),
        3: (2, 10),
        4: (4, 20),
        6: (4, 20),
        7: (7, 30),
        8: (-1, -1),
    }
    assert LeaderEpochs().end_offset(0, 30) == (-1, -1)


def test_the_epoch_of_an_offset() -> None:
    epochs = LeaderEpochs([(2, 5), (4, 10)])
    assert [epochs.epoch_at(offset) for offset in (0, 4, 5, 9, 10, 99)] == [-1, -1, 2, 2, 4, 4]


def test_cutting_the_end() -> None:
    epochs = LeaderEpochs([(0, 0), (1, 10), (2, 20)])
    epochs.truncate_from_end(10)
    assert epochs.entries == [(0, 0)]
    assert epochs.dirty


def test_cutting_the_start_keeps_the_epoch_that_covers_it() -> None:
    epochs = LeaderEpochs([(0, 0), (1, 10), (2, 20)])
    epochs.truncate_from_start(15)
    assert epochs.entries == [(1, 15), (2, 20)]
    epochs.truncate_from_start(20)
    assert epochs.entries == [(2, 20)]
    epochs.dirty = False
    epochs.truncate_from_start(3)
    assert (epochs.entries, epochs.dirty) == ([(2, 20)], False)


def test_the_checkpoint_is_kafkas_text() -> None:
    epochs = LeaderEpochs([(0, 0), (3, 17)])
    assert epochs.render() == b"0\n2\n0 0\n3 17\n"
    parsed = LeaderEpochs.parse(["0 0", "3 17"])
    assert parsed is not None and parsed.entries == epochs.entries
    empty = LeaderEpochs.parse([])
    assert empty is not None and empty.entries == []


@pytest.mark.parametrize("lines", [["0"], ["0 0 0"], ["a 0"], ["1 0", "1 5"], ["2 0", "1 5"], ["1 5", "2 4"]])
def test_broken_lines(lines: list[str]) -> None:
    assert LeaderEpochs.parse(lines) is None


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 40)), max_size=20), st.integers(0, 45), st.booleans())
def test_entries_stay_in_order_whatever_happens(assigned: list[tuple[int, int]], at: int, from_start: bool) -> None:
    epochs = LeaderEpochs()
    for epoch, start in assigned:
        epochs.assign(epoch, start)
        assert (epochs.latest == epoch and epochs.entries[-1][1] <= start) or epochs.latest == epochs.entries[-1][0]
    (epochs.truncate_from_start if from_start else epochs.truncate_from_end)(at)
    entries = epochs.entries
    assert entries == sorted(entries)
    assert len({epoch for epoch, _ in entries}) == len({start for _, start in entries}) == len(entries)
    assert all(start >= at if from_start else start < at for _, start in entries)
