"""What events make of an article's document: the same in whatever order and however often they come."""

import random
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from board_events import History, deliveries, histories
from events.envelope import Envelope
from hypothesis import given
from hypothesis import strategies as st
from popular import projection
from servicekit.consuming.store import Document

SEOUL = ZoneInfo("Asia/Seoul")


def document(events: list[Envelope], zone: ZoneInfo = SEOUL) -> Document:
    found: Document | None = None
    for event in events:
        found = projection.apply(found, event, zone)
    assert found is not None
    return found


def seoul(day: int, clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-{day:02}T{clock}").replace(tzinfo=SEOUL)


@given(st.data())
def test_order_between_topics_and_repetition_do_not_matter(data: st.DataObject) -> None:
    history = data.draw(histories())
    assert document(data.draw(deliveries(history))) == document(history.events)


@given(histories(), st.randoms(use_true_random=False))
def test_not_even_order_within_a_topic_matters(history: History, rng: random.Random) -> None:
    shuffled = history.events * 2
    rng.shuffle(shuffled)
    assert document(shuffled) == document(history.events)


@given(histories())
def test_the_place_follows_from_the_document_alone(history: History) -> None:
    """The score is that of the last counts of the day of creation."""
    day = history.created_at.astimezone(SEOUL).date()
    same_day = [event for event in history.events if event.time.astimezone(SEOUL).date() == day]
    likes = max(((e.data["like_version"], e.data["like_count"]) for e in same_day if "like_version" in e.data), default=(0, 0))
    comments = max(
        ((e.data["comment_version"], e.data["comment_count"]) for e in same_day if "comment_version" in e.data), default=(0, 0)
    )
    expected = None if history.deleted else (likes[1] * 3 + comments[1] * 2) or None
    assert projection.change(document(history.events)).places == {f"day:{day}": expected}


@pytest.mark.parametrize(("likes", "comments", "points"), [(0, 0, 0), (1, 0, 3), (0, 1, 2), (4, 3, 18)])
def test_points(likes: int, comments: int, points: int) -> None:
    history = History("100")
    history.create()
    for _ in range(likes):
        history.like()
    for _ in range(comments):
        history.comment()
    assert projection.counts(document(history.events)) == (likes, comments)
    assert projection.score(document(history.events)) == points


@pytest.mark.parametrize(
    ("at", "counts"), [(seoul(1, "23:59:59.999"), True), (seoul(1, "23:59:59"), True), (seoul(2, "00:00:00"), False)]
)
@pytest.mark.parametrize("early", [True, False])
def test_a_day_ends_at_midnight_in_its_zone(at: datetime, counts: bool, early: bool) -> None:
    """Whether the event is heard of before the article or after it."""
    history = History("100")
    history.create(seoul(1, "09:00:00"))
    history.like(at)
    history.comment(at)
    events = [*reversed(history.events)] if early else history.events
    assert projection.score(document(events)) == (5 if counts else 0)


def test_what_happened_later_leaves_no_trace() -> None:
    """Whatever came first, the documents are the same."""
    history = History("100")
    history.create(seoul(1, "09:00:00"))
    history.comment(seoul(3, "09:00:00"))
    assert document(history.events) == document([*reversed(history.events)]) == document(history.article_events)


@pytest.mark.parametrize(
    ("zone", "created", "same_day", "next_day"),
    [
        # Clocks go back: the day has 25 hours.
        ("America/New_York", "2026-11-01T00:30:00-04:00", "2026-11-01T23:59:59-05:00", "2026-11-02T00:00:00-05:00"),
        # Clocks go forward: it has 23.
        ("America/New_York", "2026-03-08T00:30:00-05:00", "2026-03-08T23:59:59-04:00", "2026-03-09T00:00:00-04:00"),
        ("Asia/Seoul", "2026-03-08T00:30:00+09:00", "2026-03-08T14:59:59+00:00", "2026-03-08T15:00:00+00:00"),
    ],
)
def test_days_are_those_of_the_zone(zone: str, created: str, same_day: str, next_day: str) -> None:
    history = History("100")
    history.create(datetime.fromisoformat(created))
    history.like(datetime.fromisoformat(same_day))
    history.like(datetime.fromisoformat(next_day))
    found = document(history.events, ZoneInfo(zone))
    assert found["content"]["day"] == created[:10]
    assert projection.counts(found) == (1, 0)


@pytest.mark.parametrize("at", [seoul(1, "23:00:00"), seoul(5, "09:00:00")])
def test_a_deleted_article_leaves_its_list_whenever_that_was(at: datetime) -> None:
    history = History("100")
    history.create(seoul(1, "09:00:00"))
    history.like(seoul(1, "10:00:00"))
    history.delete(at)
    found = document(history.events)
    assert not projection.is_shown(found)
    assert projection.change(found).places == {"day:2026-03-01": None}


def test_what_is_not_known_yet_has_no_place() -> None:
    history = History("100")
    history.create()
    event = history.comment()
    found: dict[str, Any] = document([event])
    assert not projection.is_shown(found)
    assert projection.change(found).places == {}
