"""Exit status 0 only when everything is healthy, and what is not is named."""

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest
from demo.commands import status
from demo.groups import BrokerSilent, GroupRow
from demo.layout import Layout
from demo.state import ProcessState, State

ROW = GroupRow("popular", "article-topic", 0, 3, 5, "member", "/127.0.0.1")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """With every process ready and answering, and the groups two records behind, but for what is given."""

    def run_status(*, phase: str = "ready", states: dict[str, str] | None = None, ill: str = "", silent: bool = False) -> int:
        layout = Layout(tmp_path)
        processes = [ProcessState(s.name, (states or {}).get(s.name, "ready"), 1, 0) for s in layout.processes()]
        monkeypatch.setattr(status, "require_running", lambda data: (layout, State(1, 8000, phase=phase, processes=processes)))
        real = status._health
        monkeypatch.setattr(status, "_health", lambda process, spec: answer(real, process, spec, ill))

        def rows(bootstrap_servers: str) -> list[GroupRow]:
            if silent:
                raise BrokerSilent(f"the broker at {bootstrap_servers} does not answer")
            return [ROW]

        monkeypatch.setattr(status, "group_rows", rows)
        return status.run(argparse.Namespace(data=tmp_path))

    def answer(real: Callable[..., str], process: ProcessState, spec: object, ill: str) -> str:
        if process.status != "ready":
            return real(process, spec)
        return "not ready: the relay waits" if process.name == ill else "ok"

    return run_status


def test_all_is_well(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 1 + 12 + 2
    assert "groups: total lag 2" in out
    assert out.endswith("healthy\n")
    assert "not healthy" not in out


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ({"phase": "starting"}, "not healthy (phase starting)"),
        ({"states": {"valkey": "restarting"}}, "restarting"),
        ({"ill": "comment worker"}, "not ready: the relay waits"),
        ({"silent": True}, "groups: the broker at 127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094 does not answer"),
    ],
)
def test_any_trouble_is_named(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str], trouble: dict[str, object], said: str
) -> None:
    assert run(**trouble) == 1
    out = capsys.readouterr().out
    assert said in out
    assert "not healthy" in out


def test_a_process_without_an_answer_is_not_well() -> None:
    spec = next(spec for spec in Layout(Path("/data"), 1024).processes() if spec.name == "article")
    assert status._health(ProcessState("article", "ready", 1), spec) == "no answer (ConnectionError)"
    assert status._health(ProcessState("article", "starting", 1), spec) == "starting"
