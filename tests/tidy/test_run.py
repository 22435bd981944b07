"""The runner counts what ran, and takes silence for no success."""

import importlib.util
import sys
import types
from pathlib import Path

import pytest

RUNNER = Path(__file__).resolve().parents[1] / "run.py"

GOOD = "def test_one(): pass\ndef test_two(): pass\n"
MIXED = "import pytest\ndef test_good(): pass\ndef test_bad(): assert 0\ndef test_away(): pytest.skip('no engine')\n"


def load(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The program as a module."""
    spec = importlib.util.spec_from_file_location("board_test_runner", RUNNER)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "board_test_runner", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The module, over a tree of its own with the suites good, mixed, broken, empty and absent."""
    module = load(monkeypatch)
    for name, text in {"good": GOOD, "mixed": MIXED, "broken": "import no_such_module\n", "empty": ""}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / f"test_{name}.py").write_text(text)
    suites = tuple(module.Suite(name, f"kind of {name}", name) for name in ("good", "mixed", "broken", "empty", "absent"))
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "SUITES", suites)
    monkeypatch.delenv("BOARD_REQUIRE_ALL", raising=False)
    # main() sets it for its own process.
    monkeypatch.setattr(module.signal, "signal", lambda *arguments: None)
    return module


def test_the_last_line_is_the_count(runner: types.ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["good"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("2 passed in ")
    assert lines[-2].split() == ["kind", "kind", "of", "good", "2", "passed"]
    assert lines[-3].startswith("suite good              2 passed     0 failed")


@pytest.mark.parametrize(
    ("suite", "said"),
    [
        ("mixed", "FAILED  mixed: mixed.test_mixed::test_bad"),
        ("broken", "FAILED  broken: "),
        ("empty", "FAILED  empty: empty holds no test"),
        ("absent", "FAILED  absent: there is no directory absent"),
    ],
)
def test_what_is_wrong_is_named(runner: types.ModuleType, capsys: pytest.CaptureFixture[str], suite: str, said: str) -> None:
    assert runner.main(["good", suite]) == 1
    out = capsys.readouterr().out
    assert said in out
    assert " failed, " in out.splitlines()[-1]


def test_what_did_not_run_fails_only_where_all_is_required(
    runner: types.ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert runner.main(["mixed", "-k", "good or away"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1].startswith("1 not run, 1 passed in ")
    assert "not run  mixed: mixed.test_mixed::test_away (no engine)" in out
    monkeypatch.setenv("BOARD_REQUIRE_ALL", "1")
    assert runner.main(["mixed", "-k", "good or away"]) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("1 failed, 1 passed in ")


def test_suites_are_chosen_by_name_or_kind_and_the_rest_is_pytests(runner: types.ModuleType) -> None:
    chosen, rest = runner.parse(["good", "kind of empty", "-k", "mixed", "-x"])
    assert [suite.name for suite in chosen] == ["good", "empty"]
    assert rest == ["-k", "mixed", "-x"]
    assert len(runner.parse(["-x"])[0]) == 5


def test_an_unknown_suite_is_named(runner: types.ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        runner.parse(["god"])
    assert raised.value.code == 2
    assert "no such suite: god" in capsys.readouterr().out


def test_nothing_selected_is_no_success(runner: types.ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["good", "-k", "nothing_is_called_so"]) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("0 passed in ")


def test_a_suite_that_hangs_is_ended(
    runner: types.ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "good" / "test_slow.py").write_text("import time\ndef test_slow(): time.sleep(1000)\n")
    monkeypatch.setattr(runner, "SUITE_TIMEOUT_SECONDS", 5)
    assert runner.main(["good", "-p", "no:randomly"]) == 1
    assert "FAILED  good: not finished within 5 s" in capsys.readouterr().out


def test_every_test_of_the_repository_belongs_to_a_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new directory of tests must not be forgotten."""
    root, suites = RUNNER.parents[1], load(monkeypatch).SUITES
    files = [
        path.relative_to(root)
        for top in ("bench", "broker", "demo", "libs", "services", "tests")
        for path in (root / top).rglob("test_*.py")
    ]
    assert len(files) > 50
    assert [str(path) for path in files if not any(path.is_relative_to(suite.path) for suite in suites)] == []
