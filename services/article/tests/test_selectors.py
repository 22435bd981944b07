"""Reading: what it asks of the database stays the same however much there is."""

import pytest
from article import selectors, services
from article.models import Article
from django.db import connection
from django.test.utils import CaptureQueriesContext
from servicekit.problems import NotFound

pytestmark = pytest.mark.usefixtures("database")


def make(count: int, board_id: int = 1) -> list[int]:
    return [services.article_create(board_id=board_id, title="t", content="c", writer_id=1).id for _ in range(count)]


def test_one_article_or_none() -> None:
    (article_id,) = make(1)
    assert selectors.article_get(article_id).id == article_id
    with pytest.raises(NotFound, match="there is no article 5"):
        selectors.article_get(5)


def test_a_list_begins_below_an_id_and_has_a_bound() -> None:
    made = make(6)
    make(2, board_id=2)
    found = selectors.article_list(board_id=1, before_id=made[4], limit=3)
    assert [article.id for article in found] == [made[3], made[2], made[1]]


@pytest.mark.parametrize("count", [1, 20])
def test_a_list_is_one_query(count: int) -> None:
    make(count)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert len(selectors.article_list(board_id=1, before_id=None, limit=50)) == count
    assert len(queries) == 1


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_list_is_read_from_the_index_of_its_board(database: object) -> None:
    """PostgreSQL would not use it for a table that is empty."""
    plan = Article.objects.filter(board_id=1, id__lt=100).order_by("-id")[:20].explain()
    assert "article_board" in plan
    assert "TEMP B-TREE" not in plan


def test_who_likes_what() -> None:
    (article_id,) = make(1)
    services.like_set(article_id=article_id, user_id=7, liked=True)
    assert selectors.is_liked(article_id=article_id, user_id=7)
    assert not selectors.is_liked(article_id=article_id, user_id=8)
