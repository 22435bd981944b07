"""Rows as events: each fits the schema of its type, and says what the row says."""

from datetime import UTC, datetime

import pytest
from comment import events
from comment.models import Comment, Thread
from events.catalog import validator

THREAD = Thread(article_id=7, comment_count=2, comment_version=9)
TIME = datetime(2026, 3, 1, 0, 5, 0, 250_000, tzinfo=UTC)
PARENT = Comment(id=2**62, article_id=7, path="", content="c", writer_id=2**63 - 1, created_at=TIME)
CHILD = Comment(id=2**62 + 1, article_id=7, parent=PARENT, path="", content="대댓글", writer_id=5, created_at=TIME)


@pytest.mark.parametrize("comment", [PARENT, CHILD], ids=["parent", "child"])
def test_they_fit_their_schemas(comment: Comment) -> None:
    for event in (events.created(comment, THREAD), events.deleted(comment, THREAD)):
        validator(event.type, event.dataversion).validate(event.data)
        assert event.subject == event.data["article_id"] == "7"
        assert (event.source, event.aggregate, event.aggregateversion) == ("board/comment", "article-comments", 9)


def test_ids_are_texts_and_times_are_utc() -> None:
    assert events.created(CHILD, THREAD).data == {
        "comment_id": "4611686018427387905",
        "article_id": "7",
        "parent_id": "4611686018427387904",
        "writer_id": "5",
        "content": "대댓글",
        "created_at": "2026-03-01T00:05:00.250Z",
        "comment_count": 2,
        "comment_version": 9,
    }
    assert events.created(PARENT, THREAD).data["parent_id"] is None
    assert events.deleted(PARENT, THREAD).data == {
        "comment_id": "4611686018427387904",
        "article_id": "7",
        "comment_count": 2,
        "comment_version": 9,
    }
