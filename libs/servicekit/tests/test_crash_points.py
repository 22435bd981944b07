"""The registry of crash points is complete, and a point that is reached kills once."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from servicekit import crash_points

ROOT = Path(__file__).resolve().parents[3]
# Points are reached by their literal names, so that they can be found.
REACHED = re.compile(r'crash_points\.reach\(\s*"([^"]+)"\s*\)')
ANY = re.compile(r"crash_points\.reach\(")


def sources() -> list[Path]:
    return [*(ROOT / "libs").glob("*/src/**/*.py"), *(ROOT / "services").glob("*/src/**/*.py")]


def test_the_registry_lists_what_the_code_reaches_and_nothing_else() -> None:
    texts = [path.read_text(encoding="utf-8") for path in sources()]
    reached = {name for text in texts for name in REACHED.findall(text)}
    assert reached == set(crash_points.POINTS)


def test_every_point_is_reached_by_a_literal_name() -> None:
    for path in sources():
        text = path.read_text(encoding="utf-8")
        assert len(ANY.findall(text)) == len(REACHED.findall(text)), path


def test_a_point_that_is_not_registered_is_a_defect() -> None:
    with pytest.raises(AssertionError, match=r"nowhere\.at-all is not in the registry"):
        crash_points.reach("nowhere.at-all")


def test_without_the_variable_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(crash_points.CRASH_AT, raising=False)
    for name in crash_points.POINTS:
        crash_points.reach(name)


def test_the_point_kills_once_and_leaves_its_name(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    program = (
        "from servicekit import crash_points as c; c.reach('outbox.before-send'); print('lived', flush=True); "
        "c.reach('article.before-commit'); print('not reached')"
    )
    environment = {**os.environ, crash_points.CRASH_AT: "article.before-commit", crash_points.CRASH_MARK: str(mark)}

    def run() -> "subprocess.CompletedProcess[str]":
        return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)

    first = run()
    assert first.returncode == -signal.SIGKILL
    assert first.stdout == "lived\n"
    assert mark.read_text(encoding="utf-8") == "article.before-commit"
    second = run()
    assert (second.returncode, second.stdout) == (0, "lived\nnot reached\n")


def test_a_point_can_be_armed_by_a_file_while_the_process_runs(tmp_path: Path) -> None:
    armed = tmp_path / "armed"
    program = (
        "import pathlib; from servicekit import crash_points as c; c.reach('outbox.before-send'); print('lived', flush=True); "
        f"pathlib.Path({str(armed)!r}).write_text('outbox.before-send'); c.reach('outbox.before-send'); print('not reached')"
    )
    environment = {**os.environ, crash_points.CRASH_AT: f"@{armed}", crash_points.CRASH_MARK: str(tmp_path / "mark")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "lived\n")
