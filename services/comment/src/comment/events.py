"""Rows as events: the only place that knows both shapes."""

from typing import Any

from events import comment as types
from events.envelope import format_time
from servicekit.outbox.publishing import NewEvent

from comment.models import Comment, Thread


def created(comment: Comment, thread: Thread) -> NewEvent:
    data: dict[str, Any] = {
        "comment_id": str(comment.id),
        "article_id": str(comment.article_id),
        "parent_id": str(comment.parent_id) if comment.parent_id is not None else None,
        "writer_id": str(comment.writer_id),
        "content": comment.content,
        "created_at": format_time(comment.created_at),
        "comment_count": thread.comment_count,
        "comment_version": thread.comment_version,
    }
    return _event(types.CREATED, thread, data)


def deleted(comment: Comment, thread: Thread) -> NewEvent:
    data: dict[str, Any] = {
        "comment_id": str(comment.id),
        "article_id": str(comment.article_id),
        "comment_count": thread.comment_count,
        "comment_version": thread.comment_version,
    }
    return _event(types.DELETED, thread, data)


def _event(event_type: str, thread: Thread, data: dict[str, Any]) -> NewEvent:
    return NewEvent(event_type, types.SOURCE, str(thread.article_id), types.COMMENTS, thread.comment_version, data)
