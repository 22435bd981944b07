"""Which boards are broken on purpose, and in which language."""

import argparse
from pathlib import Path

import pytest
from demo.commands import drill
from demo.layout import DemoError, Layout
from demo.state import State


def run(
    monkeypatch: pytest.MonkeyPatch, *, brokers: int = 3, external_broker: str = "", language: str | None = None
) -> list[tuple[str, str]]:
    """The (drill, language) that were run on a board of this kind."""
    layout = Layout(Path("/data"), external_broker=external_broker, brokers=brokers)
    ran: list[tuple[str, str]] = []
    monkeypatch.setattr(drill, "require_running", lambda data: (layout, State(1, 8000)))
    monkeypatch.setattr(drill.scripts, "run", lambda name, layout, terminal, language: ran.append((name, language)))
    assert drill.run(argparse.Namespace(data=Path("/data"), name="leader-dies", language=language)) == 0
    return ran


def test_a_board_of_three_brokers_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, language="ko") == [("leader-dies", "ko")]


def test_a_broker_elsewhere_is_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DemoError, match="on a broker that is not its own; drills break the board's brokers only"):
        run(monkeypatch, external_broker="kafka.example:9092")


def test_one_broker_has_nobody_to_take_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DemoError, match="with one broker; drills need three"):
        run(monkeypatch, brokers=1)


@pytest.mark.parametrize(("lang", "language"), [("ko_KR.UTF-8", "ko"), ("en_US.UTF-8", "en"), ("C", "en"), (None, "en")])
def test_the_language_is_that_of_the_shell(monkeypatch: pytest.MonkeyPatch, lang: str | None, language: str) -> None:
    monkeypatch.delenv("LANG", raising=False)
    if lang is not None:
        monkeypatch.setenv("LANG", lang)
    assert run(monkeypatch) == [("leader-dies", language)]
