"""Reading."""

from servicekit.problems import NotFound

from comment.models import Comment, Thread


def comment_get(comment_id: int) -> Comment:
    """NotFound."""
    comment = Comment.objects.filter(id=comment_id).first()
    if comment is None:
        raise NotFound(f"there is no comment {comment_id}")
    return comment


def comment_list(*, article_id: int, after_path: str | None, limit: int) -> list[Comment]:
    """In thread order, those behind `after_path`."""
    found = Comment.objects.filter(article_id=article_id)
    if after_path is not None:
        found = found.filter(path__gt=after_path)
    return list(found.order_by("path")[:limit])


def thread_get(article_id: int) -> Thread:
    """An article without comments, known or not, has an empty thread."""
    return Thread.objects.filter(article_id=article_id).first() or Thread(article_id=article_id)
