"""The REST API: every path, what it takes, what it answers, and how it refuses."""

import json
import re
from typing import Any

import pytest
from comment.models import Comment, Thread
from django.http import HttpResponse
from django.test import Client
from outbox_events import outbox_events
from servicekit.outbox.models import OutboxEvent

pytestmark = pytest.mark.usefixtures("database")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ARTICLE = "182736451234816"
GIVEN = {"article_id": ARTICLE, "content": "좋은 글 감사합니다 🙂\n둘째 줄", "writer_id": "9007199254740993"}
MISSING = "/v1/comments/123456789"


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


def send(client: Client, method: str, path: str, body: Any = None) -> HttpResponse:
    return client.generic(method, path, "" if body is None else json.dumps(body), "application/json")


def create(client: Client, parent: dict[str, Any] | None = None, **change: Any) -> dict[str, Any]:
    body = GIVEN | ({"parent_id": parent["id"]} if parent is not None else {}) | change
    answer = send(client, "POST", "/v1/comments", body)
    assert answer.status_code == 201, answer.content
    found: dict[str, Any] = answer.json()
    return found


def delete(client: Client, comment: dict[str, Any]) -> None:
    answer = send(client, "DELETE", f"/v1/comments/{comment['id']}")
    assert (answer.status_code, answer.content) == (204, b"")


