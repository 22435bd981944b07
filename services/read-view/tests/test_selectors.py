"""The projection first, the origins for what it lacks."""

import pytest
from board_events import History
from peers.valkey import valkey
from read_view import selectors
from reading_suite import Feed
from servicekit.pagination import encode_cursor
from servicekit.problems import Unavailable


def written(number: int, **given: str) -> History:
    found = History(str(number), **given)
    found.create(title=f"글 {number}")
    return found


def see_the_end(store) -> None:
    for partition in selectors.ARTICLE_PARTITIONS:
        store.mark_end(partition)


def listed(answer: selectors.Answer) -> list[str]:
    return [item["id"] for item in answer.body["items"]]


def first_page(board_id: str = "1", page_size: int = 20) -> selectors.Answer:
    return selectors.article_list(board_id, before_id=None, page_size=page_size, cursor=None)


def test_what_the_projection_has_needs_no_origin(feed: Feed, no_origin) -> None:
    history = written(100)
    history.like()
    feed.deliver(*history.events)
    answer = selectors.article_get("100")
    assert (answer.body["title"], answer.body["like_count"]) == ("글 100", 1)
    assert answer.provenance.source == "projection"
    assert answer.provenance.age_ms is not None


def test_what_it_lacks_comes_from_the_origin_and_is_kept(origin) -> None:
    origin.knows(written(100))
    answers = [selectors.article_get("100") for _ in range(2)]
    assert [answer.provenance.source for answer in answers] == ["origin", "projection"]
    assert answers[0].body == answers[1].body


def test_counts_alone_are_not_enough(origin, feed: Feed) -> None:
    history = written(100)
    feed.deliver(history.comment())
    origin.knows(history)
    answer = selectors.article_get("100")
    assert (answer.provenance.source, answer.body["comment_count"]) == ("origin", 1)


def test_a_deleted_article_is_missing_and_the_origin_is_not_asked(origin, feed: Feed) -> None:
    history = written(100)
    origin.knows(history)
    history.delete()
    feed.deliver(*history.events)
    with pytest.raises(selectors.Missing) as caught:
        selectors.article_get("100")
    assert caught.value.provenance.source == "projection"
    assert origin.requests == []


def test_one_that_nobody_knows_is_missing_at_the_origin(origin) -> None:
    with pytest.raises(selectors.Missing) as caught:
        selectors.article_get("100")
    assert caught.value.provenance == selectors.Provenance("origin", None)


def test_one_that_it_lacks_is_unavailable_without_origins(no_origin) -> None:
    with pytest.raises(Unavailable):
        selectors.article_get("100")


def test_a_board_is_listed_newest_first_without_the_origin(feed: Feed, store, no_origin) -> None:
    for number in (9, 100, 99):
        feed.deliver(*written(number).events)
    feed.deliver(*written(101, board_id="2").events)
    see_the_end(store)
    answer = first_page()
    assert listed(answer) == ["100", "99", "9"]
    assert answer.body["next_cursor"] is None
    assert answer.provenance.source == "projection"
    assert listed(first_page("3")) == []


def test_pages_stay_where_they_are_while_articles_come_and_go(feed: Feed, store, no_origin) -> None:
    histories = {number: written(number) for number in range(100, 107)}
    for history in histories.values():
        feed.deliver(*history.events)
    see_the_end(store)
    first = first_page(page_size=3)
    assert (listed(first), first.body["next_cursor"]) == (["106", "105", "104"], encode_cursor("104"))
    # A new one comes, the last one seen goes, and one that is not yet seen goes.
    feed.deliver(*written(107).events, histories[104].delete(), histories[102].delete())
    second = selectors.article_list("1", before_id="104", page_size=3, cursor=first.body["next_cursor"])
    assert (listed(second), second.body["next_cursor"]) == (["103", "101", "100"], None)
    assert listed(first_page(page_size=3)) == ["107", "106", "105"]


@pytest.mark.parametrize("half", [True, False])
def test_until_the_end_was_seen_the_origin_lists(origin, feed: Feed, store, half: bool) -> None:
    """Also when something is there already: nobody knows whether it is all."""
    old, new = written(100), written(101)
    origin.lists(new, old)
    if half:
        feed.deliver(*old.events)
    answer = first_page()
    assert (listed(answer), answer.provenance.source) == (["101", "100"], "origin")
    see_the_end(store)
    assert first_page().provenance.source == "projection"


def test_a_page_of_the_origin_leads_on_to_one_of_the_projection(origin, feed: Feed, store) -> None:
    """Both have the same cursors."""
    old, new = written(100), written(101)
    origin.lists(new, query="&page_size=1", next_cursor=encode_cursor("101"))
    first = first_page(page_size=1)
    assert first.provenance.source == "origin"
    feed.deliver(*old.events, *new.events)
    see_the_end(store)
    second = selectors.article_list("1", before_id="101", page_size=1, cursor=first.body["next_cursor"])
    assert (listed(second), second.provenance.source) == (["100"], "projection")


def test_what_the_origin_lists_but_the_projection_knows_as_deleted_is_left_out(origin, feed: Feed) -> None:
    old, new = written(100), written(101)
    origin.lists(new, old)
    old.delete()
    feed.deliver(*old.events)
    assert listed(first_page()) == ["101"]


def test_without_origins_what_is_there_is_better_than_nothing(feed: Feed, no_origin) -> None:
    feed.deliver(*written(100).events)
    answer = first_page()
    assert (listed(answer), answer.provenance.source) == (["100"], "projection")
    with pytest.raises(Unavailable):
        first_page("2")


def test_one_that_goes_between_the_two_reads_is_passed_over(feed: Feed, store, no_origin, monkeypatch) -> None:
    histories = [written(100), written(101)]
    for history in histories:
        feed.deliver(*history.events)
    see_the_end(store)
    ids = store.newest("board:1", before=None, limit=10)
    feed.deliver(histories[1].delete())
    monkeypatch.setattr(type(store), "newest", lambda *_, **__: ids)
    assert listed(first_page()) == ["100"]


def test_without_valkey_it_is_unavailable(origin, tmp_path, settings) -> None:
    with valkey(tmp_path) as server:
        settings.VALKEY_URL = server.url
        for held in (selectors._store, selectors._origins):
            held.cache_clear()
        with pytest.raises(selectors.Missing):
            selectors.article_get("100")
        server.kill()
        with pytest.raises(Unavailable):
            selectors.article_get("100")
        with pytest.raises(Unavailable):
            first_page()
