"""Every kind of difference is found and named, and nothing else is."""

from collections.abc import Callable

import pytest
from demo.ledger import Entry
from demo.terminal import Terminal
from demo.verification import Differences, Origins, compare_ledger, compare_popular, compare_views

from .fake_services import FakeBoard, article

PROMISES = [
    Entry("create", "1", version=1),
    Entry("like", "3", user_id="7"),
    Entry("like", "3", user_id="9"),
    Entry("unlike", "3", user_id="9"),
    Entry("comment", "3", comment_id="90"),
    Entry("comment", "3", comment_id="91"),
    Entry("uncomment", "3", comment_id="91"),
    Entry("create", "4", version=1),
    Entry("delete", "4"),
]


def differences_of(board: FakeBoard, ledger: list[Entry], change: Callable[[], object] = lambda: None) -> list[str]:
    """All three comparisons; `change` comes after the log was written."""
    log = board.log()
    change()
    found = Differences()
    with Terminal().progress() as progress:
        origins = Origins.read(board, log, ledger, progress)
        compare_ledger(board, ledger, origins, found, progress)
        compare_views(board, origins, log, found, progress)
        compare_popular(board, log, found)
    assert found.checks > 20
    return found.texts


def test_nothing_differs_where_all_agree() -> None:
    assert differences_of(FakeBoard(), PROMISES) == []


# What is changed behind the back of everybody else -> what is said of it.
PLANTED: list[tuple[str, Callable[[FakeBoard], object], str]] = [
    ("like count", lambda b: b.views["3"].update(like_count=5), "read-view, article 3, like_count: expected 2, found 5"),
    ("comment count", lambda b: b.views["3"].update(comment_count=0), "read-view, article 3, comment_count: expected 1, found 0"),
    ("title", lambda b: b.views["2"].update(title="x"), "read-view, article 2, title: expected 'title 2', found 'x'"),
    ("old version", lambda b: b.views["2"].update(version=0), "read-view, article 2, version: expected 1, found 0"),
    (
        "fallback",
        lambda b: b.source.update({"1": "origin"}),
        "read-view, article 1, X-Source: expected 'projection', found 'origin'",
    ),
    ("missing view", lambda b: b.views.pop("1"), "read-view, article 1, X-Source: expected 'projection', found None"),
    ("list order", lambda b: b.view_lists.update({"1": ["2", "3", "1"]}), "read-view, list of board 1"),
    ("list gap", lambda b: b.view_lists.update({"1": ["3", "1"]}), "read-view, list of board 1"),
    ("popular score", lambda b: b.popular[0].update(score=7), "expected [('3', 8)], found [('3', 7)]"),
    ("popular extra", lambda b: b.popular.append({"article_id": "1", "score": 1}), "popular, list of"),
    ("popular empty", lambda b: b.popular.clear(), "expected [('3', 8)], found []"),
    ("lost article", lambda b: b.articles.pop("1"), "article 1 has at least version 1 at its origin"),
    ("lost article, shown", lambda b: b.articles.pop("1"), "read-view shows article 1, which its origin has not"),
    ("lost like", lambda b: b.likes["3"].discard("7"), "article 3, like of user 7: expected True, found False"),
    ("late unlike", lambda b: b.likes["3"].add("9"), "article 3, like of user 9: expected False, found True"),
    ("lost comment", lambda b: b.comments.pop("90"), "article 3, comment 90: expected True, found False"),
    (
        "comment back",
        lambda b: b.comments.update({"91": {"article_id": "3"}}),
        "article 3, comment 91: expected False, found True",
    ),
    ("article back", lambda b: b.articles.update({"4": article("4")}), "article 4 was deleted, origin still has it"),
    ("event lost", lambda b: b.articles["2"].update(version=2), "log, article 2, version: expected 2, found 1"),
    ("like event lost", lambda b: b.likes.update({"2": {"7"}}), "log, article 2, like_count: expected 1, found 0"),
    (
        "comment event lost",
        lambda b: b.comments.update({"92": {"article_id": "1"}}),
        "log, article 1, comment_count: expected 1",
    ),
]


@pytest.mark.parametrize(("change", "said"), [case[1:] for case in PLANTED], ids=[case[0] for case in PLANTED])
def test_a_planted_difference_is_named(change: Callable[[FakeBoard], object], said: str) -> None:
    board = FakeBoard()
    texts = differences_of(board, PROMISES, lambda: change(board))
    assert any(said in text for text in texts), texts


def test_an_update_that_was_promised_is_at_its_origin() -> None:
    texts = differences_of(FakeBoard(), [Entry("create", "1", version=1), Entry("update", "1", version=2)])
    assert texts == ["article 1 has at least version 2 at its origin: expected True, found False"]


def test_a_write_without_an_answer_may_have_gone_either_way() -> None:
    doubtful = [
        Entry("like", "3", user_id="7"),
        Entry("unlike", "3", user_id="7", certain=False),
        Entry("like", "2", user_id="5", certain=False),
        Entry("comment", "3", comment_id="90"),
        Entry("uncomment", "3", comment_id="90", certain=False),
        Entry("update", "1", certain=False),
    ]
    assert differences_of(FakeBoard(), doubtful) == []
    board = FakeBoard()
    gone = [Entry("create", "5", version=1), Entry("like", "5", user_id="7"), Entry("delete", "5", certain=False)]
    assert differences_of(board, gone) == []


def test_a_like_that_comes_again_after_one_without_an_answer_stays_in_doubt() -> None:
    """The unanswered one may still be on its way, and arrive last."""
    entries = [Entry("unlike", "3", user_id="8", certain=False), Entry("unlike", "3", user_id="8")]
    assert differences_of(FakeBoard(), entries) == []
