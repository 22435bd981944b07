"""Writing: rows and their event in one transaction, or neither."""

from collections.abc import Callable

import pytest
from comment import services
from comment.models import Comment, Thread
from outbox_events import outbox_events
from servicekit import crash_points
from servicekit.outbox.models import OutboxEvent
from servicekit.problems import BadInput, NotFound

pytestmark = pytest.mark.usefixtures("database")


def make(parent: Comment | None = None, article_id: int = 7) -> Comment:
    parent_id = parent.id if parent is not None else None
    return services.comment_create(article_id=article_id, parent_id=parent_id, content="내용", writer_id=9)


def test_the_life_of_a_thread_in_events() -> None:
    a = make()
    b = make(a)
    services.comment_delete(comment_id=a.id)
    services.comment_delete(comment_id=b.id)
    events = outbox_events()
    assert [(event.type, event.data["comment_id"], event.data["comment_count"]) for event in events] == [
        ("comment.created", str(a.id), 1),
        ("comment.created", str(b.id), 2),
        ("comment.deleted", str(a.id), 1),
        ("comment.deleted", str(b.id), 0),
    ]
    assert [event.aggregateversion for event in events] == [event.data["comment_version"] for event in events] == [1, 2, 3, 4]
    assert {(event.subject, event.aggregate) for event in events} == {("7", "article-comments")}
    assert set(OutboxEvent.objects.values_list("topic", flat=True)) == {"comment-topic"}


def test_a_tombstone_that_is_swept_is_no_event_of_its_own() -> None:
    a = make()
    b = make(a)
    services.comment_delete(comment_id=a.id)
    before = len(outbox_events())
    services.comment_delete(comment_id=b.id)
    assert len(outbox_events()) == before + 1
    assert Comment.objects.count() == 0


def test_each_article_has_versions_of_its_own() -> None:
    make(article_id=7)
    make(article_id=8)
    make(article_id=7)
    assert [(event.subject, event.aggregateversion) for event in outbox_events()] == [("7", 1), ("8", 1), ("7", 2)]


def test_the_versions_go_on_after_the_last_comment_has_gone() -> None:
    services.comment_delete(comment_id=make().id)
    make()
    assert [event.aggregateversion for event in outbox_events()] == [1, 2, 3]
    assert outbox_events()[-1].data["comment_count"] == 1


def test_the_content_of_a_tombstone_is_nowhere_any_more() -> None:
    a = make()
    make(a)
    services.comment_delete(comment_id=a.id)
    assert Comment.objects.get(id=a.id).content == ""
    assert "content" not in outbox_events()[-1].data


def test_what_is_refused_leaves_no_thread() -> None:
    with pytest.raises(BadInput):
        services.comment_create(article_id=7, parent_id=5, content="c", writer_id=1)
    with pytest.raises(NotFound):
        services.comment_delete(comment_id=5)
    assert Thread.objects.count() == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda parent, child: make(),
        lambda parent, child: make(article_id=8),
        lambda parent, child: make(child),
        lambda parent, child: services.comment_delete(comment_id=parent.id),
        lambda parent, child: services.comment_delete(comment_id=child.id),
    ],
    ids=["create", "create in a new thread", "answer", "delete a parent", "delete a child"],
)
def test_a_roll_back_takes_rows_and_event(change: Callable[[Comment, Comment], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is written, then the transaction fails."""
    parent = make()
    child = make(parent)
    before = state()

    def fail(name: str) -> None:
        assert name == "comment.before-commit"
        assert state() != before
        raise ZeroDivisionError

    monkeypatch.setattr(crash_points, "reach", fail)
    with pytest.raises(ZeroDivisionError):
        change(parent, child)
    assert state() == before


def state() -> list[object]:
    return [
        list(Comment.objects.order_by("id").values()),
        list(Thread.objects.order_by("article_id").values()),
        list(OutboxEvent.objects.order_by("id").values_list("id", "key")),
    ]
