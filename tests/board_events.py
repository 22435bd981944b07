"""Histories of articles, told in the events that the services publish, for tests of what consumes them.

Versions and counts grow as the services let them: content, likes and comments each on its own, with absolute counts.
"""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from events import article as article_types
from events import comment as comment_types
from events.envelope import Envelope, format_time
from hypothesis import strategies as st

BEGIN = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@dataclass
class History:
    """All that happens to one article. Each step takes the time it happens at; without one, a minute after the last."""

    article_id: str
    board_id: str = "1"
    now: datetime = BEGIN
    article_events: list[Envelope] = field(default_factory=list)
    comment_events: list[Envelope] = field(default_factory=list)
    created_at: datetime = BEGIN
    title: str = "a title"
    version: int = 0
    deleted: bool = False
    like_count: int = 0
    like_version: int = 0
    comment_count: int = 0
    comment_version: int = 0

    @property
    def events(self) -> list[Envelope]:
        return [*self.article_events, *self.comment_events]

    def create(self, at: datetime | None = None, title: str = "a title") -> Envelope:
        self.now = at or self.now
        self.created_at = self.now
        return self._content(article_types.CREATED, title, self.now)

    def update(self, at: datetime | None = None, title: str = "another title") -> Envelope:
        return self._content(article_types.UPDATED, title, at)

    def delete(self, at: datetime | None = None) -> Envelope:
        self.version += 1
        self.deleted = True
        data = {"board_id": self.board_id, "created_at": format_time(self.created_at), "version": self.version}
        return self._article(article_types.DELETED, article_types.ARTICLE, self.version, data, at)

    def like(self, at: datetime | None = None, *, user_id: str = "7") -> Envelope:
        return self._liked(article_types.LIKED, 1, user_id, at)

    def unlike(self, at: datetime | None = None, *, user_id: str = "7") -> Envelope:
        return self._liked(article_types.UNLIKED, -1, user_id, at)

    def comment(self, at: datetime | None = None) -> Envelope:
        self._count_comments(1, at)
        more = {"parent_id": None, "writer_id": "9", "content": "댓글", "created_at": format_time(self.now)}
        return self._commented(comment_types.CREATED, more)

    def uncomment(self, at: datetime | None = None) -> Envelope:
        self._count_comments(-1, at)
        return self._commented(comment_types.DELETED, {})

    def _content(self, event_type: str, title: str, at: datetime | None) -> Envelope:
        self.version += 1
        self.title = title
        self.now = at or self.now + MINUTE
        data = {
            "board_id": self.board_id,
            "title": title,
            "content": "본문",
            "writer_id": "5",
            "created_at": format_time(self.created_at),
            "modified_at": format_time(self.now),
            "version": self.version,
        }
        return self._article(event_type, article_types.ARTICLE, self.version, data, self.now)

    def _liked(self, event_type: str, change: int, user_id: str, at: datetime | None) -> Envelope:
        self.like_count, self.like_version = self.like_count + change, self.like_version + 1
        data = {"user_id": user_id, "like_count": self.like_count, "like_version": self.like_version}
        return self._article(event_type, article_types.LIKES, self.like_version, data, at)

    def _article(self, event_type: str, aggregate: str, version: int, data: dict[str, Any], at: datetime | None) -> Envelope:
        self.now = at or self.now + MINUTE
        event = self._event(event_type, article_types.SOURCE, aggregate, version, data)
        self.article_events.append(event)
        return event

    def _count_comments(self, change: int, at: datetime | None) -> None:
        self.now = at or self.now + MINUTE
        self.comment_count, self.comment_version = self.comment_count + change, self.comment_version + 1

    def _commented(self, event_type: str, more: dict[str, Any]) -> Envelope:
        data = {
            "comment_id": str(1000 + self.comment_version),
            "comment_count": self.comment_count,
            "comment_version": self.comment_version,
            **more,
        }
        event = self._event(event_type, comment_types.SOURCE, comment_types.COMMENTS, self.comment_version, data)
        self.comment_events.append(event)
        return event

    def _event(self, event_type: str, source: str, aggregate: str, version: int, data: dict[str, Any]) -> Envelope:
        return Envelope(
            id=str(uuid.uuid4()),
            source=source,
            type=event_type,
            dataversion=1,
            time=self.now,
            subject=self.article_id,
            aggregate=aggregate,
            aggregateversion=version,
            correlationid="a-test",
            data={"article_id": self.article_id, **data},
        )


def posts(count: int = 1) -> list[Envelope]:
    """`count` events about each of twelve articles, in an order that mixes them."""
    articles = [History(str(100 + number)) for number in range(12)]
    return [article.comment() for _ in range(count) for article in articles]


@st.composite
def histories(draw: st.DrawFn, article_id: str = "100") -> History:
    """A history over some days: content, likes and comments in any order, comments also after the deletion."""
    history = History(article_id)
    time = BEGIN + timedelta(hours=draw(st.integers(0, 30)))
    history.create(time)
    for step in draw(st.lists(st.sampled_from(["update", "like", "unlike", "comment", "uncomment", "delete"]), max_size=12)):
        time += timedelta(hours=draw(st.integers(0, 12)))
        if step == "uncomment" and history.comment_count:
            history.uncomment(time)
        elif step == "comment":
            history.comment(time)
        elif step == "unlike" and history.like_count and not history.deleted:
            history.unlike(time)
        elif step in ("update", "like", "delete") and not history.deleted:
            getattr(history, step)(time)
    return history


@st.composite
def deliveries(draw: st.DrawFn, history: History) -> list[Envelope]:
    """The events as consumers may meet them: each topic in order, the two mixed anyhow, and from some places on again."""
    queues = [list(history.article_events), list(history.comment_events)]
    # A consumer that goes on from an older position reads what follows once more.
    for queue in queues:
        for _ in range(draw(st.integers(0, 2))):
            if queue:
                end = draw(st.integers(1, len(queue)))
                queue[end:end] = queue[draw(st.integers(0, end - 1)) : end]
    mixed: list[Envelope] = []
    while any(queues):
        mixed.append(queues[draw(st.sampled_from([i for i, queue in enumerate(queues) if queue]))].pop(0))
    return mixed
