"""`./board drill NAME`: every drill breaks a board of three brokers, shows it, and leaves everything as it was."""

import re
from collections.abc import Iterator

import pytest
from demo.drills.scripts import NO_MAJORITY_SECONDS
from demo.drills.texts import LESSONS
from running_board import EmbeddedBoard, embedded_board, given_board

pytestmark = pytest.mark.skipif(given_board() is not None, reason="drills break the brokers of a board of their own")

STATE = re.compile(r" s  (\S+ \d+): (leader \S+ ISR \S+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBoard]:
    """Whatever the drills did, the projections are what the origins are."""
    with embedded_board(tmp_path_factory.mktemp("drilled")) as board:
        yield board
        assert board.must("verify").endswith("no difference\n")


def states(said: str) -> dict[str, list[str]]:
    """Topic and partition -> the leader and ISR that were shown, in order."""
    shown: dict[str, list[str]] = {}
    for partition, state in STATE.findall(said):
        shown.setdefault(partition, []).append(state)
    return shown


@pytest.mark.parametrize("name", LESSONS)
def test_a_drill_shows_what_it_breaks_and_has_everything_back(board: EmbeddedBoard, name: str) -> None:
    said = board.must("drill", name, "--language", "en")
    if name == "no-majority":  # nothing can be decided, so nobody leads or leaves; but nothing is acknowledged either
        slowest = re.search(r"longest time from a post to its view: ([\d.]+) s", said)
        assert slowest is not None and float(slowest[1]) > NO_MAJORITY_SECONDS / 2, said
    else:
        assert any(len(set(one)) > 1 for one in states(said).values()), said
    # All three are in the ISR of whatever was shown at last.
    assert all(one[-1].endswith("ISR 1,2,3") for one in states(said).values()), said
    assert re.search(r" s  lag 0$", said, re.MULTILINE), said
    taken = re.search(r"posting meanwhile: (\d+) taken", said)
    assert taken is not None and int(taken[1]) > 0, said
    assert LESSONS[name].meant.en in said
