"""The supervisor's word about itself, and when it is believed."""

import os
from pathlib import Path

import pytest
from demo.layout import DemoError, Layout
from demo.state import ProcessState, State, require_running, running_state

from demo import lock


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    state = State(1, 8000, "other:9092", 1, "ready", [ProcessState("broker", "ready", 2, 3)])
    path = tmp_path / "state.json"
    state.save(path)
    assert State.load(path) == state
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "content", [None, "", "{", "[]", "null", "{}", '{"pid": 1, "processes": [{"x": 1}]}', '{"pid":1,"new":2,"processes":[]}']
)
def test_what_is_no_state_counts_as_none(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "state.json"
    if content is not None:
        path.write_text(content)
    assert State.load(path) is None


def test_the_state_of_a_killed_supervisor_is_not_believed(tmp_path: Path) -> None:
    """Even if its process id belongs to somebody else by now."""
    layout = Layout(tmp_path)
    layout.lock_file.parent.mkdir()
    layout.lock_file.write_text(str(os.getpid()))
    State(os.getpid(), 8000, phase="ready").save(layout.state_file)
    assert running_state(layout) is None
    with pytest.raises(DemoError, match="no board is running"):
        require_running(tmp_path)


def test_a_new_supervisor_is_starting_until_it_says_more(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.lock_file.parent.mkdir()
    State(1, 9000, phase="ready").save(layout.state_file)  # left by a killed one
    held = lock.take(layout.lock_file)
    try:
        state = running_state(layout)
        assert state is not None
        assert (state.pid, state.phase) == (os.getpid(), "starting")
        State(os.getpid(), 18000, "other:9092", phase="ready").save(layout.state_file)
        found, state = require_running(tmp_path)
        assert (found, state.phase) == (Layout(tmp_path, 18000, "other:9092"), "ready")
    finally:
        held.release()


def test_a_directory_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(DemoError, match=f"{tmp_path} cannot be read"):
        require_running(tmp_path)
