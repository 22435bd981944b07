"""Writing: rows and their event in one transaction, or neither."""

from collections.abc import Callable

import pytest
from article import services
from article.models import Article, Like
from events.envelope import Envelope
from outbox_events import outbox_events
from servicekit import crash_points
from servicekit.outbox.models import OutboxEvent
from servicekit.problems import NotFound

pytestmark = pytest.mark.usefixtures("database")


def make(title: str = "제목") -> Article:
    return services.article_create(board_id=1, title=title, content="본문", writer_id=9)


def short(event: Envelope) -> tuple[str, str, int]:
    return event.type, event.aggregate, event.aggregateversion


def test_the_life_of_an_article_in_events() -> None:
    article = make()
    services.like_set(article_id=article.id, user_id=7, liked=True)
    services.article_update(article_id=article.id, title="새 제목", content=None)
    services.like_set(article_id=article.id, user_id=7, liked=False)
    services.article_delete(article_id=article.id)
    events = outbox_events()
    assert [short(event) for event in events] == [
        ("article.created", "article", 1),
        ("article.liked", "article-likes", 1),
        ("article.updated", "article", 2),
        ("article.unliked", "article-likes", 2),
        ("article.deleted", "article", 3),
    ]
    assert {event.subject for event in events} == {str(article.id)}
    assert set(OutboxEvent.objects.values_list("topic", flat=True)) == {"article-topic"}


def test_versions_of_a_deleted_article_go_on_and_never_begin_again() -> None:
    """The tombstone's version is above every content's; its likes end with it, and no later article has its id."""
    article = make()
    services.like_set(article_id=article.id, user_id=7, liked=True)
    services.article_delete(article_id=article.id)
    for function in (
        lambda: services.like_set(article_id=article.id, user_id=8, liked=True),
        lambda: services.article_update(article_id=article.id, title="t", content=None),
        lambda: services.article_delete(article_id=article.id),
    ):
        with pytest.raises(NotFound):
            function()
    assert outbox_events()[-1].type == "article.deleted"
    assert make().id > article.id


def test_what_changes_nothing_is_no_event() -> None:
    article = make()
    for _ in range(3):
        services.like_set(article_id=article.id, user_id=7, liked=True)
    services.like_set(article_id=article.id, user_id=8, liked=False)
    assert [event.type for event in outbox_events()] == ["article.created", "article.liked"]


def test_a_like_does_not_touch_what_another_wrote_meanwhile() -> None:
    article = make()
    services.article_update(article_id=article.id, title="neu", content="neu")
    services.like_set(article_id=article.id, user_id=7, liked=True)
    found = Article.objects.get()
    assert (found.title, found.content, found.version, found.like_count) == ("neu", "neu", 2, 1)


def test_an_event_says_when_it_happened() -> None:
    article = make()
    changed = services.article_update(article_id=article.id, title="t", content=None)
    created, updated = outbox_events()
    assert created.time == article.created_at
    assert updated.time == changed.modified_at


@pytest.mark.parametrize(
    "change",
    [
        lambda article: make(),
        lambda article: services.article_update(article_id=article.id, title="t", content="c"),
        lambda article: services.article_delete(article_id=article.id),
        lambda article: services.like_set(article_id=article.id, user_id=7, liked=False),
        lambda article: services.like_set(article_id=article.id, user_id=8, liked=True),
    ],
    ids=["create", "update", "delete", "unlike", "like"],
)
def test_a_roll_back_takes_rows_and_event(change: Callable[[Article], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is written, then the transaction fails."""
    article = make()
    services.like_set(article_id=article.id, user_id=7, liked=True)
    before = state()

    def fail(name: str) -> None:
        assert name == "article.before-commit"
        assert state() != before
        raise ZeroDivisionError

    monkeypatch.setattr(crash_points, "reach", fail)
    with pytest.raises(ZeroDivisionError):
        change(article)
    assert state() == before


def state() -> list[object]:
    return [
        list(Article.objects.order_by("id").values()),
        list(Like.objects.order_by("id").values()),
        list(OutboxEvent.objects.order_by("id").values_list("id", "key")),
    ]


def test_no_id_no_article(monkeypatch: pytest.MonkeyPatch) -> None:
    from servicekit.ids.generator import ClockWentBack

    def fail() -> int:
        raise ClockWentBack("the clock went back by 40 ms")

    monkeypatch.setattr(services, "next_id", fail)
    with pytest.raises(ClockWentBack):
        make()
    assert Article.objects.count() == 0
