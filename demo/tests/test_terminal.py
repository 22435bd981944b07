"""Nothing is cut, and a reader that has gone away ends nothing."""

import subprocess
import sys

import pytest
from demo.terminal import Terminal, plain_table


def test_long_lines_and_wide_tables_are_whole(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    line = "[bold]x[/bold] " * 60
    terminal.say(line)
    table = plain_table("a", "b")
    table.add_row("m" * 70, "n" * 70)
    terminal.show(table)
    out = capsys.readouterr().out.splitlines()
    assert out[0] == line
    assert out[2].split() == ["m" * 70, "n" * 70]


def test_progress_says_nothing_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal().progress() as progress:
        assert list(progress.track([1, 2])) == [1, 2]
    assert capsys.readouterr() == ("", "")


def test_a_closed_pipe_is_no_end() -> None:
    """As with `./board up | head -1`: what comes after the last reader is written to nowhere."""
    code = """
import sys
from demo.terminal import Terminal
terminal = Terminal()
for _ in range(20_000):
    terminal.say("line")
sys.stderr.write("end")
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == "line\n"
    process.stdout.close()
    assert process.stderr.read() == "end"
    process.stderr.close()
    assert process.wait() == 0
