"""What events make of an article's document, and of its place in the list of its day. Pure functions.

The list of day D ranks the articles created on D by what had happened before the end of D, told by the events' own times, so
that a replay in any later week gives the same list. Counts are kept per day until the day of creation is known; from then on
what happened on later days is passed over. An article that was deleted leaves its list, whenever that was: a list must not
lead to what is gone.
"""

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from events import article as article_types
from events import comment as comment_types
from events.envelope import Envelope
from servicekit.consuming.store import Change, Document

LIKE_POINTS, COMMENT_POINTS, VIEW_POINTS = 3, 2, 1
NOTHING: dict[str, Any] = {"version": 0}
# [version, count]
NO_COUNT = [0, 0]
COUNTED = ("likes", "comments")


def apply(document: Document | None, envelope: Envelope, zone: ZoneInfo) -> Document:
    """The document after an event."""
    known, data, day = document or {}, envelope.data, _day(envelope.time, zone)
    if envelope.type in (article_types.CREATED, article_types.UPDATED):
        content = {"title": data["title"], "board_id": data["board_id"], "deleted": False}
    elif envelope.type == article_types.DELETED:
        content = {"board_id": data["board_id"], "deleted": True}
    elif envelope.type in (article_types.LIKED, article_types.UNLIKED):
        return _count(known, "likes", day, data["like_version"], data["like_count"])
    else:
        assert envelope.type in (comment_types.CREATED, comment_types.DELETED), envelope.type
        return _count(known, "comments", day, data["comment_version"], data["comment_count"])
    if data["version"] <= known.get("content", NOTHING)["version"]:
        return known
    content |= {"version": data["version"], "day": _day(datetime.fromisoformat(data["created_at"]), zone).isoformat()}
    return _without_later_days({**known, "content": content})


def _day(time: datetime, zone: ZoneInfo) -> date:
    return time.astimezone(zone).date()


def _count(document: Document, part: str, day: date, version: int, count: int) -> Document:
    """Keep the newest count of a day."""
    created = document.get("content", {}).get("day")
    if created is not None and day.isoformat() > created:
        return document
    days = document.get(part, {})
    if version <= days.get(day.isoformat(), NO_COUNT)[0]:
        return document
    return {**document, part: {**days, day.isoformat(): [version, count]}}


def _without_later_days(document: Document) -> Document:
    """The day of creation is known now: what happened later does not count."""
    last = document["content"]["day"]
    kept = {part: {day: count for day, count in document.get(part, {}).items() if day <= last} for part in COUNTED}
    # A part without days is left out, so that the document is the same in whatever order the two topics come.
    others = {name: value for name, value in document.items() if name not in COUNTED}
    return others | {part: days for part, days in kept.items() if days}


def counts(document: Document) -> tuple[int, int]:
    """(likes, comments) at the end of the day of creation."""
    likes, comments = (max(document.get(part, {}).values(), default=NO_COUNT)[1] for part in COUNTED)
    return likes, comments


def score(document: Document) -> int:
    """Views come with their events later; until then nobody has any."""
    likes, comments = counts(document)
    return likes * LIKE_POINTS + comments * COMMENT_POINTS


def is_shown(document: Document) -> bool:
    """Whether the article is known and still there."""
    return "content" in document and not document["content"]["deleted"]


def change(document: Document) -> Change:
    """The document with its place in the list of its day: none without points, or once deleted."""
    content = document.get("content")
    if content is None:
        return Change(document)
    points = score(document) if is_shown(document) else 0
    return Change(document, {f"day:{content['day']}": points or None})
