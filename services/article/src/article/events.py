"""Rows as events: the only place that knows both shapes."""

from events import article as types
from events.envelope import format_time
from servicekit.outbox.publishing import NewEvent

from article.models import Article


def created(article: Article) -> NewEvent:
    return _content(types.CREATED, article)


def updated(article: Article) -> NewEvent:
    return _content(types.UPDATED, article)


def _content(event_type: str, article: Article) -> NewEvent:
    data = {
        "article_id": str(article.id),
        "board_id": str(article.board_id),
        "title": article.title,
        "content": article.content,
        "writer_id": str(article.writer_id),
        "created_at": format_time(article.created_at),
        "modified_at": format_time(article.modified_at),
        "version": article.version,
    }
    return NewEvent(event_type, types.SOURCE, str(article.id), types.ARTICLE, article.version, data)


def deleted(article: Article) -> NewEvent:
    """`article.version` is already that of the deletion."""
    data = {
        "article_id": str(article.id),
        "board_id": str(article.board_id),
        "created_at": format_time(article.created_at),
        "version": article.version,
    }
    return NewEvent(types.DELETED, types.SOURCE, str(article.id), types.ARTICLE, article.version, data)


def like_changed(article: Article, user_id: int, *, liked: bool) -> NewEvent:
    data = {
        "article_id": str(article.id),
        "user_id": str(user_id),
        "like_count": article.like_count,
        "like_version": article.like_version,
    }
    event_type = types.LIKED if liked else types.UNLIKED
    return NewEvent(event_type, types.SOURCE, str(article.id), types.LIKES, article.like_version, data)
