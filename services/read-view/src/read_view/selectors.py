"""Reading: the projection first, the origins for what it lacks. Every answer says where it comes from."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from events.topics import ARTICLE_TOPIC, PARTITIONS
from servicekit.consuming.positions import DependencyDown
from servicekit.consuming.store import ProjectionStore
from servicekit.pagination import encode_cursor
from servicekit.problems import NotFound, Unavailable

from read_view import projection
from read_view.consumers import live_store
from read_view.origins import Origins

PROJECTION, ORIGIN = "projection", "origin"
ARTICLE_PARTITIONS = [(ARTICLE_TOPIC, number) for number in range(PARTITIONS)]


@dataclass(frozen=True)
class Answer:
    """A body, where it comes from, and the age of the last event the projection has taken."""

    body: dict[str, Any]
    source: str
    age_ms: int | None


@cache
def _store() -> ProjectionStore:
    return live_store()


@cache
def _origins() -> Origins:
    return Origins(_store())


def article_get(article_id: str) -> Answer:
    """NotFound, Unavailable."""
    try:
        document = _store().documents([article_id])[0]
        source = PROJECTION
        if document is None or not projection.is_known(document):
            document, source = _origins().article(article_id), ORIGIN
        if document is None or projection.is_deleted(document):
            raise NotFound(f"there is no article {article_id}")
        return Answer(projection.view(article_id, document), source, _store().age_ms())
    except DependencyDown as error:
        raise Unavailable(str(error)) from error


def article_list(board_id: str, *, before_id: str | None, page_size: int, cursor: str | None) -> Answer:
    """Newest first. The origin is asked only while the projection cannot know what there is. Unavailable."""
    try:
        store = _store()
        ids = store.newest(f"board:{board_id}", before=before_id, limit=page_size + 1)
        if not ids and not store.has_seen_end(ARTICLE_PARTITIONS):
            return _list_of_origin(board_id, page_size=page_size, cursor=cursor)
        shown = ids[:page_size]
        documents = store.documents(shown)
        items = [projection.view(one, doc) for one, doc in zip(shown, documents, strict=True) if doc is not None]
        next_cursor = encode_cursor(shown[-1]) if len(ids) > page_size else None
        return Answer({"items": items, "next_cursor": next_cursor}, PROJECTION, store.age_ms())
    except DependencyDown as error:
        raise Unavailable(str(error)) from error


def _list_of_origin(board_id: str, *, page_size: int, cursor: str | None) -> Answer:
    page = _origins().board(board_id, page_size=page_size, cursor=cursor)
    items = []
    for article in page["items"]:
        document = _origins().article(article["id"])
        if document is not None and not projection.is_deleted(document):
            items.append(projection.view(article["id"], document))
    return Answer({"items": items, "next_cursor": page["next_cursor"]}, ORIGIN, _store().age_ms())
