"""What the event log says, read without the projections' own code."""

import json
from datetime import date
from typing import Any

import pytest
from broker.testing import BrokerThread
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from demo.layout import DemoError
from demo.prepare import TOPICS, create_topics
from demo.verification import log_view
from demo.verification.log_view import LogView, read_log

DAY = date(2026, 3, 1)
# 23:59:59 and 00:00:00 in Seoul.
LAST_SECOND, NEXT_DAY = "2026-03-01T14:59:59.000Z", "2026-03-01T15:00:00.000Z"


def event(kind: str, version: int, time: str = "2026-03-01T00:00:00.000Z", subject: str = "1", **data: Any) -> bytes:
    fields = {"type": kind, "time": time, "subject": subject, "aggregateversion": version, "data": data}
    return json.dumps(fields).encode()


def created(subject: str = "1", version: int = 1, kind: str = "article.created", time: str = "2026-03-01T00:00:00.000Z") -> bytes:
    return event(kind, version, time, subject, board_id="7", created_at="2026-03-01T00:00:00.000Z")


def likes(count: int, version: int, time: str = "2026-03-01T00:00:00.000Z", subject: str = "1") -> bytes:
    return event("article.liked", version, time, subject, like_count=count)


def comments(count: int, version: int, time: str = "2026-03-01T00:00:00.000Z", subject: str = "1") -> bytes:
    return event("comment.created", version, time, subject, comment_count=count)


def view_of(*values: bytes | None) -> LogView:
    view = LogView()
    for value in values:
        view.add(value)
    return view


def test_the_newest_version_counts_whatever_the_order() -> None:
    view = view_of(
        likes(2, 2), likes(1, 1), comments(4, 4), comments(3, 3), created(version=2, kind="article.updated"), created()
    )
    article = view.articles["1"]
    assert (article.version, article.likes.count, article.comments.count, article.board_id) == (2, 2, 4, "7")
    assert (view.events, view.unreadable) == (6, 0)


def test_what_happens_after_the_end_of_the_day_is_not_in_its_list() -> None:
    view = view_of(created(), likes(5, 5, LAST_SECOND), likes(9, 9, NEXT_DAY), comments(1, 1, NEXT_DAY))
    assert view.popular(DAY, 10) == [("1", 15)]
    assert view.popular(date(2026, 3, 2), 10) == []


def test_the_list_is_cut_sorted_and_without_deleted_articles() -> None:
    values = [created(str(number)) for number in range(1, 13)]
    values += [likes(number // 2, 1, subject=str(number)) for number in range(1, 13)]
    values.append(created("12", 2, "article.deleted"))
    # Two each have the same points: the newer id first. Number 1 has none.
    expected = [("11", 15), ("10", 15), ("9", 12), ("8", 12), ("7", 9), ("6", 9), ("5", 6), ("4", 6), ("3", 3), ("2", 3)]
    assert view_of(*values).popular(DAY, 10) == expected


def test_unknown_types_are_passed_over_and_bad_bodies_counted() -> None:
    bad = [None, b"", b"{", b"[]", event("article.liked", 1), event("comment.created", 1, "yesterday", comment_count=1)]
    view = view_of(created(), event("article.pinned", 9), *bad)
    assert (view.events, view.unreadable) == (8, 6)
    assert view.articles["1"].version == 1
    assert view.articles["1"].likes.count == 0


def test_the_topics_are_read_from_the_beginning_to_their_end() -> None:
    with BrokerThread() as broker:
        create_topics(broker.bootstrap_servers, lambda: None)
        assert read_log(broker.bootstrap_servers).events == 0
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
        for number in range(300):
            producer.produce(TOPICS[number % 2], created(str(number)), key=str(number))
        assert producer.flush(30) == 0
        view = read_log(broker.bootstrap_servers)
        assert view.articles.keys() == {str(number) for number in range(300)}
        # Looking leaves no group behind.
        groups = AdminClient({"bootstrap.servers": broker.bootstrap_servers}).list_consumer_groups().result()
        assert groups.valid == []


def test_a_broker_that_is_gone_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_view, "TIMEOUT_SECONDS", 0.5)
    with pytest.raises(DemoError, match=r"the broker at 127.0.0.1:1 does not answer"):
        read_log("127.0.0.1:1")
