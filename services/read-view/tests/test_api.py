"""The REST API over Django's test client: shapes, headers, errors."""

from pathlib import Path

import pytest
import yaml
from board_events import History
from django.core.management import call_command
from django.test import Client
from read_view import selectors


@pytest.fixture
def web() -> Client:
    return Client()


def written(number: int) -> History:
    found = History(str(number))
    found.create()
    found.update(title="고친 글")
    found.like()
    found.comment()
    return found


def see_the_end(store) -> None:
    for partition in selectors.ARTICLE_PARTITIONS:
        store.mark_end(partition)


def test_an_article_with_its_counts_and_where_it_comes_from(web: Client, feed, no_origin) -> None:
    feed.deliver(*written(9007199254740993).events)
    answer = web.get("/v1/articles/9007199254740993")
    assert answer.status_code == 200
    assert answer.json() == {
        "id": "9007199254740993",
        "board_id": "1",
        "title": "고친 글",
        "content": "본문",
        "writer_id": "5",
        "created_at": "2026-03-01T03:00:00.000Z",
        "modified_at": "2026-03-01T03:01:00.000Z",
        "version": 2,
        "like_count": 1,
        "comment_count": 1,
    }
    assert (answer["X-Source"], answer["X-Version"]) == ("projection", "2")
    assert int(answer["X-Projection-Age-Ms"]) > 0


def test_from_the_origin_it_looks_the_same(web: Client, origin) -> None:
    origin.knows(written(100))
    first, second = (web.get("/v1/articles/100") for _ in range(2))
    assert first.json() == second.json()
    assert [(one["X-Source"], one["X-Version"]) for one in (first, second)] == [("origin", "2"), ("projection", "2")]
    # No event has come yet, so there is none to tell the age of.
    assert "X-Projection-Age-Ms" not in first


def test_a_list_and_where_it_comes_from(web: Client, feed, store, no_origin) -> None:
    for number in (100, 101, 102):
        feed.deliver(*written(number).events)
    see_the_end(store)
    first = web.get("/v1/articles?board_id=1&page_size=2")
    assert [item["id"] for item in first.json()["items"]] == ["102", "101"]
    assert (first["X-Source"], int(first["X-Projection-Age-Ms"]) > 0) == ("projection", True)
    second = web.get("/v1/articles", {"board_id": "1", "page_size": "2", "cursor": first.json()["next_cursor"]})
    assert [item["id"] for item in second.json()["items"]] == ["100"]
    assert second.json()["next_cursor"] is None


def test_a_missing_article_is_a_404_that_says_who_knows(web: Client, origin, feed) -> None:
    history = written(101)
    history.delete()
    feed.deliver(*history.events)
    for number, source in ((100, "origin"), (101, "projection")):
        answer = web.get(f"/v1/articles/{number}")
        assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
        assert (answer["X-Source"], int(answer["X-Projection-Age-Ms"]) > 0) == (source, True)


@pytest.mark.parametrize("path", ["/v1/articles/100", "/v1/articles?board_id=1"])
def test_what_nobody_can_tell_is_a_503_with_retry_after(web: Client, no_origin, path: str) -> None:
    answer = web.get(path)
    assert (answer.status_code, answer["Content-Type"]) == (503, "application/problem+json")
    assert int(answer["Retry-After"]) >= 1


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "board_id"),
        ("board_id=x", "board_id"),
        ("board_id=0", "board_id"),
        ("board_id=1&page_size=0", "page_size"),
        ("board_id=1&page_size=101", "page_size"),
        ("board_id=1&page_size=ten", "page_size"),
        ("board_id=1&cursor=%21", "cursor"),
        ("board_id=1&cursor=YWJj", "cursor"),
    ],
)
def test_bad_input_is_a_problem_that_names_the_field(web: Client, query: str, field: str) -> None:
    answer = web.get(f"/v1/articles?{query}")
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("article_id", ["0", "x", "9223372036854775808"])
def test_what_is_no_id_is_not_found(web: Client, article_id: str) -> None:
    answer = web.get(f"/v1/articles/{article_id}")
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")


def test_the_correlation_id_is_given_back_and_sent_on(web: Client, origin) -> None:
    answer = web.get("/v1/articles/100", headers={"X-Correlation-Id": "abc-1"})
    assert answer["X-Correlation-Id"] == "abc-1"
    assert origin.correlation_ids == ["abc-1"]


def test_the_api_describes_itself(web: Client, tmp_path: Path) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yaml"))
    paths = yaml.safe_load(web.get("/v1/openapi").content)["paths"]
    assert set(paths) == {"/v1/articles", "/v1/articles/{article_id}"}
