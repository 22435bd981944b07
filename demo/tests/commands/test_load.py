"""What the load puts into its ledger, and what it counts."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from demo.api import NoAnswer, Refused
from demo.commands import load
from demo.commands.load import Article, Figures, Worker
from demo.layout import Layout
from demo.ledger import Entry, Ledger, read_ledgers
from demo.terminal import Terminal


class Silent:
    """A board whose every write fails in the same way."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        def fail(*arguments: object, **more: object) -> None:
            raise self._error

        return fail


class Accepting:
    """A board that takes every write and shows nothing."""

    def update_article(self, article_id: str, changes: object) -> dict[str, object]:
        return {"id": article_id, "version": 5}

    def create_comment(self, article_id: str, *arguments: object) -> dict[str, object]:
        return {"id": "90"}

    def like(self, article_id: str, user_id: str, *, liked: bool) -> None:
        pass

    def delete_article(self, article_id: str) -> None:
        pass

    def find(self, service: str, path: str) -> None:
        return None


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    """With one article of version 4; no write is sampled."""
    monkeypatch.setattr(load, "SAMPLE_SHARE", 0.0)
    ledger = Ledger(tmp_path / "ledger" / "1.jsonl")
    one = Worker(Layout(tmp_path), Figures(), ledger, threading.Event(), threading.Event(), seed="1", rate=1.0)
    one.board.close()
    one.articles = [Article("7", 4)]
    yield one
    ledger.close()


def entries(worker: Worker) -> list[Entry]:
    return list(read_ledgers(worker.ledger.path.parent))


def test_every_write_that_was_taken_is_a_promise(worker: Worker) -> None:
    worker.board = Accepting()  # type: ignore[assignment]
    for action in ("update", "like", "comment", "unlike", "delete"):
        worker._do(action)
    found = entries(worker)
    assert [(entry.operation, entry.certain) for entry in found] == [
        ("update", True), ("like", True), ("comment", True), ("unlike", True), ("delete", True)
    ]  # fmt: skip
    assert (found[0].version, found[2].comment_id) == (5, "90")
    assert found[1].user_id == found[3].user_id
    assert worker.figures.writes == 5
    assert worker.articles == []


@pytest.mark.parametrize("error", [NoAnswer("no answer"), Refused(503, "busy"), Refused(500, "broken")])
def test_a_write_whose_effect_is_unknown_is_put_down_as_such(worker: Worker, error: Exception) -> None:
    worker.board = Silent(error)  # type: ignore[assignment]
    worker._do("like")
    (entry,) = entries(worker)
    assert (entry.operation, entry.certain) == ("like", False)
    assert not worker.articles[0].certain
    assert worker.articles[0].likes == set()
    assert worker.figures.writes == 0
    assert worker.figures.refused + worker.figures.unanswered == 1


def test_a_write_that_was_refused_leaves_no_entry(worker: Worker) -> None:
    worker.board = Silent(Refused(400, "bad"))  # type: ignore[assignment]
    worker._do("like")
    assert entries(worker) == []
    assert worker.articles[0].certain
    assert worker.figures.refused == 1


def test_a_ledger_that_cannot_be_written_ends_the_load(worker: Worker) -> None:
    worker.board = Accepting()  # type: ignore[assignment]
    worker.ledger = Ledger(Path("/dev/full"))
    worker._do("like")
    assert worker.stop.is_set()
    assert worker.hurry.is_set()
    with pytest.raises(OSError, match="No space left"):
        worker.ledger.close()


def test_nobody_waits_for_what_is_not_shown_once_it_has_to_end(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "SAMPLE_SHARE", 1.0)
    worker.board = Accepting()  # type: ignore[assignment]
    worker.hurry.set()
    worker._do("like")
    assert worker.figures.unseen == 0
    assert worker.figures.delays_ms == []


def test_what_is_never_shown_is_counted(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "SAMPLE_SHARE", 1.0)
    monkeypatch.setattr(load, "VIEW_TIMEOUT_SECONDS", 0.05)
    worker.board = Accepting()  # type: ignore[assignment]
    worker._do("like")
    assert worker.figures.unseen == 1
    assert len(entries(worker)) == 1


def test_the_summary_names_rate_errors_and_delays(worker: Worker, capsys: pytest.CaptureFixture[str]) -> None:
    figures = Figures(requests=100, reads=60, writes=38, delays_ms=[float(n) for n in range(1, 101)])
    figures.error("refused", "503 busy")
    figures.error("refused", "503 busy")
    load._print(Terminal(), figures, worker.ledger, 10.0)
    out = capsys.readouterr().out
    assert "100 requests in 10.0 s (10.0/s): 60 reads, 38 writes, 2 refused, 0 without an answer, 0 never seen" in out
    assert "event to view: p50 51 ms, p99 100 ms over 100 samples" in out
    assert "  2 x 503 busy" in out
    assert f"0 promises in the ledger {worker.ledger.path}" in out


class Answer:
    """An answer of the read side."""

    def __init__(self, source: str, body: object) -> None:
        self.headers = {"X-Source": source}
        self._body = body

    def json(self) -> object:
        return self._body


def test_a_new_article_is_shown_once_its_event_has_brought_it(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its id it is fetched from its origin, and says `projection` from then on whether or not there was an event."""
    monkeypatch.setattr(load, "SAMPLE_SHARE", 1.0)
    monkeypatch.setattr(load, "VIEW_TIMEOUT_SECONDS", 5.0)
    made = {"id": "8", "version": 1}
    pages = [Answer("origin", {"items": [made]}), Answer("projection", {"items": []}), Answer("projection", {"items": [made]})]

    class Late(Accepting):
        def create_article(self, *arguments: object) -> dict[str, object]:
            return made

        def find(self, service: str, path: str) -> None:
            raise AssertionError("asked by id")

        def call(self, *arguments: object, **more: object) -> Answer:
            return pages.pop(0)

    worker.board = Late()  # type: ignore[assignment]
    worker._do("create")
    assert pages == []
    assert len(worker.figures.delays_ms) == 1
