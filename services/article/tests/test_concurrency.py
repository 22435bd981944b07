"""Many write at once: counts are right, versions have no gap, and the events of an article are in the order of its versions."""

import contextlib
from collections import defaultdict
from collections.abc import Callable

import pytest
from article import services
from article.models import Article, Like
from at_once import at_once
from django.db import close_old_connections
from events.envelope import Envelope
from outbox_events import outbox_events
from servicekit.problems import NotFound

pytestmark = pytest.mark.usefixtures("database")


def make() -> Article:
    return services.article_create(board_id=1, title="t", content="c", writer_id=9)


def versions(events: list[Envelope]) -> dict[tuple[str, str], list[int]]:
    """Per article and aggregate, in the order of the outbox."""
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for event in events:
        found[event.subject, event.aggregate].append(event.aggregateversion)
    return found


def test_the_same_user_likes_from_many_places_at_once() -> None:
    article = make()
    at_once([lambda: services.like_set(article_id=article.id, user_id=7, liked=True)] * 8)
    found = Article.objects.get()
    assert (found.like_count, found.like_version, Like.objects.count()) == (1, 1, 1)
    assert [event.type for event in outbox_events()] == ["article.created", "article.liked"]


def test_many_users_like_at_once() -> None:
    article = make()

    def like(user_id: int) -> Callable[[], object]:
        return lambda: [services.like_set(article_id=article.id, user_id=user_id * 10 + one, liked=True) for one in range(5)]

    at_once([like(user_id) for user_id in range(1, 9)])
    found = Article.objects.get()
    assert (found.like_count, found.like_version, Like.objects.count()) == (40, 40, 40)
    likes = outbox_events()[1:]
    assert [event.data["like_count"] for event in likes] == list(range(1, 41))
    assert [event.aggregateversion for event in likes] == list(range(1, 41))


def test_likes_changes_and_unlikes_of_a_few_articles() -> None:
    articles = [make() for _ in range(3)]

    def work(user_id: int) -> Callable[[], object]:
        def all_of_it() -> None:
            for turn in range(4):
                for article in articles:
                    services.like_set(article_id=article.id, user_id=user_id, liked=turn % 2 == 0)
                    services.article_update(article_id=article.id, title=f"{user_id} {turn}", content=None)
                close_old_connections()

        return all_of_it

    at_once([work(user_id) for user_id in range(1, 7)])
    for found in Article.objects.all():
        assert (found.like_count, found.like_version, found.version) == (0, 24, 25)
        assert found.likes.count() == 0
    for article in articles:
        times = [event.time for event in outbox_events() if event.subject == str(article.id)]
        assert times == sorted(times)
    for (_, aggregate), numbers in versions(outbox_events()).items():
        assert numbers == list(range(1, 26 if aggregate == "article" else 25))


def test_a_like_and_the_deletion_at_once() -> None:
    """Whoever is first: nothing is liked after the deletion."""
    articles = [make() for _ in range(6)]

    def like(article: Article) -> Callable[[], object]:
        def ask() -> None:
            with contextlib.suppress(NotFound):
                services.like_set(article_id=article.id, user_id=7, liked=True)

        return ask

    at_once(
        [like(article) for article in articles]
        + [lambda a=article: services.article_delete(article_id=a.id) for article in articles]
    )
    assert (Article.objects.count(), Like.objects.count()) == (0, 0)
    for article in articles:
        types = [event.type for event in outbox_events() if event.subject == str(article.id)]
        assert types in (
            ["article.created", "article.deleted"],
            ["article.created", "article.liked", "article.deleted"],
        )


def test_two_deletions_at_once_are_one() -> None:
    article = make()
    outcomes: list[str] = []

    def delete() -> None:
        try:
            services.article_delete(article_id=article.id)
            outcomes.append("deleted")
        except NotFound:
            outcomes.append("not found")

    at_once([delete] * 5)
    assert sorted(outcomes) == ["deleted"] + ["not found"] * 4
    assert [event.type for event in outbox_events()] == ["article.created", "article.deleted"]
