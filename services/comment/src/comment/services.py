"""Writing: each function is one transaction of rows and their event. Business rules live here, HTTP does not."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction
from events.topics import COMMENT_TOPIC
from servicekit import crash_points
from servicekit.ids.generator import next_id
from servicekit.outbox.publishing import now, publish
from servicekit.problems import BadInput, NotFound

from comment import events
from comment.models import DEPTH_MAX, PATH_PART, Comment, Thread


@contextmanager
def _unit_of_work() -> Iterator[None]:
    """One transaction, with the places where a test may kill it."""
    with transaction.atomic():
        yield
        crash_points.reach("comment.before-commit")
    crash_points.reach("comment.after-commit")


def comment_create(*, article_id: int, parent_id: int | None, content: str, writer_id: int) -> Comment:
    """A new comment, or an answer to one. The article need not be known here. BadInput when the parent cannot be answered."""
    comment_id = next_id()
    with _unit_of_work():
        thread = _locked_thread(article_id)
        # Under the lock, so that the times of a thread's events are in the order of its versions.
        time = now()
        parent = _parent(article_id, parent_id) if parent_id is not None else None
        comment = Comment.objects.create(
            id=comment_id,
            article_id=article_id,
            parent=parent,
            path=f"{parent.path if parent is not None else ''}{comment_id:0{PATH_PART}x}",
            content=content,
            writer_id=writer_id,
            created_at=time,
        )
        _count(thread, 1)
        publish(COMMENT_TOPIC, events.created(comment, thread), time=time)
    return comment


def comment_delete(*, comment_id: int) -> None:
    """Delete a comment: a tombstone stays while it has answers. NotFound also for a tombstone."""
    known = Comment.objects.filter(id=comment_id).first()
    if known is None:
        raise NotFound(f"there is no comment {comment_id}")
    with _unit_of_work():
        thread = _locked_thread(known.article_id)
        # Read again: another may have deleted it before the lock was ours.
        comment = Comment.objects.filter(id=comment_id, deleted=False).first()
        if comment is None:
            raise NotFound(f"there is no comment {comment_id}")
        _count(thread, -1)
        event = events.deleted(comment, thread)
        comment.deleted, comment.content = True, ""
        comment.save(update_fields=["deleted", "content"])
        _sweep(comment)
        publish(COMMENT_TOPIC, event, time=now())


def _locked_thread(article_id: int) -> Thread:
    """The article's thread, made when it is new, locked until the end of the transaction."""
    Thread.objects.bulk_create([Thread(article_id=article_id)], ignore_conflicts=True)
    return Thread.objects.select_for_update().get(article_id=article_id)


def _count(thread: Thread, change: int) -> None:
    thread.comment_count += change
    thread.comment_version += 1
    thread.save()


def _parent(article_id: int, parent_id: int) -> Comment:
    parent = Comment.objects.filter(id=parent_id, article_id=article_id).first()
    if parent is None:
        raise BadInput("parent_id", f"article {article_id} has no comment {parent_id}")
    if parent.deleted:
        raise BadInput("parent_id", f"comment {parent_id} was deleted and cannot be answered")
    if parent.depth >= DEPTH_MAX:
        raise BadInput("parent_id", f"comment {parent_id} is {DEPTH_MAX} deep already; answer one above it")
    return parent


def _sweep(comment: Comment) -> None:
    """Remove the tombstone, and those above it, as far as no answer is left below."""
    current: Comment | None = comment
    while current is not None and current.deleted and not current.children.exists():
        parent = current.parent
        current.delete()
        current = parent
