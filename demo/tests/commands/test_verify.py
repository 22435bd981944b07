"""When differences are believed: not while events are still on their way."""

from collections.abc import Callable
from pathlib import Path

import pytest
from demo.commands import verify
from demo.layout import Layout
from demo.terminal import Terminal
from demo.verification import Differences, LogView, Origins


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Callable[..., verify.Findings]:
    """Passes of the comparison: (events in the log, differences, whether the projection is complete); the last one is repeated.

    The clock moves 1 s per pass.
    """
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("time.sleep", lambda seconds: None)

    def run(*results: tuple[int, int] | tuple[int, int, bool], timeout: float = 60.0) -> verify.Findings:
        left = list(results)

        def compare(layout: Layout, terminal: Terminal, deadline: float) -> verify.Findings:
            now[0] += 1.0
            events, count, *complete = left.pop(0) if len(left) > 1 else left[0]
            return verify.Findings(Differences(["differs"] * count), Origins(), LogView(events=events), 0, *complete)

        monkeypatch.setattr(verify, "_compare", compare)
        return verify._compare_when_quiet(Layout(Path("/data")), Terminal(), timeout)

    return run


def test_agreement_is_believed_at_once(passes: Callable[..., verify.Findings]) -> None:
    assert passes((5, 0), (9, 3)).log.events == 5


def test_differences_that_vanish_while_events_arrive_are_none(passes: Callable[..., verify.Findings]) -> None:
    assert passes((5, 3), (6, 2), (7, 1), (8, 0)).differences.texts == []


def test_differences_that_stay_when_nothing_moves_are_found(passes: Callable[..., verify.Findings]) -> None:
    assert len(passes((5, 3), (6, 2)).differences.texts) == 2


def test_a_hole_that_was_mended_by_looking_at_it_is_found(passes: Callable[..., verify.Findings]) -> None:
    assert len(passes((5, 1), (5, 0)).differences.texts) == 1


def test_a_projection_that_is_still_built_is_waited_for(passes: Callable[..., verify.Findings]) -> None:
    assert passes((5, 9, False), (5, 4, False), (5, 0)).differences.texts == []
    assert len(passes((5, 9, False)).differences.texts) == 9


def test_a_log_that_never_rests_is_not_waited_for_for_ever(passes: Callable[..., verify.Findings]) -> None:
    growing = [(events, 1) for events in range(1000)]
    assert passes(*growing, timeout=20.0).log.events < 30


def test_what_differs_is_printed_up_to_a_bound(capsys: pytest.CaptureFixture[str]) -> None:
    findings = verify.Findings(Differences([f"fact {n}" for n in range(70)], 100), Origins(), LogView(unreadable=2), 3)
    verify._print(Terminal(), findings)
    out = capsys.readouterr().out
    assert "  differs: fact 49\n" in out
    assert "fact 50" not in out
    assert "and 20 more" in out
    assert "2 of the events cannot be read" in out
    assert out.endswith("70 differences\n")
    verify._print(Terminal(), verify.Findings(Differences(), Origins(), LogView(), 0))
    assert capsys.readouterr().out.endswith("no difference\n")
