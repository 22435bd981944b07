"""Reading."""

from servicekit.problems import NotFound

from article.models import Article, Like


def article_get(article_id: int) -> Article:
    """NotFound."""
    article = Article.objects.filter(id=article_id).first()
    if article is None:
        raise NotFound(f"there is no article {article_id}")
    return article


def article_list(*, board_id: int, before_id: int | None, limit: int) -> list[Article]:
    """Newest first, those with an id below `before_id`."""
    found = Article.objects.filter(board_id=board_id)
    if before_id is not None:
        found = found.filter(id__lt=before_id)
    return list(found.order_by("-id")[:limit])


def is_liked(*, article_id: int, user_id: int) -> bool:
    return Like.objects.filter(article_id=article_id, user_id=user_id).exists()
