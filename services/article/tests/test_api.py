"""The REST API: every path, what it takes, what it answers, and how it refuses."""

import re
import sqlite3
from typing import Any

import pytest
from article.models import Article, Like
from django.db import connections
from django.http import HttpResponse
from django.test import Client
from outbox_events import outbox_events
from service_suite import Database, database_at
from servicekit.outbox.models import OutboxEvent

pytestmark = pytest.mark.usefixtures("database")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
GIVEN = {"board_id": "1", "title": "왜 아웃박스인가", "content": "첫 줄\n둘째 줄 🙂", "writer_id": "9007199254740993"}
MISSING = "/v1/articles/123456789"


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


def send(client: Client, method: str, path: str, body: Any = None) -> HttpResponse:
    return client.generic(
        method, path, b"" if body is None else Client()._encode_json(body, "application/json"), "application/json"
    )


def create(client: Client, **change: Any) -> dict[str, Any]:
    answer = send(client, "POST", "/v1/articles", GIVEN | change)
    assert answer.status_code == 201, answer.content
    found: dict[str, Any] = answer.json()
    return found


def get(client: Client, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, answer.content
    return answer.json()


def refused(answer: HttpResponse, status: int) -> list[str]:
    """The fields that are named."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    found = answer.json()
    assert found["status"] == status
    return [error["field"] for error in found.get("errors", [])]


# Writing and reading one.


def test_an_article_comes_back_as_it_was_written(client: Client) -> None:
    made = create(client)
    assert set(made) == {"id", "board_id", "title", "content", "writer_id", "created_at", "modified_at", "version"}
    assert {name: made[name] for name in GIVEN} == GIVEN
    assert re.fullmatch("[1-9][0-9]{17,18}", made["id"])
    assert TIME.fullmatch(made["created_at"])
    assert made["modified_at"] == made["created_at"]
    assert made["version"] == 1
    assert get(client, f"/v1/articles/{made['id']}") == made


def test_ids_are_taken_as_numbers_and_as_texts(client: Client) -> None:
    made = create(client, board_id=2**63 - 1, writer_id=7)
    assert (made["board_id"], made["writer_id"]) == ("9223372036854775807", "7")


def test_korean_is_answered_as_korean(client: Client) -> None:
    made = create(client)
    body = client.get(f"/v1/articles/{made['id']}").content.decode("utf-8")
    assert "왜 아웃박스인가" in body


def test_content_keeps_its_spaces_and_may_be_empty(client: Client) -> None:
    assert create(client, content="  두 칸\n\n")["content"] == "  두 칸\n\n"
    assert create(client, content="")["content"] == ""
    assert create(client, title="  제목 ")["title"] == "제목"


def test_texts_of_the_greatest_length(client: Client) -> None:
    made = create(client, title="가" * 200, content="나" * 65_536)
    found = get(client, f"/v1/articles/{made['id']}")
    assert (len(found["title"]), len(found["content"])) == (200, 65_536)
    assert outbox_events()[0].data["content"] == "나" * 65_536


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"board_id": None}, "board_id"),
        ({"board_id": "0"}, "board_id"),
        ({"board_id": "one"}, "board_id"),
        ({"board_id": str(2**63)}, "board_id"),
        ({"writer_id": -1}, "writer_id"),
        ({"writer_id": 1.5}, "writer_id"),
        ({"title": ""}, "title"),
        ({"title": "   "}, "title"),
        ({"title": "가" * 201}, "title"),
        ({"title": "a\x00b"}, "title"),
        ({"title": "\ud83d"}, "title"),
        ({"title": ["a"]}, "title"),
        ({"content": "나" * 65_537}, "content"),
        ({"content": "a\x00b"}, "content"),
        ({"content": None}, "content"),
    ],
)
def test_a_bad_field_is_named_and_nothing_is_written(client: Client, change: dict[str, Any], field: str) -> None:
    assert refused(send(client, "POST", "/v1/articles", GIVEN | change), 400) == [field]
    assert (Article.objects.count(), OutboxEvent.objects.count()) == (0, 0)


@pytest.mark.parametrize("missing", sorted(GIVEN))
def test_a_missing_field_is_named(client: Client, missing: str) -> None:
    body = {name: value for name, value in GIVEN.items() if name != missing}
    assert refused(send(client, "POST", "/v1/articles", body), 400) == [missing]


def test_all_bad_fields_are_named_at_once(client: Client) -> None:
    assert sorted(refused(send(client, "POST", "/v1/articles", {"title": ""}), 400)) == sorted(GIVEN)


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"board_id": "1", "board_id": "2"}', b"\xff"])
def test_a_bad_body_is_refused(client: Client, body: bytes) -> None:
    assert len(refused(client.generic("POST", "/v1/articles", body, "application/json"), 400)) == 1


def test_a_body_over_the_bound_and_another_type(client: Client) -> None:
    refused(send(client, "POST", "/v1/articles", GIVEN | {"content": "a" * (1 << 20)}), 413)
    refused(client.post("/v1/articles", GIVEN), 415)


def test_a_foreign_field_changes_nothing(client: Client) -> None:
    made = create(client, id="5", version=9, like_count=100)
    assert (made["id"] == "5", made["version"]) == (False, 1)
    assert get(client, f"/v1/articles/{made['id']}/likes")["like_count"] == 0


# Changing and deleting.


def test_a_change_raises_the_version(client: Client) -> None:
    made = create(client)
    path = f"/v1/articles/{made['id']}"
    changed = send(client, "PATCH", path, {"title": "새 제목"}).json()
    assert changed == made | {"title": "새 제목", "version": 2, "modified_at": changed["modified_at"]}
    assert changed["modified_at"] >= made["modified_at"]
    assert send(client, "PATCH", path, {"content": ""}).json()["content"] == ""
    assert get(client, path)["version"] == 3


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["body"]),
        ({"board_id": "2"}, ["body"]),
        ({"title": ""}, ["title"]),
        ({"title": None}, ["title"]),
        ({"content": "a\x00"}, ["content"]),
        ({"content": "a" * 65_537, "title": "a" * 201}, ["title", "content"]),
    ],
)
def test_a_bad_change_is_refused(client: Client, body: Any, fields: list[str]) -> None:
    made = create(client)
    assert sorted(refused(send(client, "PATCH", f"/v1/articles/{made['id']}", body), 400)) == sorted(fields)
    assert get(client, f"/v1/articles/{made['id']}") == made


def test_what_is_deleted_is_gone(client: Client) -> None:
    made = create(client)
    path = f"/v1/articles/{made['id']}"
    send(client, "PUT", f"{path}/likes/7")
    answer = send(client, "DELETE", path)
    assert (answer.status_code, answer.content) == (204, b"")
    for method, inner in (("GET", ""), ("DELETE", ""), ("GET", "/likes"), ("GET", "/likes/7"), ("PUT", "/likes/7")):
        refused(send(client, method, path + inner), 404)
    assert (Article.objects.count(), Like.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", MISSING),
        ("DELETE", MISSING),
        ("GET", f"{MISSING}/likes"),
        ("GET", f"{MISSING}/likes/7"),
        ("PUT", f"{MISSING}/likes/7"),
        ("DELETE", f"{MISSING}/likes/7"),
    ],
)
def test_there_is_no_such_article(client: Client, method: str, path: str) -> None:
    answer = send(client, method, path)
    assert refused(answer, 404) == []
    assert "123456789" in answer.json()["title"]


def test_what_is_not_there_cannot_be_changed(client: Client) -> None:
    refused(send(client, "PATCH", MISSING, {"title": "t"}), 404)


@pytest.mark.parametrize(
    "path", ["/v1/articles/0", f"/v1/articles/{2**63}", "/v1/articles/x", "/v1/articles/1/likes/0", "/v1/articles/"]
)
def test_what_is_no_id_is_no_path(client: Client, path: str) -> None:
    refused(client.get(path), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/articles", "GET, POST, HEAD, OPTIONS"),
        ("POST", MISSING, "GET, PATCH, DELETE, HEAD, OPTIONS"),
        ("POST", f"{MISSING}/likes", "GET, HEAD, OPTIONS"),
        ("PATCH", f"{MISSING}/likes/7", "GET, PUT, DELETE, HEAD, OPTIONS"),
    ],
)
def test_other_methods_are_refused(client: Client, method: str, path: str, allowed: str) -> None:
    answer = send(client, method, path)
    refused(answer, 405)
    assert answer["Allow"] == allowed


# Lists.


def ids(page: dict[str, Any]) -> list[str]:
    return [item["id"] for item in page["items"]]


def test_lists_are_newest_first_and_of_one_board(client: Client) -> None:
    made = [create(client, title=f"글 {number}") for number in range(5)]
    create(client, board_id="2")
    found = get(client, "/v1/articles?board_id=1")
    assert found == {"items": made[::-1], "next_cursor": None}
    assert get(client, "/v1/articles?board_id=3") == {"items": [], "next_cursor": None}


def test_pages_stay_what_they_were_while_articles_come_and_go(client: Client) -> None:
    made = [create(client)["id"] for _ in range(7)]
    first = get(client, "/v1/articles?board_id=1&page_size=3")
    assert ids(first) == made[:3:-1]
    newer = create(client)["id"]
    send(client, "DELETE", f"/v1/articles/{made[4]}")  # The last of the first page, which the cursor names.
    second = get(client, f"/v1/articles?board_id=1&page_size=3&cursor={first['next_cursor']}")
    assert ids(second) == made[3:0:-1]
    third = get(client, f"/v1/articles?board_id=1&page_size=3&cursor={second['next_cursor']}")
    assert ids(third) == [made[0]]
    assert third["next_cursor"] is None
    assert ids(get(client, "/v1/articles?board_id=1&page_size=1")) == [newer]


def test_a_page_that_ends_with_the_list_has_no_next(client: Client) -> None:
    for _ in range(3):
        create(client)
    assert get(client, "/v1/articles?board_id=1&page_size=3")["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "board_id"),
        ("board_id=", "board_id"),
        ("board_id=0", "board_id"),
        ("board_id=%00", "board_id"),
        ("board_id=1&page_size=0", "page_size"),
        ("board_id=1&page_size=101", "page_size"),
        ("board_id=1&page_size=x", "page_size"),
        ("board_id=1&cursor=x", "cursor"),
        ("board_id=1&cursor=AAAA", "cursor"),
        ("board_id=1&cursor=bm90LWFuLWlk", "cursor"),
        ("board_id=1&cursor=%EA%B0%80", "cursor"),
    ],
)
def test_a_bad_query_names_its_parameter(client: Client, query: str, field: str) -> None:
    assert refused(client.get(f"/v1/articles?{query}"), 400) == [field]


# Likes.


def test_likes_count_each_user_once(client: Client) -> None:
    article_id = create(client)["id"]
    path = f"/v1/articles/{article_id}/likes"
    assert get(client, path) == {"article_id": article_id, "like_count": 0, "like_version": 0}
    liked = {"article_id": article_id, "like_count": 1, "like_version": 1, "user_id": "7", "liked": True}
    for _ in range(3):
        answer = send(client, "PUT", f"{path}/7")
        assert (answer.status_code, answer.json()) == (200, liked)
    assert send(client, "PUT", f"{path}/8").json()["like_count"] == 2
    assert get(client, f"{path}/7") == liked | {"like_count": 2, "like_version": 2}
    for _ in range(2):
        taken_back = send(client, "DELETE", f"{path}/7")
        assert taken_back.status_code == 200
        assert taken_back.json() == liked | {"liked": False, "like_version": 3}
    assert get(client, f"{path}/7")["liked"] is False
    assert get(client, path) == {"article_id": article_id, "like_count": 1, "like_version": 3}
    assert get(client, f"/v1/articles/{article_id}")["version"] == 1


# The service as a whole.


def test_it_is_alive_and_ready(client: Client) -> None:
    assert get(client, "/livez") == {"status": "ok"}
    assert get(client, "/readyz") == {"status": "ok", "problems": {}}


def test_the_callers_correlation_id_is_in_the_event_and_the_answer(client: Client) -> None:
    answer = client.post("/v1/articles", GIVEN, content_type="application/json", headers={"X-Correlation-Id": "mine-1"})
    assert answer["X-Correlation-Id"] == "mine-1"
    assert [event.correlationid for event in outbox_events()] == ["mine-1"]


# Without its database.


def test_without_its_database_the_caller_is_asked_to_come_again(client: Client, database: Database) -> None:
    connections["default"].close()
    with database_at("postgresql://board@127.0.0.1:1/articles"):
        for answer in (client.get("/v1/articles?board_id=1"), send(client, "POST", "/v1/articles", GIVEN)):
            assert refused(answer, 503) == []
            assert answer["Retry-After"] == "1"
        ready = client.get("/readyz")
        assert (ready.status_code, list(ready.json()["problems"])) == (503, ["database"])
        assert get(client, "/livez") == {"status": "ok"}
    create(client)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_file_that_stays_locked_is_no_defect(client: Client, database: Database) -> None:
    other = sqlite3.connect(database.url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        connections["default"].cursor().execute("PRAGMA busy_timeout = 50")
        refused(send(client, "POST", "/v1/articles", GIVEN), 503)
        assert get(client, "/v1/articles?board_id=1")["items"] == []
    finally:
        other.close()
    create(client)
