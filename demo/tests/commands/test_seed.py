"""The same board every time, and done only when it is shown."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from demo.api import Board, Json, NoAnswer
from demo.commands import seed
from demo.layout import DemoError, Layout
from demo.state import State

CALLS_OF_SEED = 140


class Recorder(Board):
    """Takes every write, and shows each article as it is after the answer has been asked for twice."""

    def __init__(self) -> None:
        self.writes: list[tuple[str, str, str]] = []
        self.likes: dict[str, int] = {}
        self.comments: dict[str, int] = {}
        self.asked: dict[str, int] = {}
        self.fail_after = 10_000

    def call(self, service: str, method: str, path: str, body: Json | None = None, **query: str) -> Any:
        if len(self.writes) >= self.fail_after:
            raise NoAnswer("POST: ReadTimeout")
        if method != "GET":
            self.writes.append((method, path, str(body)))
        if "likes" in path:
            self._count(self.likes, path.split("/")[1])
        if path == "comments":
            self._count(self.comments, str((body or {})["article_id"]))
        return Answer({"id": str(len(self.writes))})

    def find(self, service: str, path: str, **query: str) -> Any:
        article_id = path.split("/")[1]
        self._count(self.asked, article_id)
        counts = {"like_count": self.likes.get(article_id, 0), "comment_count": self.comments.get(article_id, 0)}
        return Answer(counts, "projection" if self.asked[article_id] > 1 else "origin")

    @staticmethod
    def _count(counts: dict[str, int], key: str) -> None:
        counts[key] = counts.get(key, 0) + 1


class Answer:
    def __init__(self, body: Json, source: str = "") -> None:
        self.headers = {"X-Source": source}
        self._body = body

    def json(self) -> Json:
        return self._body


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Recorder, list[str]], int]:
    monkeypatch.setattr(seed, "require_running", lambda data: (Layout(data), State(1, 8000)))
    monkeypatch.setattr(seed, "POLL_SECONDS", 0.0)

    def seeded(recorder: Recorder, behind: list[str]) -> int:
        monkeypatch.setattr(seed.Board, "of", lambda layout: recorder)
        monkeypatch.setattr(seed, "wait_for_groups", lambda servers, groups, seconds: behind)
        return seed.run(argparse.Namespace(data=tmp_path))

    return seeded


def test_it_writes_the_same_every_time_and_waits_until_it_is_shown(
    run: Callable[[Recorder, list[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = Recorder(), Recorder()
    assert run(first, []) == run(second, []) == 0
    assert first.writes == second.writes
    assert len(first.writes) == CALLS_OF_SEED
    assert set(first.asked.values()) == {2}
    assert len(first.asked) == 15
    text = "".join(body for _, _, body in first.writes)
    assert "카프카" in text
    assert "outbox" in text
    assert "seeded 15 posts, 45 comments, 80 likes; all groups had them" in capsys.readouterr().out


def test_groups_that_do_not_take_it_are_no_success(run: Callable[[Recorder, list[str]], int]) -> None:
    with pytest.raises(DemoError, match=r"15 posts, .* are written, but not shown within 30 s; see ./board status"):
        run(Recorder(), ["group popular is behind"])


def test_a_service_that_is_away_is_said_with_how_far_it_came(run: Callable[[Recorder, list[str]], int]) -> None:
    recorder = Recorder()
    recorder.fail_after = 30
    with pytest.raises(DemoError, match=r"seeding stopped after \d posts: POST: ReadTimeout"):
        run(recorder, [])
