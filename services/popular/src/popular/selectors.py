"""Reading: ten are cut here; all that have points are kept."""

from datetime import date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from servicekit.consuming.positions import DependencyDown
from servicekit.consuming.store import ProjectionStore
from servicekit.problems import BadInput, Unavailable

from popular import projection
from popular.consumers import live_store

SIZE = 10
DAYS = 7


@cache
def _store() -> ProjectionStore:
    return live_store()


def today() -> date:
    """The day in the board's zone."""
    return datetime.now(ZoneInfo(settings.BOARD_ZONE)).date()


def parse_day(text: str | None) -> date:
    """Today when it is left out. BadInput names `date`."""
    if text is None:
        return today()
    try:
        day = datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a day has no zone
    except ValueError as error:
        raise BadInput("date", "a day such as 2026-03-01 is needed") from error
    if not today() - timedelta(days=DAYS - 1) <= day <= today():
        raise BadInput("date", f"one of the last {DAYS} days is needed, {today() - timedelta(days=DAYS - 1)} to {today()}")
    return day


def popular_list(day: date) -> list[dict[str, Any]]:
    """The best of a day, with what their points are made of. Unavailable."""
    try:
        ranked = _store().best(f"day:{day.isoformat()}", SIZE)
        documents = _store().documents([article_id for article_id, _ in ranked])
    except DependencyDown as error:
        raise Unavailable(str(error)) from error
    # One that was deleted between the two reads is passed over.
    shown = [
        (*place, document)
        for place, document in zip(ranked, documents, strict=True)
        if document is not None and projection.is_shown(document)
    ]
    return [_item(rank, *found) for rank, found in enumerate(shown, start=1)]


def _item(rank: int, article_id: str, score: int, document: dict[str, Any]) -> dict[str, Any]:
    likes, comments = projection.counts(document)
    content = document["content"]
    return {
        "rank": rank,
        "article_id": article_id,
        "board_id": content["board_id"],
        "title": content["title"],
        "score": score,
        "like_count": likes,
        "comment_count": comments,
    }
