"""Asking the origins, over real HTTP: within a time, once at a time, and never over what is newer."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from board_events import History
from read_view import origins as origins_module
from read_view.origins import Origins
from servicekit.correlation import correlated
from servicekit.problems import Unavailable
from waiting import wait_until


@pytest.fixture
def origins(store, origin) -> Origins:
    return Origins(store)


def history(number: int = 100) -> History:
    found = History(str(number))
    found.create()
    found.like()
    found.comment()
    found.comment()
    return found


def test_an_answer_is_written_to_the_projection(origins, origin, store) -> None:
    origin.knows(history())
    found = origins.articles(["100"])[0]
    assert found == store.documents(["100"])[0]
    assert (found["content"]["version"], found["likes"]["count"], found["comments"]["count"]) == (1, 1, 2)
    assert store.newest("board:1", before=None, limit=5) == ["100"]
    # It is no event: the projection is not younger by it.
    assert store.age_ms() is None


def test_what_is_not_there_is_nothing_and_leaves_nothing(origins, store) -> None:
    assert origins.articles(["100"]) == [None]
    assert store.documents(["100"]) == [None]


def test_the_correlation_id_goes_along(origins, origin) -> None:
    origin.knows(history())
    with correlated("from-the-caller"):
        origins.articles(["100"])
    assert set(origin.correlation_ids) == {"from-the-caller"}


def test_all_who_ask_for_one_article_meanwhile_share_one_question(origins, origin) -> None:
    origin.knows(history())
    gate = threading.Event()
    origin.before = lambda path: gate.wait(30)
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(origins.articles, ["100"]) for _ in range(12)]
        wait_until(lambda: origin.requests, "the first question")
        time.sleep(0.3)
        gate.set()
        answers = [one.result(30)[0] for one in asked]
    assert len({str(answer) for answer in answers}) == 1
    assert origin.requests.count("/v1/articles/100") == 1
    # Whoever asks afterwards asks anew.
    origins.articles(["100"])
    assert origin.requests.count("/v1/articles/100") == 2


def test_many_articles_are_asked_for_side_by_side(origins, origin) -> None:
    """One after the other they would take six seconds, longer than anybody waits."""
    for number in range(20):
        origin.knows(history(100 + number))
    origin.delay_seconds = 0.1
    found = origins.articles([str(100 + number) for number in range(20)])
    assert [document["likes"]["count"] for document in found] == [1] * 20


def test_a_silent_origin_is_given_up_within_the_time(origins, origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origins_module, "TIMEOUT_SECONDS", 0.2)
    origin.knows(history())
    gate = threading.Event()
    origin.before = lambda path: gate.wait(30)
    began = time.monotonic()
    with pytest.raises(Unavailable):
        origins.articles(["100"])
    assert time.monotonic() - began < 20
    gate.set()
    # The next one is not stuck behind the one that failed.
    origin.before = lambda path: None
    assert origins.articles(["100"])[0] is not None


def test_nobody_waits_longer_than_his_patience(origins, origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow each single answer is."""
    monkeypatch.setattr(origins_module, "PATIENCE_SECONDS", 0.3)
    origin.knows(history())
    gate = threading.Event()
    origin.before = lambda path: gate.wait(1.5)
    with pytest.raises(Unavailable, match=r"0\.3 s"):
        origins.articles(["100"])
    gate.set()


@pytest.mark.parametrize("status", [500, 503, 400])
def test_an_origin_that_fails_is_unavailable(origins, origin, status: int) -> None:
    origin.knows(history())
    origin.status = status
    with pytest.raises(Unavailable):
        origins.articles(["100"])
    origin.lists(history())
    with pytest.raises(Unavailable):
        origins.board("1", page_size=20, cursor=None)


def test_an_origin_that_is_not_there_is_unavailable(store, no_origin) -> None:
    with pytest.raises(Unavailable):
        Origins(store).articles(["100"])


def test_a_slow_answer_never_overwrites_what_came_meanwhile(origins, origin, feed, store) -> None:
    """The origin answered with version 1; before it was written the projection has taken version 2 and a like more."""
    known = history()
    origin.knows(known)
    newer = [*known.article_events, known.update(title="newer"), known.like()]

    def overtake(path: str) -> None:
        if path.endswith("/comment-count") and newer:
            feed.deliver(*newer)
            newer.clear()

    origin.before = overtake
    found = origins.articles(["100"])[0]
    assert found == store.documents(["100"])[0]
    assert (found["content"]["title"], found["content"]["version"], found["likes"]["count"]) == ("newer", 2, 2)
    assert found["comments"]["count"] == 2


def test_a_slow_answer_does_not_bring_a_deleted_article_back(origins, origin, feed, store) -> None:
    known = history()
    origin.knows(known)
    newer = [*known.article_events, known.delete()]

    def overtake(path: str) -> None:
        if path.endswith("/comment-count") and newer:
            feed.deliver(*newer)
            newer.clear()

    origin.before = overtake
    found = origins.articles(["100"])[0]
    assert found["content"]["deleted"]
    assert store.newest("board:1", before=None, limit=5) == []


def test_an_older_event_after_the_answer_changes_nothing(origins, origin, feed, store) -> None:
    known = history()
    known.update(title="newer")
    origin.knows(known)
    origins.articles(["100"])
    before = store.documents(["100"])[0]
    feed.deliver(*known.events)
    assert store.documents(["100"])[0] == before
