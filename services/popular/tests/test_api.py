"""GET /v1/popular over Django's test client."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
import yaml
from board_events import History
from django.test import Client
from popular import selectors


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(selectors, "today", lambda: date(2026, 3, 3))
    return Client()


def liked(number: int, at: str) -> History:
    history = History(str(number))
    history.create(datetime.fromisoformat(at).replace(tzinfo=ZoneInfo("Asia/Seoul")), title=f"글 {number}")
    history.like()
    return history


def test_the_list_of_a_day(web: Client, feed) -> None:
    feed.deliver(*liked(9007199254740993, "2026-03-01T12:00:00").events, *liked(100, "2026-03-02T12:00:00").events)
    answer = web.get("/v1/popular?date=2026-03-01")
    assert answer.status_code == 200
    assert answer.json() == {
        "date": "2026-03-01",
        "items": [
            {
                "rank": 1,
                # A text: JavaScript's numbers end before it.
                "article_id": "9007199254740993",
                "board_id": "1",
                "title": "글 9007199254740993",
                "score": 3,
                "like_count": 1,
                "comment_count": 0,
            }
        ],
    }


def test_without_a_date_it_is_todays(web: Client, feed) -> None:
    feed.deliver(*liked(100, "2026-03-03T00:00:00").events)
    answer = web.get("/v1/popular").json()
    assert answer["date"] == "2026-03-03"
    assert [item["article_id"] for item in answer["items"]] == ["100"]


def test_a_day_without_points_is_empty(web: Client) -> None:
    assert web.get("/v1/popular?date=2026-03-02").json() == {"date": "2026-03-02", "items": []}


@pytest.mark.parametrize("text", ["tomorrow", "", "2026-03-04", "2026-02-24", "2026-13-01"])
def test_another_day_is_a_problem_that_names_the_field(web: Client, text: str) -> None:
    answer = web.get("/v1/popular", {"date": text})
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert [error["field"] for error in answer.json()["errors"]] == ["date"]


def test_without_valkey_it_is_503_with_retry_after(web: Client, settings) -> None:
    settings.VALKEY_URL = "redis://127.0.0.1:1/0"
    selectors._store.cache_clear()
    answer = web.get("/v1/popular")
    assert answer.status_code == 503
    assert answer["Content-Type"] == "application/problem+json"
    assert int(answer["Retry-After"]) >= 1


def test_the_api_describes_itself(web: Client) -> None:
    paths = yaml.safe_load(web.get("/v1/openapi").content)["paths"]
    assert set(paths) == {"/v1/popular"}
    assert [parameter["name"] for parameter in paths["/v1/popular"]["get"]["parameters"]] == ["date"]
