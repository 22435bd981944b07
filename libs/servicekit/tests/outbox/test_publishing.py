"""An event is a row of the transaction: there when it commits, gone when it is rolled back."""

import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from django.db import transaction
from events.envelope import BadEvent, decode
from servicekit.correlation import correlated
from servicekit.outbox import publishing
from servicekit.outbox.models import OutboxEvent
from servicekit.outbox.publishing import NewEvent, now, publish

pytestmark = pytest.mark.usefixtures("database")
TIME = datetime(2026, 3, 1, 9, 0, 0, 123_000, tzinfo=UTC)


def liked(count: int = 1, **change: Any) -> NewEvent:
    data = {"article_id": "7", "user_id": "9", "like_count": count, "like_version": 3} | change
    return NewEvent("article.liked", "board/article", "7", "article-likes", 3, data)


def test_the_row_holds_the_whole_event() -> None:
    with correlated("request-1"), transaction.atomic():
        publish("article-topic", liked(), time=TIME)
    row = OutboxEvent.objects.get()
    assert (row.topic, row.key, row.sent_at) == ("article-topic", "7", None)
    event = decode(bytes(row.value))
    assert (event.type, event.source, event.subject, event.aggregate, event.aggregateversion) == (
        "article.liked",
        "board/article",
        "7",
        "article-likes",
        3,
    )
    assert (event.correlationid, event.time, event.dataversion) == ("request-1", TIME, 1)
    assert event.data["like_count"] == 1
    assert str(uuid.UUID(event.id)) == event.id


def test_a_roll_back_gives_no_event() -> None:
    def fail() -> None:
        with transaction.atomic():
            publish("article-topic", liked(), time=TIME)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert OutboxEvent.objects.count() == 0


def test_the_roll_back_of_an_inner_block_gives_none_of_its_events() -> None:
    with transaction.atomic():
        publish("article-topic", liked(1), time=TIME)
        sid = transaction.savepoint()
        publish("article-topic", liked(2), time=TIME)
        transaction.savepoint_rollback(sid)
    assert [decode(bytes(row.value)).data["like_count"] for row in OutboxEvent.objects.all()] == [1]


def test_outside_of_a_transaction_nothing_is_published() -> None:
    with pytest.raises(AssertionError, match="in the transaction that changes the rows"):
        publish("article-topic", liked(), time=TIME)


def test_what_does_not_fit_its_schema_takes_the_rows_with_it() -> None:
    def change() -> None:
        with transaction.atomic():
            publish("article-topic", liked(), time=TIME)
            publish("article-topic", liked(user_id=9), time=TIME)

    with pytest.raises(BadEvent, match=r"data\.user_id"):
        change()
    assert OutboxEvent.objects.count() == 0


def test_the_relay_is_woken_once_it_is_committed_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(publishing, "wake_relay", lambda: seen.append(OutboxEvent.objects.count()))
    with transaction.atomic():
        publish("article-topic", liked(), time=TIME)
        assert seen == []
    assert seen == [1]


def test_a_bell_that_fails_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("the bell is broken")

    monkeypatch.setattr(publishing, "wake_relay", fail)
    with transaction.atomic():
        publish("article-topic", liked(), time=TIME)
    assert OutboxEvent.objects.count() == 1


def test_times_are_written_in_utc_to_the_millisecond() -> None:
    seoul = TIME.astimezone(timezone(timedelta(hours=9)))
    with transaction.atomic():
        publish("article-topic", liked(), time=seoul)
    assert b'"time":"2026-03-01T09:00:00.123Z"' in bytes(OutboxEvent.objects.get().value)
    assert now().microsecond % 1000 == 0
    assert now().tzinfo is UTC
