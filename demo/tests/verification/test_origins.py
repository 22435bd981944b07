"""The origins are asked for everything that anybody has ever named."""

import pytest
from demo.api import NoAnswer
from demo.ledger import Entry
from demo.terminal import Terminal
from demo.verification import LogView, Origins

from .fake_services import FakeBoard, article


def test_everything_the_log_the_lists_and_the_ledger_name_is_read() -> None:
    board = FakeBoard()
    log = board.log()
    board.articles["6"] = article("6")  # its event is not there yet; the list names it
    with Terminal().progress() as progress:
        origins = Origins.read(board, log, [Entry("create", "5")], progress)
    assert origins.articles == board.articles
    assert origins.deleted == {"5"}
    assert origins.boards == {"1": ["6", "3", "2", "1"]}
    assert origins.like_counts == {"1": 0, "2": 0, "3": 2, "6": 0}
    assert origins.comment_counts == {"1": 0, "2": 0, "3": 1, "6": 0}


def test_silence_is_no_absence() -> None:
    board = FakeBoard()
    board.silent = True
    with Terminal().progress() as progress, pytest.raises(NoAnswer):
        Origins.read(board, LogView(), [Entry("create", "1")], progress)