def get(client: Client, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, answer.content
    return answer.json()


def shown(client: Client, article_id: str = ARTICLE) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = get(client, f"/v1/comments?article_id={article_id}&page_size=100")["items"]
    return items


def count(client: Client, article_id: str = ARTICLE) -> tuple[int, int]:
    found = get(client, f"/v1/articles/{article_id}/comment-count")
    assert found["article_id"] == article_id
    return found["comment_count"], found["comment_version"]


def refused(answer: HttpResponse, status: int) -> list[str]:
    """The fields that are named."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    found = answer.json()
    assert found["status"] == status
    return [error["field"] for error in found.get("errors", [])]


# Writing and reading one.


def test_a_comment_comes_back_as_it_was_written(client: Client) -> None:
    made = create(client)
    assert set(made) == {"id", "article_id", "parent_id", "content", "writer_id", "created_at", "depth", "deleted"}
    assert {name: made[name] for name in GIVEN} == GIVEN
    assert re.fullmatch("[1-9][0-9]{17,18}", made["id"])
    assert TIME.fullmatch(made["created_at"])
    assert (made["parent_id"], made["depth"], made["deleted"]) == (None, 1, False)
    assert get(client, f"/v1/comments/{made['id']}") == made


def test_an_answer_names_its_parent(client: Client) -> None:
    parent = create(client)
    answer = create(client, parent)
    assert (answer["parent_id"], answer["depth"]) == (parent["id"], 2)


def test_an_article_that_nobody_has_heard_of_is_accepted(client: Client) -> None:
    """The comment service knows no articles; the read side shows the count once the article is known."""
    made = create(client, article_id=str(2**63 - 1))
    assert shown(client, str(2**63 - 1)) == [made]


def test_texts_of_the_greatest_length(client: Client) -> None:
    made = create(client, content="가" * 4096)
    assert len(get(client, f"/v1/comments/{made['id']}")["content"]) == 4096


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"article_id": None}, "article_id"),
        ({"article_id": "0"}, "article_id"),
        ({"article_id": str(2**63)}, "article_id"),
        ({"writer_id": "me"}, "writer_id"),
        ({"parent_id": "0"}, "parent_id"),
        ({"parent_id": ""}, "parent_id"),
        ({"parent_id": "5"}, "parent_id"),
        ({"content": ""}, "content"),
        ({"content": " \n "}, "content"),
        ({"content": None}, "content"),
        ({"content": "가" * 4097}, "content"),
        ({"content": "a\x00b"}, "content"),
        ({"content": "\udc00"}, "content"),
    ],
)
def test_a_bad_field_is_named_and_nothing_is_written(client: Client, change: dict[str, Any], field: str) -> None:
    assert refused(send(client, "POST", "/v1/comments", GIVEN | change), 400) == [field]
    assert (Comment.objects.count(), Thread.objects.count(), OutboxEvent.objects.count()) == (0, 0, 0)


@pytest.mark.parametrize("missing", sorted(GIVEN))
def test_a_missing_field_is_named(client: Client, missing: str) -> None:
    body = {name: value for name, value in GIVEN.items() if name != missing}
    assert refused(send(client, "POST", "/v1/comments", body), 400) == [missing]


def test_a_parent_of_another_article_is_none(client: Client) -> None:
    parent = create(client, article_id="8")
    assert refused(send(client, "POST", "/v1/comments", GIVEN | {"parent_id": parent["id"]}), 400) == ["parent_id"]


def test_a_tombstone_cannot_be_answered(client: Client) -> None:
    parent = create(client)
    create(client, parent)
    delete(client, parent)
    answer = send(client, "POST", "/v1/comments", GIVEN | {"parent_id": parent["id"]})
    assert refused(answer, 400) == ["parent_id"]
    assert "was deleted" in answer.json()["errors"][0]["problem"]


def test_the_bound_of_the_depth_is_named(client: Client) -> None:
    made = [create(client)]
    for _ in range(9):
        made.append(create(client, made[-1]))
    assert [comment["depth"] for comment in shown(client)] == list(range(1, 11))
    answer = send(client, "POST", "/v1/comments", GIVEN | {"parent_id": made[-1]["id"]})
    assert refused(answer, 400) == ["parent_id"]
    assert "10 deep" in answer.json()["errors"][0]["problem"]
    assert create(client, made[-2])["depth"] == 10


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"content": "a", "content": "b"}', b"\xff"])
def test_a_bad_body_is_refused(client: Client, body: bytes) -> None:
    assert len(refused(client.generic("POST", "/v1/comments", body, "application/json"), 400)) == 1


def test_a_body_over_the_bound_and_another_type(client: Client) -> None:
    refused(send(client, "POST", "/v1/comments", GIVEN | {"content": "a" * (1 << 20)}), 413)
    refused(client.post("/v1/comments", GIVEN), 415)


# Threads.


def test_threads_are_in_order_answers_below_what_they_answer(client: Client) -> None:
    a = create(client)
    b = create(client)
    a1, b1 = create(client, a), create(client, b)
    a2, a11, c = create(client, a), create(client, a1), create(client)
    a12 = create(client, a1)
    expected = [a, a1, a11, a12, a2, b, b1, c]
    assert [comment["id"] for comment in shown(client)] == [comment["id"] for comment in expected]


def test_pages_stay_what_they_were_while_comments_come_and_go(client: Client) -> None:
    a, b = create(client), create(client)
    a1 = create(client, a)
    create(client, b)
    first = get(client, f"/v1/comments?article_id={ARTICLE}&page_size=2")
    assert [item["id"] for item in first["items"]] == [a["id"], a1["id"]]
    delete(client, a1)  # The cursor names it.
    a2 = create(client, a)  # It comes behind the cursor, before what was there.
    second = get(client, f"/v1/comments?article_id={ARTICLE}&page_size=2&cursor={first['next_cursor']}")
    assert [item["id"] for item in second["items"]] == [a2["id"], b["id"]]
    third = get(client, f"/v1/comments?article_id={ARTICLE}&page_size=2&cursor={second['next_cursor']}")
    assert len(third["items"]) == 1
    assert third["next_cursor"] is None


def test_every_page_size_gives_the_same_whole(client: Client) -> None:
    a = create(client)
    for _ in range(3):
        create(client, create(client, a))
    create(client)
    whole = shown(client)
    assert len(whole) == 8
    for size in (1, 2, 3, 7, 8, 9):
        found, cursor = [], ""
        while cursor is not None:
            page = get(client, f"/v1/comments?article_id={ARTICLE}&page_size={size}&cursor={cursor}")
            found += page["items"]
            cursor = page["next_cursor"]
        assert found == whole


def test_an_article_without_comments_has_an_empty_list_and_count(client: Client) -> None:
    assert get(client, "/v1/comments?article_id=5") == {"items": [], "next_cursor": None}
    assert count(client, "5") == (0, 0)
    assert Thread.objects.count() == 0


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "article_id"),
        ("article_id=x", "article_id"),
        ("article_id=0", "article_id"),
        ("article_id=1&page_size=0", "page_size"),
        ("article_id=1&page_size=101", "page_size"),
        ("article_id=1&cursor=x", "cursor"),
        ("article_id=1&cursor=MTIz", "cursor"),
        ("article_id=1&cursor=%EA%B0%80", "cursor"),
        (f"article_id=1&cursor={'MDAw' * 60}", "cursor"),
    ],
)
def test_a_bad_query_names_its_parameter(client: Client, query: str, field: str) -> None:
    assert refused(client.get(f"/v1/comments?{query}"), 400) == [field]


# Deleting.


def test_a_comment_without_answers_is_gone(client: Client) -> None:
    made = create(client)
    delete(client, made)
    refused(client.get(f"/v1/comments/{made['id']}"), 404)
    refused(send(client, "DELETE", f"/v1/comments/{made['id']}"), 404)
    assert shown(client) == []
    assert count(client) == (0, 2)


def test_a_deleted_parent_stays_as_a_tombstone_until_its_last_child_goes(client: Client) -> None:
    parent = create(client)
    first, second = create(client, parent), create(client, parent)
    delete(client, parent)
    tombstone = parent | {"content": "", "deleted": True}
    assert get(client, f"/v1/comments/{parent['id']}") == tombstone
    assert shown(client) == [tombstone, first, second]
    assert count(client) == (2, 4)
    delete(client, first)
    assert shown(client) == [tombstone, second]
    delete(client, second)
    assert shown(client) == []
    assert count(client) == (0, 6)


def test_a_tombstone_is_not_deleted_twice(client: Client) -> None:
    parent = create(client)
    create(client, parent)
    delete(client, parent)
    refused(send(client, "DELETE", f"/v1/comments/{parent['id']}"), 404)
    assert count(client) == (1, 3)


def test_with_the_last_child_all_tombstones_above_go(client: Client) -> None:
    a = create(client)
    b = create(client, a)
    c = create(client, b)
    d = create(client, c)
    for comment in (b, c, a):
        delete(client, comment)
    assert [comment["deleted"] for comment in shown(client)] == [True, True, True, False]
    delete(client, d)
    assert Comment.objects.count() == 0
    assert count(client) == (0, 8)


def test_tombstones_go_only_as_far_as_nothing_is_left_below(client: Client) -> None:
    a = create(client)
    b, other = create(client, a), create(client, a)
    c = create(client, b)
    for comment in (a, b):
        delete(client, comment)
    delete(client, c)
    assert [(comment["id"], comment["deleted"]) for comment in shown(client)] == [(a["id"], True), (other["id"], False)]


def test_a_living_parent_stays_when_its_child_goes(client: Client) -> None:
    a = create(client)
    delete(client, create(client, a))
    assert shown(client) == [a]


# The service as a whole.


@pytest.mark.parametrize(("method", "path"), [("GET", MISSING), ("DELETE", MISSING)])
def test_there_is_no_such_comment(client: Client, method: str, path: str) -> None:
    answer = send(client, method, path)
    assert refused(answer, 404) == []
    assert "123456789" in answer.json()["title"]


@pytest.mark.parametrize(
    "path", ["/v1/comments/0", f"/v1/comments/{2**63}", "/v1/articles/x/comment-count", "/v1/articles/1", "/"]
)
def test_no_such_path(client: Client, path: str) -> None:
    refused(client.get(path), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/comments", "GET, POST, HEAD, OPTIONS"),
        ("PATCH", MISSING, "GET, DELETE, HEAD, OPTIONS"),
        ("POST", "/v1/articles/1/comment-count", "GET, HEAD, OPTIONS"),
    ],
)
def test_other_methods_are_refused(client: Client, method: str, path: str, allowed: str) -> None:
    answer = send(client, method, path)
    refused(answer, 405)
    assert answer["Allow"] == allowed


def test_it_is_alive_and_ready(client: Client) -> None:
    assert get(client, "/livez") == {"status": "ok"}
    assert get(client, "/readyz") == {"status": "ok", "problems": {}}


def test_the_callers_correlation_id_is_in_the_event_and_the_answer(client: Client) -> None:
    answer = client.post("/v1/comments", GIVEN, content_type="application/json", headers={"X-Correlation-Id": "mine-1"})
    assert answer["X-Correlation-Id"] == "mine-1"
    assert [event.correlationid for event in outbox_events()] == ["mine-1"]
