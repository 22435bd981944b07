"""Events become documents and places in Valkey, each in one transaction with its position."""

from datetime import datetime

import pytest
from board_events import History, deliveries, histories
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from popular.consumers import PopularProjection, live_store, make_consumer
from reading_suite import Feed, contents
from servicekit.consuming.positions import Step


def test_an_event_makes_a_document_and_a_place(client, feed, store) -> None:
    history = History("100")
    feed.deliver(history.create(), history.like(), history.comment())
    found = contents(client, "popular:1")
    assert found[":index:day:2026-03-01"] == [("0000000000000000100", 5.0)]
    assert (found[":position:article-topic:0"], found[":position:comment-topic:0"]) == ("2", "1")
    assert store.documents(["100"])[0]["content"]["title"] == "a title"
    assert int(found[":last-event-ms"]) == int(history.now.timestamp() * 1000)


def test_a_comment_that_comes_before_its_article_counts_once_it_is_known(client, feed, store) -> None:
    """The two topics have no mutual order."""
    history = History("100")
    history.create()
    history.comment()
    feed.deliver(*history.comment_events)
    assert store.best("day:2026-03-01", 10) == []
    feed.deliver(*history.article_events)
    assert store.best("day:2026-03-01", 10) == [("100", 2)]


def test_the_zone_is_a_setting(feed, store, settings) -> None:
    history = History("100")
    history.create(datetime.fromisoformat("2026-03-01T23:30:00+00:00"))
    history.like()
    settings.BOARD_ZONE = "America/New_York"
    Feed(PopularProjection(store)).deliver(*history.events)
    assert store.best("day:2026-03-01", 10) == [("100", 3)]
    assert store.best("day:2026-03-02", 10) == []


@hypothesis_settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_order_and_repetition_gives_the_same_bytes(client, store, data: st.DataObject) -> None:
    written = []
    history = data.draw(histories())
    for events in (history.events, data.draw(deliveries(history))):
        client.flushall()
        Feed(PopularProjection(live_store())).deliver(*events)
        found = contents(client, "popular:1")
        written.append({key: value for key, value in found.items() if key.startswith((":document", ":index"))})
    assert written[0] == written[1]


def test_an_event_without_effect_takes_its_step(client, feed, store) -> None:
    history = History("100")
    feed.deliver(history.create(), history.update())
    before = contents(client, "popular:1")[":document:100"]
    feed.deliver(history.article_events[0])
    after = contents(client, "popular:1")
    assert (after[":document:100"], after[":position:article-topic:0"]) == (before, "3")


def test_an_unheard_type_is_a_defect_that_is_told(store) -> None:
    """The runner makes a dead letter of it instead of guessing."""
    import dataclasses

    store.begin([("article-topic", 0)])
    event = dataclasses.replace(History("100").create(), type="article.pinned")
    with pytest.raises(AssertionError, match=r"article\.pinned"):
        PopularProjection(store).apply(Step("article-topic", 0, 0, 1), event)


def test_the_consumer_has_the_services_group() -> None:
    assert make_consumer().name == "consumer of popular"
