"""Rows as events: each fits the schema of its type, and says what the row says."""

from datetime import UTC, datetime

import pytest
from article import events
from article.models import Article
from events.catalog import validator
from servicekit.outbox.publishing import NewEvent

ARTICLE = Article(
    id=182736451234816,
    board_id=1,
    title="왜?",
    content="",
    writer_id=2**63 - 1,
    created_at=datetime(2026, 3, 1, tzinfo=UTC),
    modified_at=datetime(2026, 3, 1, 0, 5, 0, 250_000, tzinfo=UTC),
    version=4,
    like_count=2,
    like_version=9,
)
ALL = [
    events.created(ARTICLE),
    events.updated(ARTICLE),
    events.deleted(ARTICLE),
    events.like_changed(ARTICLE, 7, liked=True),
    events.like_changed(ARTICLE, 7, liked=False),
]


@pytest.mark.parametrize("event", ALL, ids=lambda event: event.type)
def test_it_fits_its_schema(event: NewEvent) -> None:
    validator(event.type, event.dataversion).validate(event.data)
    assert event.subject == event.data["article_id"] == "182736451234816"
    assert event.source == "board/article"


def test_content_and_likes_are_aggregates_of_their_own() -> None:
    assert [(event.type, event.aggregate, event.aggregateversion) for event in ALL] == [
        ("article.created", "article", 4),
        ("article.updated", "article", 4),
        ("article.deleted", "article", 4),
        ("article.liked", "article-likes", 9),
        ("article.unliked", "article-likes", 9),
    ]


def test_ids_are_texts_and_times_are_utc() -> None:
    assert events.updated(ARTICLE).data == {
        "article_id": "182736451234816",
        "board_id": "1",
        "title": "왜?",
        "content": "",
        "writer_id": "9223372036854775807",
        "created_at": "2026-03-01T00:00:00.000Z",
        "modified_at": "2026-03-01T00:05:00.250Z",
        "version": 4,
    }
    assert events.like_changed(ARTICLE, 7, liked=True).data == {
        "article_id": "182736451234816",
        "user_id": "7",
        "like_count": 2,
        "like_version": 9,
    }
