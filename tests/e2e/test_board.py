"""A post travels the whole way: written over HTTP, carried as an event, shown by the projections.

Whatever is to prove a projection is read with the origins stopped, and has to say `X-Source: projection`.
"""

import itertools
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import requests
from confluent_kafka import Consumer, Producer, TopicPartition
from demo.groups import group_rows, wait_for_groups
from events.topics import ARTICLE_TOPIC, COMMENT_TOPIC, PARTITIONS, TOPICS, dead_letter_topic
from running_board import GROUPS, RunningBoard
from waiting import wait_until

GROUPS_TIMEOUT_SECONDS = 60.0
# A board of its own for each test that lists one.
_board_ids = itertools.count(time.time_ns() // 1_000_000 % 1_000_000_000_000)


@pytest.fixture
def board_id() -> str:
    return str(next(_board_ids))


def shown(board: RunningBoard, article_id: str, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The article as read-view's projection shows it, as soon as the condition holds."""
    found: list[dict[str, Any]] = []

    def look() -> bool:
        answer = board.call("read-view", "GET", f"articles/{article_id}")
        # Without an age no event has been taken yet: what is shown was the origin's.
        age_ms = answer.headers.get("X-Projection-Age-Ms")
        if answer.ok and answer.headers["X-Source"] == "projection" and age_ms is not None and condition(answer.json()):
            assert int(age_ms) >= 0
            assert answer.headers["X-Version"] == str(answer.json()["version"])
            found.append(answer.json())
        return bool(found)

    wait_until(look, f"article {article_id} in the projection")
    return found[0]


def gone(board: RunningBoard, article_id: str) -> bool:
    """Whether the projection itself says that there is no such article."""
    answer = board.call("read-view", "GET", f"articles/{article_id}")
    return answer.status_code == 404 and answer.headers["X-Source"] == "projection"


def groups_at_the_end(board: RunningBoard) -> None:
    assert wait_for_groups(board.bootstrap_servers, GROUPS, GROUPS_TIMEOUT_SECONDS) == []


def records(board: RunningBoard, topic: str) -> list[tuple[bytes | None, bytes | None, dict[str, bytes]]]:
    """(key, value, headers) of every record of a topic."""
    consumer = Consumer({"bootstrap.servers": board.bootstrap_servers, "group.id": "e2e-reader", "enable.auto.commit": False})
    found = []
    try:
        for number in range(PARTITIONS):
            begin, end = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=30)
            consumer.assign([TopicPartition(topic, number, begin)])
            for _ in range(end - begin):
                message = consumer.poll(30)
                assert message is not None and message.error() is None, f"{topic}-{number} is not readable to its end"
                found.append((message.key(), message.value(), dict(message.headers() or [])))
    finally:
        consumer.close()
    return found


def published(board: RunningBoard, topic: str, article_id: str, count: int) -> list[dict[str, Any]]:
    """The events of an article, as soon as `count` of them are in the topic.

    That read-view shows it is no proof of that: what it is asked for before the event came, it has from the origin.
    """
    found: list[bytes | None] = []

    def look() -> bool:
        found[:] = [value for key, value, _ in records(board, topic) if key == article_id.encode()]
        return len(found) >= count

    wait_until(look, f"{count} events of article {article_id} in {topic}")
    return [json.loads(value or b"{}") for value in found]


def test_a_post_is_in_the_fast_view_without_its_origin(board: RunningBoard) -> None:
    posted = board.post("왜 아웃박스인가")
    with board.origins_stopped():
        view = shown(board, posted["id"], lambda view: True)
    assert view == {**posted, "like_count": 0, "comment_count": 0}


def test_updates_and_counts_are_shown_by_the_projection(board: RunningBoard) -> None:
    article_id = board.post()["id"]
    updated = board.made("article", "PATCH", f"articles/{article_id}", {"title": "고친 제목"})
    for user in (1, 2, 3):
        board.like(article_id, user)
    board.like(article_id, 2)  # twice is once
    board.like(article_id, 3, "DELETE")
    comments = [board.comment(article_id) for _ in range(3)]
    board.comment(article_id, parent_id=comments[0]["id"])
    board.made("comment", "DELETE", f"comments/{comments[1]['id']}")
    with board.origins_stopped():
        view = shown(board, article_id, lambda view: (view["version"], view["like_count"], view["comment_count"]) == (2, 2, 3))
    assert view == {**updated, "like_count": 2, "comment_count": 3}
    # The origins say the same.
    assert board.made("article", "GET", f"articles/{article_id}/likes/1")["like_count"] == 2
    assert board.made("comment", "GET", f"articles/{article_id}/comment-count")["comment_count"] == 3


def test_a_deleted_article_is_gone_and_stays_gone(board: RunningBoard) -> None:
    article_id = board.post()["id"]
    shown(board, article_id, lambda view: True)
    board.made("article", "DELETE", f"articles/{article_id}")
    with board.origins_stopped():
        wait_until(lambda: gone(board, article_id), "the article gone from the projection")
    # A comment that comes later does not bring it back.
    board.comment(article_id)
    groups_at_the_end(board)
    assert gone(board, article_id)


def test_the_list_of_a_board_is_that_of_the_projection(board: RunningBoard, board_id: str) -> None:
    ids = [board.post(f"글 {number}", board_id)["id"] for number in range(5)]
    board.made("article", "DELETE", f"articles/{ids.pop(2)}")
    expected = ids[::-1]
    with board.origins_stopped():

        def listed() -> bool:
            answer = board.call("read-view", "GET", "articles", board_id=board_id)
            return (
                answer.ok
                and answer.headers["X-Source"] == "projection"
                and [item["id"] for item in answer.json()["items"]] == expected
            )

        wait_until(listed, "the list of the board")
        first = board.made("read-view", "GET", "articles", board_id=board_id, page_size=3)
        second = board.made("read-view", "GET", "articles", board_id=board_id, page_size=3, cursor=first["next_cursor"])
        assert [item["id"] for item in first["items"] + second["items"]] == expected
        assert second["next_cursor"] is None


def test_a_liked_article_is_popular(board: RunningBoard) -> None:
    """Two that are far above the rest, in the order of their points; an unlike counts, a deletion too."""
    articles = [board.post(f"인기글 {number}")["id"] for number in range(3)]
    for article_id, likes in zip(articles, (12, 14, 16), strict=True):
        for user in range(likes):
            board.like(article_id, user + 1)
    board.comment(articles[0])
    board.like(articles[1], 1, "DELETE")
    board.made("article", "DELETE", f"articles/{articles[2]}")
    expected = [(articles[1], 39, 13, 0), (articles[0], 38, 12, 1)]

    def ranked() -> bool:
        items = board.made("popular", "GET", "popular")["items"]
        found = [(item["article_id"], item["score"], item["like_count"], item["comment_count"]) for item in items]
        return [item for item in found if item[0] in articles] == expected

    with board.origins_stopped():
        wait_until(ranked, "the popular list")


def test_the_correlation_id_travels_from_the_request_to_the_event(board: RunningBoard) -> None:
    correlation_id = f"e2e-{uuid.uuid4()}"
    answer = board.call(
        "article",
        "POST",
        "articles",
        {"board_id": "1", "title": "title", "content": "", "writer_id": "1"},
        headers={"X-Correlation-Id": correlation_id},
    )
    assert answer.status_code == 201
    assert answer.headers["X-Correlation-Id"] == correlation_id
    article_id = answer.json()["id"]
    values = published(board, ARTICLE_TOPIC, article_id, 1)
    assert [(value["type"], value["correlationid"], value["subject"]) for value in values] == [
        ("article.created", correlation_id, article_id)
    ]


def test_both_groups_come_to_the_end_of_both_topics(board: RunningBoard) -> None:
    article_id = board.post()["id"]
    board.comment(article_id)
    for topic in TOPICS:
        published(board, topic, article_id, 1)
    groups_at_the_end(board)
    rows = [row for row in group_rows(board.bootstrap_servers) if row.group in GROUPS]
    assert {(row.group, row.topic, row.partition) for row in rows} == {
        (group, topic, number) for group in GROUPS for topic in TOPICS for number in range(PARTITIONS)
    }
    assert all(row.lag == 0 and row.member for row in rows)
    # Each has gone its own way through every record there is.
    for topic in (ARTICLE_TOPIC, COMMENT_TOPIC):
        count = len(records(board, topic))
        assert [sum(row.committed or 0 for row in rows if (row.group, row.topic) == (group, topic)) for group in GROUPS] == [
            count,
            count,
        ]


def test_events_of_one_article_are_in_one_partition_in_their_order(board: RunningBoard) -> None:
    article_id = board.post()["id"]
    for number in range(5):
        board.made("article", "PATCH", f"articles/{article_id}", {"title": f"title {number}"})
        board.comment(article_id)
    for topic, versions in ((ARTICLE_TOPIC, 6), (COMMENT_TOPIC, 5)):
        values = published(board, topic, article_id, versions)
        assert [value["aggregateversion"] for value in values] == list(range(1, versions + 1))


def test_what_cannot_be_read_is_a_dead_letter_and_the_rest_goes_on(board: RunningBoard) -> None:
    """A known type with a bad body, as a defective publisher might write it; and a type nobody knows."""
    article_id = board.post()["id"]
    mark = f"e2e-{uuid.uuid4()}"
    envelope = {"specversion": "1.0", "id": mark, "subject": article_id, "data": {}}
    producer = Producer({"bootstrap.servers": board.bootstrap_servers})
    for event_type in ("comment.created", "comment.pinned"):
        value = json.dumps({**envelope, "type": event_type})
        producer.produce(COMMENT_TOPIC, key=article_id, value=value)
    assert producer.flush(30) == 0
    board.comment(article_id)
    shown(board, article_id, lambda view: view["comment_count"] == 1)
    groups_at_the_end(board)
    for group in GROUPS:
        letters = [one for one in records(board, dead_letter_topic(COMMENT_TOPIC, group)) if mark in (one[1] or b"").decode()]
        assert [json.loads(value or b"{}")["type"] for _, value, _ in letters] == ["comment.created"]
        key, _, headers = letters[0]
        assert (key, headers["dlt.group"], headers["dlt.topic"]) == (article_id.encode(), group.encode(), COMMENT_TOPIC.encode())
        assert headers["dlt.reason"]


def test_refused_writes_leave_no_event(board: RunningBoard) -> None:
    headers = {"X-Correlation-Id": f"e2e-{uuid.uuid4()}"}
    bad = {"board_id": "1", "title": "", "content": "", "writer_id": "1"}
    answers = [
        board.call("article", "POST", "articles", bad, headers=headers),
        board.call("article", "PATCH", "articles/1", {"title": "title"}, headers=headers),
        board.call("article", "DELETE", "articles/1", headers=headers),
        board.call("comment", "DELETE", "comments/1", headers=headers),
    ]
    assert [answer.status_code for answer in answers] == [400, 404, 404, 404]
    # Whatever comes later is in the log; these are not.
    article_id = board.post(headers=headers)["id"]
    board.comment(article_id)
    for topic in TOPICS:
        published(board, topic, article_id, 1)
    values = [value or b"" for topic in TOPICS for _, value, _ in records(board, topic)]
    assert sum(headers["X-Correlation-Id"].encode() in value for value in values) == 1


def test_every_service_is_alive_and_ready(board: RunningBoard) -> None:
    for url in board.urls.values():
        for path in ("livez", "readyz"):
            assert requests.get(f"{url}/{path}", timeout=30).ok, f"{url}/{path}"
