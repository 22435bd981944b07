"""Writing: each function is one transaction of rows and their event. Business rules live here, HTTP does not."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction
from events.topics import ARTICLE_TOPIC
from servicekit import crash_points
from servicekit.ids.generator import next_id
from servicekit.outbox.publishing import NewEvent, now, publish
from servicekit.problems import NotFound

from article import events
from article.models import Article, Like


@contextmanager
def _unit_of_work() -> Iterator[None]:
    """One transaction, with the places where a test may kill it."""
    with transaction.atomic():
        yield
        crash_points.reach("article.before-commit")
    crash_points.reach("article.after-commit")


def article_create(*, board_id: int, title: str, content: str, writer_id: int) -> Article:
    """A new article."""
    article_id, time = next_id(), now()
    with _unit_of_work():
        article = Article.objects.create(
            id=article_id,
            board_id=board_id,
            title=title,
            content=content,
            writer_id=writer_id,
            created_at=time,
            modified_at=time,
        )
        publish(ARTICLE_TOPIC, events.created(article), time=time)
    return article


def article_update(*, article_id: int, title: str | None, content: str | None) -> Article:
    """Change what is given. NotFound."""
    with _unit_of_work():
        article = _locked(article_id)
        article.title = article.title if title is None else title
        article.content = article.content if content is None else content
        article.version += 1
        article.modified_at = now()
        article.save()
        publish(ARTICLE_TOPIC, events.updated(article), time=article.modified_at)
    return article


def article_delete(*, article_id: int) -> None:
    """Remove an article with its likes. NotFound."""
    with _unit_of_work():
        article = _locked(article_id)
        article.version += 1
        event = events.deleted(article)
        article.delete()
        publish(ARTICLE_TOPIC, event, time=now())


def like_set(*, article_id: int, user_id: int, liked: bool) -> Article:
    """Like, or take the like back; doing it twice changes nothing. NotFound."""
    with _unit_of_work():
        article = _locked(article_id)
        if _set(article, user_id, liked=liked):
            article.like_count += 1 if liked else -1
            article.like_version += 1
            article.save(update_fields=["like_count", "like_version"])
            event: NewEvent = events.like_changed(article, user_id, liked=liked)
            publish(ARTICLE_TOPIC, event, time=now())
    return article


def _set(article: Article, user_id: int, *, liked: bool) -> bool:
    """Whether anything changed. The article's lock is held."""
    if liked:
        return Like.objects.get_or_create(article=article, user_id=user_id, defaults={"created_at": now()})[1]
    return Like.objects.filter(article=article, user_id=user_id).delete()[0] > 0


def _locked(article_id: int) -> Article:
    """The article, locked until the end of the transaction."""
    article = Article.objects.select_for_update().filter(id=article_id).first()
    if article is None:
        raise NotFound(f"there is no article {article_id}")
    return article
