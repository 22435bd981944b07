"""The list of a day: ten are cut on reading, all are kept."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from board_events import History
from peers.valkey import valkey
from popular import selectors
from servicekit.problems import BadInput, Unavailable

SEOUL = ZoneInfo("Asia/Seoul")
DAY = date(2026, 3, 1)


def seoul(day: int, clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-{day:02}T{clock}").replace(tzinfo=SEOUL)


def article(number: int, likes: int, day: int = 1) -> History:
    """Number `number`, created at nine, liked at noon."""
    history = History(str(number))
    history.create(seoul(day, "09:00:00"), title=f"글 {number}")
    for user in range(likes):
        history.like(seoul(day, "12:00:00"), user_id=str(user + 1))
    return history


def ranked(day: date = DAY) -> list[str]:
    return [item["article_id"] for item in selectors.popular_list(day)]


def test_an_item_says_what_its_points_are_made_of(feed) -> None:
    history = article(100, 2)
    history.comment(seoul(1, "13:00:00"))
    feed.deliver(*history.events)
    assert selectors.popular_list(DAY) == [
        {
            "rank": 1,
            "article_id": "100",
            "board_id": "1",
            "title": "글 100",
            "score": 8,
            "like_count": 2,
            "comment_count": 1,
        }
    ]


def test_the_best_come_first_and_of_equals_the_newer(feed) -> None:
    for history in (article(100, 1), article(101, 3), article(9, 1), article(102, 0)):
        feed.deliver(*history.events)
    assert ranked() == ["101", "100", "9"]


def test_ten_are_shown_and_when_number_10_loses_a_like_number_11_moves_up(feed) -> None:
    """Number 11 was kept: at 23:59:59 it still matters, at 00:00:00 the list stands still."""
    articles = {number: article(number, 20 - number) for number in range(1, 13)}
    articles[11].comment(seoul(1, "13:00:00"))  # 27 + 2 points: one less than number 10 has
    for history in articles.values():
        feed.deliver(*history.events)
    assert ranked() == [str(number) for number in range(1, 11)]
    feed.deliver(articles[10].unlike(seoul(2, "00:00:00")))
    assert ranked() == [str(number) for number in range(1, 11)]


def test_an_unlike_of_number_10_at_the_last_second_counts(feed) -> None:
    articles = {number: article(number, 20 - number) for number in range(1, 13)}
    articles[11].comment(seoul(1, "13:00:00"))
    for history in articles.values():
        feed.deliver(*history.events)
    feed.deliver(articles[10].unlike(seoul(1, "23:59:59")))
    assert ranked() == [*(str(number) for number in range(1, 10)), "11"]


def test_an_article_belongs_to_the_day_it_was_created_on(feed) -> None:
    last, first = History("100"), History("101")
    last.create(seoul(1, "23:59:59"))
    first.create(seoul(2, "00:00:00"))
    for history in (last, first):
        history.like(history.now)
        feed.deliver(*history.events)
    assert ranked(DAY) == ["100"]
    assert ranked(date(2026, 3, 2)) == ["101"]


def test_a_late_comment_event_of_the_day_still_counts(feed) -> None:
    """By its own time: it lay in a queue over midnight, or over a week."""
    history = article(100, 1)
    late = history.comment(seoul(1, "23:59:59"))
    feed.deliver(*history.article_events, article(101, 1, day=8).create(), late)
    assert [(item["article_id"], item["score"]) for item in selectors.popular_list(DAY)] == [("100", 5)]


def test_an_edited_title_is_shown_also_later(feed) -> None:
    history = article(100, 1)
    history.update(seoul(4, "09:00:00"), title="새 제목")
    feed.deliver(*history.events)
    assert [item["title"] for item in selectors.popular_list(DAY)] == ["새 제목"]


def test_a_deleted_article_makes_room(feed) -> None:
    articles = [article(number, 2) for number in range(1, 12)]
    for history in articles:
        feed.deliver(*history.events)
    assert ranked() == [str(number) for number in range(11, 1, -1)]
    feed.deliver(articles[10].delete(seoul(3, "09:00:00")))
    assert ranked() == [str(number) for number in range(10, 0, -1)]
    assert [item["rank"] for item in selectors.popular_list(DAY)] == list(range(1, 11))


@pytest.mark.parametrize("gone", ["deleted", "swept"])
def test_one_that_goes_between_the_two_reads_is_passed_over(feed, client, store, monkeypatch, gone: str) -> None:
    first, second = article(100, 2), article(101, 1)
    feed.deliver(*first.events, *second.events)
    ranking = store.best("day:2026-03-01", 10)
    if gone == "deleted":
        feed.deliver(first.delete())
    else:
        client.delete("popular:1:document:100")
    monkeypatch.setattr(type(store), "best", lambda *_: ranking)
    assert [(item["rank"], item["article_id"]) for item in selectors.popular_list(DAY)] == [(1, "101")]


def test_today_is_that_of_the_board(settings) -> None:
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        settings.BOARD_ZONE = zone
        before = datetime.now(UTC)
        assert before.astimezone(ZoneInfo(zone)).date() <= selectors.today()
        assert selectors.today() <= datetime.now(UTC).astimezone(ZoneInfo(zone)).date()


def test_a_day_is_one_of_the_last_seven(monkeypatch) -> None:
    monkeypatch.setattr(selectors, "today", lambda: DAY)
    assert selectors.parse_day(None) == DAY
    for days_ago in range(7):
        day = DAY - timedelta(days=days_ago)
        assert selectors.parse_day(day.isoformat()) == day
    for text in ("2026-03-02", "2026-02-22", "yesterday", "", "20260301", "2026-W09-7", "2026-02-30", "2026-03-01T00:00", "\x00"):
        with pytest.raises(BadInput) as caught:
            selectors.parse_day(text)
        assert caught.value.field == "date"


def test_without_valkey_it_is_unavailable(tmp_path, settings) -> None:
    with valkey(tmp_path) as server:
        settings.VALKEY_URL = server.url
        selectors._store.cache_clear()
        assert selectors.popular_list(DAY) == []
        server.kill()
        with pytest.raises(Unavailable):
            selectors.popular_list(DAY)
