"""Reading: the projection first, the origins for what it lacks. Every answer says where it comes from."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from events.topics import ARTICLE_TOPIC, PARTITIONS
from servicekit.consuming.positions import DependencyDown
from servicekit.consuming.store import Document, ProjectionStore
from servicekit.pagination import encode_cursor
from servicekit.problems import NotFound, Unavailable

from read_view import projection
from read_view.consumers import live_store
from read_view.origins import Origins

log = logging.getLogger(__name__)
PROJECTION, ORIGIN = "projection", "origin"
ARTICLE_PARTITIONS = [(ARTICLE_TOPIC, number) for number in range(PARTITIONS)]


@dataclass(frozen=True)
class Provenance:
    """Where an answer comes from, and the age of the last event the projection has taken (None before the first)."""

    source: str
    age_ms: int | None


@dataclass(frozen=True)
class Answer:
    """A body and where it comes from."""

    body: dict[str, Any]
    provenance: Provenance


class Missing(NotFound):
    """There is no such article, as far as `provenance` knows."""

    def __init__(self, text: str, provenance: Provenance) -> None:
        super().__init__(text)
        self.provenance = provenance


@cache
def _store() -> ProjectionStore:
    return live_store()


@cache
def _origins() -> Origins:
    return Origins(_store())


def article_get(article_id: str) -> Answer:
    """Missing, Unavailable."""
    try:
        document = _store().documents([article_id])[0]
        source = PROJECTION
        if document is None or not projection.is_known(document):
            document, source = _origins().articles([article_id])[0], ORIGIN
        provenance = Provenance(source, _store().age_ms())
    except DependencyDown as error:
        raise Unavailable(str(error)) from error
    if document is None or projection.is_deleted(document):
        raise Missing(f"there is no article {article_id}", provenance)
    return Answer(projection.view(article_id, document), provenance)


def article_list(board_id: str, *, before_id: str | None, page_size: int, cursor: str | None) -> Answer:
    """Newest first. The origin is asked only while the projection cannot know what there is. Unavailable."""
    try:
        store = _store()
        if not store.has_seen_end(ARTICLE_PARTITIONS):
            try:
                return _list_of_origin(board_id, page_size=page_size, cursor=cursor)
            except Unavailable as error:
                log.warning("the list may not be complete: %s", error)
                return _list_of_projection(store, board_id, before_id=before_id, page_size=page_size, or_else=error)
        return _list_of_projection(store, board_id, before_id=before_id, page_size=page_size)
    except DependencyDown as error:
        raise Unavailable(str(error)) from error


def _list_of_projection(
    store: ProjectionStore, board_id: str, *, before_id: str | None, page_size: int, or_else: Unavailable | None = None
) -> Answer:
    """`or_else` is raised when there is nothing."""
    ids = store.newest(f"board:{board_id}", before=before_id, limit=page_size + 1)
    if not ids and or_else is not None:
        raise or_else
    shown = ids[:page_size]
    items = _items(zip(shown, store.documents(shown), strict=True))
    next_cursor = encode_cursor(shown[-1]) if len(ids) > page_size else None
    return Answer({"items": items, "next_cursor": next_cursor}, Provenance(PROJECTION, store.age_ms()))


def _list_of_origin(board_id: str, *, page_size: int, cursor: str | None) -> Answer:
    page = _origins().board(board_id, page_size=page_size, cursor=cursor)
    ids = [article["id"] for article in page["items"]]
    items = _items(zip(ids, _origins().articles(ids), strict=True))
    return Answer({"items": items, "next_cursor": page["next_cursor"]}, Provenance(ORIGIN, _store().age_ms()))


def _items(found: Iterable[tuple[str, Document | None]]) -> list[dict[str, Any]]:
    """One that was deleted while the page was put together is passed over."""
    return [
        projection.view(article_id, document)
        for article_id, document in found
        if document is not None and projection.is_known(document) and not projection.is_deleted(document)
    ]
