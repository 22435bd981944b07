"""Reading: what it asks of the database stays the same however much there is."""

import pytest
from comment import selectors, services
from comment.models import Comment, Thread
from django.db import connection
from django.test.utils import CaptureQueriesContext
from servicekit.problems import NotFound

pytestmark = pytest.mark.usefixtures("database")


def make(parent_id: int | None = None, article_id: int = 7) -> Comment:
    return services.comment_create(article_id=article_id, parent_id=parent_id, content="c", writer_id=1)


def test_one_comment_or_none() -> None:
    made = make()
    assert selectors.comment_get(made.id).path == made.path
    with pytest.raises(NotFound, match="there is no comment 5"):
        selectors.comment_get(5)


def test_a_list_begins_behind_a_path_and_has_a_bound() -> None:
    a, b = make(), make()
    a1 = make(a.id)
    make(article_id=8)
    assert [comment.id for comment in selectors.comment_list(article_id=7, after_path=None, limit=9)] == [a.id, a1.id, b.id]
    assert [comment.id for comment in selectors.comment_list(article_id=7, after_path=a.path, limit=1)] == [a1.id]
    assert [comment.id for comment in selectors.comment_list(article_id=7, after_path=a1.path, limit=9)] == [b.id]


def test_paths_are_ordered_by_their_bytes() -> None:
    """Digits before letters and a path before what continues it, whatever the database thinks of languages."""
    first = 0x09FF_0000_0000_0001
    ids = [first, first + 8, 0x0A00_0000_0000_0000, 0x7FFF_FFFF_FFFF_FFFF]
    paths = sorted([f"{one:016x}" for one in ids] + [f"{ids[0]:016x}{ids[2]:016x}"])
    Comment.objects.bulk_create(
        Comment(id=number + 1, article_id=7, path=path, content="c", writer_id=1, created_at="2026-03-01T00:00:00Z")
        for number, path in reversed(list(enumerate(paths)))
    )
    assert [comment.path for comment in selectors.comment_list(article_id=7, after_path=None, limit=9)] == paths


@pytest.mark.parametrize("count", [1, 20])
def test_a_list_is_one_query(count: int) -> None:
    for _ in range(count):
        make()
    with CaptureQueriesContext(connection) as queries:
        assert len(selectors.comment_list(article_id=7, after_path=None, limit=50)) == count
    assert len(queries) == 1


def test_a_thread_that_is_not_there_is_empty() -> None:
    assert (selectors.thread_get(7).comment_count, Thread.objects.count()) == (0, 0)
    make()
    assert (selectors.thread_get(7).comment_count, selectors.thread_get(7).comment_version) == (1, 1)
