"""The comparisons themselves: each says what differs in words that name the article and both values."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rich.progress import Progress

from demo.api import Board
from demo.ledger import Entry
from demo.verification.log_view import ZONE, LogView
from demo.verification.origins import Origins

POPULAR_SIZE = 10
POPULAR_DAYS = 7


@dataclass
class Differences:
    """What was found, and how much was looked at."""

    texts: list[str] = field(default_factory=list)
    checks: int = 0

    def expect(self, what: str, expected: object, actual: object) -> None:
        self.checks += 1
        if expected != actual:
            self.texts.append(f"{what}: expected {expected!r}, found {actual!r}")


def compare_ledger(board: Board, ledger: Iterable[Entry], origins: Origins, differences: Differences, progress: Progress) -> None:
    """Every promise is kept by its origin. A write without an answer may have gone either way."""
    last: dict[tuple[str, ...], Entry] = {}
    doubtful: set[tuple[str, ...]] = set()
    for entry in ledger:
        subject = _subject(entry)
        # One without an answer may still be on its way when the next is sent, so its subject stays in doubt.
        if entry.certain:
            last[subject] = entry
        else:
            doubtful.add(subject)
    gone = {subject[1] for subject in doubtful if subject[0] == "article"} | origins.deleted
    for subject, entry in progress.track(list(last.items()), description="checking the ledger"):
        if subject in doubtful and entry.operation not in ("create", "update"):
            continue
        _check_promise(board, entry, origins, differences, doubtful=subject in doubtful, article_gone=entry.article_id in gone)


def _subject(entry: Entry) -> tuple[str, ...]:
    if entry.user_id:
        return ("like", entry.article_id, entry.user_id)
    if entry.comment_id:
        return ("comment", entry.article_id, entry.comment_id)
    return ("article", entry.article_id)


def _check_promise(
    board: Board, entry: Entry, origins: Origins, differences: Differences, *, doubtful: bool, article_gone: bool
) -> None:
    article_id, name = entry.article_id, f"article {entry.article_id}"
    if entry.operation == "delete":
        differences.expect(f"{name} was deleted, origin still has it", False, article_id in origins.articles)
    elif entry.operation in ("create", "update"):
        if doubtful and article_id in origins.deleted:
            return
        version = int(origins.articles.get(article_id, {}).get("version", 0))
        differences.expect(f"{name} has at least version {entry.version} at its origin", True, version >= entry.version)
    elif entry.operation in ("like", "unlike") and not article_gone:
        answer = board.find("article", f"articles/{article_id}/likes/{entry.user_id}")
        liked = bool(answer and answer.json()["liked"])
        differences.expect(f"{name}, like of user {entry.user_id}", entry.operation == "like", liked)
    elif entry.operation in ("comment", "uncomment"):
        answer = board.find("comment", f"comments/{entry.comment_id}")
        present = bool(answer and not answer.json().get("deleted", False))
        differences.expect(f"{name}, comment {entry.comment_id}", entry.operation == "comment", present)


def compare_views(board: Board, origins: Origins, log: LogView, differences: Differences, progress: Progress) -> None:
    """read-view, from its projection, equals the origins; so do the newest counts of the log."""
    for article_id, article in progress.track(list(origins.articles.items()), description="comparing the views"):
        expected = {**article, "like_count": origins.like_counts[article_id], "comment_count": origins.comment_counts[article_id]}
        answer = board.find("read-view", f"articles/{article_id}")
        source = answer.headers.get("X-Source") if answer is not None else None
        view = answer.json() if answer is not None else {}
        differences.expect(f"read-view, article {article_id}, X-Source", "projection", source)
        for name, value in expected.items():
            differences.expect(f"read-view, article {article_id}, {name}", value, view.get(name))
        logged = log.articles.get(article_id)
        differences.expect(f"log, article {article_id}, version", article["version"], logged.version if logged else None)
        differences.expect(f"log, article {article_id}, like_count", expected["like_count"], logged.likes.count if logged else 0)
        differences.expect(
            f"log, article {article_id}, comment_count", expected["comment_count"], logged.comments.count if logged else 0
        )
    for article_id in sorted(origins.deleted):
        answer = board.find("read-view", f"articles/{article_id}")
        differences.expect(f"read-view shows article {article_id}, which its origin has not", None, answer and answer.json())
    for board_id, article_ids in origins.boards.items():
        shown = [item["id"] for item in board.pages("read-view", "articles", board_id=board_id)]
        differences.expect(f"read-view, list of board {board_id}", article_ids, shown)


def compare_popular(board: Board, log: LogView, differences: Differences) -> None:
    """The lists of the last days, as they follow from the log."""
    today = datetime.now(ZONE).date()
    for days_ago in range(POPULAR_DAYS):
        day = today - timedelta(days=days_ago)
        items = board.call("popular", "GET", "popular", None, date=day.isoformat()).json()["items"]
        shown = [(item["article_id"], item["score"]) for item in items]
        differences.expect(f"popular, list of {day}", log.popular(day, POPULAR_SIZE), shown)
