"""What events make of an article's document: pure functions, the whole truth about the projection's content.

Content, likes and comments have versions of their own, and only what is newer is taken; so order between topics, repetition
and an origin's answer in between do no harm. A deletion leaves its version behind, and nothing older brings the article back.
"""

from typing import Any

from events import article as article_types
from events import comment as comment_types
from events.envelope import Envelope
from servicekit.consuming.store import Change, Document

CONTENT_FIELDS = ("board_id", "title", "content", "writer_id", "created_at", "modified_at")
NOTHING: dict[str, Any] = {"version": 0}


def apply(document: Document | None, envelope: Envelope) -> Document:
    """The document after an event."""
    data = envelope.data
    if envelope.type in (article_types.CREATED, article_types.UPDATED):
        return take_content(document, data)
    if envelope.type == article_types.DELETED:
        return take(document, "content", {"version": data["version"], "deleted": True, "board_id": data["board_id"]})
    if envelope.type in (article_types.LIKED, article_types.UNLIKED):
        return take_likes(document, data["like_count"], data["like_version"])
    assert envelope.type in (comment_types.CREATED, comment_types.DELETED), envelope.type
    return take_comments(document, data["comment_count"], data["comment_version"])


def take_content(document: Document | None, article: dict[str, Any]) -> Document:
    """`article` is an article as its service tells it, in an event or an answer."""
    return take(document, "content", {"version": article["version"], **{name: article[name] for name in CONTENT_FIELDS}})


def take_likes(document: Document | None, count: int, version: int) -> Document:
    return take(document, "likes", {"version": version, "count": count})


def take_comments(document: Document | None, count: int, version: int) -> Document:
    return take(document, "comments", {"version": version, "count": count})


def take(document: Document | None, part: str, found: dict[str, Any]) -> Document:
    """Take a part over when it is newer than what is known."""
    known = document or {}
    if found["version"] <= known.get(part, NOTHING)["version"]:
        return known
    return {**known, part: found}


def is_known(document: Document | None) -> bool:
    """Whether the article itself has been heard of, be it that it was deleted."""
    return document is not None and "content" in document


def is_deleted(document: Document) -> bool:
    return bool(document["content"].get("deleted"))


def change(document: Document) -> Change:
    """The document with its place in its board's list: a deleted article has none, one not heard of not either."""
    if not is_known(document):
        return Change(document)
    board = f"board:{document['content']['board_id']}"
    return Change(document, {board: None if is_deleted(document) else 0})


def view(article_id: str, document: Document) -> dict[str, Any]:
    """The article as readers see it."""
    content = document["content"]
    return {
        "id": article_id,
        **{name: content[name] for name in CONTENT_FIELDS},
        "version": content["version"],
        "like_count": document.get("likes", {}).get("count", 0),
        "comment_count": document.get("comments", {}).get("count", 0),
    }
