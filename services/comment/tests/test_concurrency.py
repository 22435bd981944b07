"""Many write at once: counts are right, versions have no gap, and the events of a thread are in the order of its versions."""

import contextlib
from collections.abc import Callable

import pytest
from at_once import at_once
from comment import services
from comment.models import Comment, Thread
from outbox_events import outbox_events
from servicekit.problems import BadInput, NotFound

pytestmark = pytest.mark.usefixtures("database")


def make(parent_id: int | None = None, article_id: int = 7) -> Comment:
    return services.comment_create(article_id=article_id, parent_id=parent_id, content="c", writer_id=1)


def test_the_first_comments_of_an_article_at_once() -> None:
    """Nobody has made the thread yet, and all want it."""
    at_once([make] * 8)
    thread = Thread.objects.get()
    assert (thread.comment_count, thread.comment_version, Comment.objects.count()) == (8, 8, 8)
    assert [event.data["comment_count"] for event in outbox_events()] == list(range(1, 9))


def test_comments_and_deletions_in_several_threads_at_once() -> None:
    def work(article_id: int) -> Callable[[], object]:
        def all_of_it() -> None:
            for _ in range(5):
                made = make(article_id=article_id)
                make(made.id, article_id=article_id)
                services.comment_delete(comment_id=made.id)

        return all_of_it

    at_once([work(article_id) for article_id in (7, 7, 7, 8, 8, 8)])
    for article_id in (7, 8):
        thread = Thread.objects.get(article_id=article_id)
        assert (thread.comment_count, thread.comment_version) == (15, 45)
        assert Comment.objects.filter(article_id=article_id, deleted=False).count() == 15
        events = [event for event in outbox_events() if event.subject == str(article_id)]
        assert [event.aggregateversion for event in events] == list(range(1, 46))
        times = [event.time for event in events]
        assert times == sorted(times)


def test_one_comment_is_deleted_once() -> None:
    made, outcomes = make(), list[str]()

    def delete() -> None:
        try:
            services.comment_delete(comment_id=made.id)
            outcomes.append("deleted")
        except NotFound:
            outcomes.append("not found")

    at_once([delete] * 6)
    assert sorted(outcomes) == ["deleted"] + ["not found"] * 5
    assert Thread.objects.get().comment_count == 0


def test_an_answer_and_the_deletion_of_what_it_answers() -> None:
    """Whoever is first: no answer hangs in the air, and the count is that of the living."""
    parents = [make() for _ in range(6)]

    def answer(parent: Comment) -> Callable[[], object]:
        def ask() -> None:
            with contextlib.suppress(BadInput):
                make(parent.id)

        return ask

    deletions = [lambda parent=parent: services.comment_delete(comment_id=parent.id) for parent in parents]
    at_once([*(answer(parent) for parent in parents), *deletions])
    living = list(Comment.objects.filter(deleted=False))
    assert Thread.objects.get().comment_count == len(living)
    assert Comment.objects.filter(deleted=True).count() == len(living)
    assert all(comment.parent is not None and comment.parent.deleted for comment in living)


def test_the_last_children_of_a_tombstone_go_at_once() -> None:
    parent = make()
    children = [make(parent.id) for _ in range(6)]
    services.comment_delete(comment_id=parent.id)
    at_once([lambda child=child: services.comment_delete(comment_id=child.id) for child in children])
    assert Comment.objects.count() == 0
    assert Thread.objects.get().comment_count == 0
