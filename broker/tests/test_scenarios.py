"""The scenario runner: commands, traces, differences, and files written anew."""

from pathlib import Path

import pytest
from broker.protocol.errors import ErrorCode, KafkaError

from .scenarios import Command, ScenarioError, milliseconds, parse, parse_command, play, run_scenario

STORY = """\
# A counter that can be asked.
# It begins at 0.
add 2
add 3 times=2
----
8

# Nothing is left here.
reset
----

show loudly
break
----
it is 0!
break: UNKNOWN_SERVER_ERROR: broken
"""


class Counter:
    """A stage."""

    def __init__(self) -> None:
        self.value = 0

    def do_add(self, command: Command) -> str | None:
        self.value += command.number(0) * command.number("times", 1)
        return str(self.value) if "times" in command.options else None

    def do_reset(self, command: Command) -> None:
        self.value = 0

    def do_show(self, command: Command) -> list[str]:
        return [f"it is {self.value}" + ("!" if command.flag("loudly") else "")]

    def do_break(self, command: Command) -> None:
        raise KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR, "broken")

    def do_tear_up(self, command: Command) -> str:
        return "one\n\ntwo"


def test_a_command_has_words_and_options() -> None:
    command = parse_command("append 5 key=a=b now timeout=1m30s")
    assert command == Command("append", ("5", "now"), {"key": "a=b", "timeout": "1m30s"})
    assert (command.number(0), command.number(7, 3), command.number("none", 4)) == (5, 3, 4)
    assert (command.milliseconds("timeout"), command.milliseconds(9, 8)) == (90_000, 8)
    assert command.flag("now") and not command.flag("later")
    assert (command.word(1), command.word(2, "x")) == ("now", "x")


def test_durations() -> None:
    assert [milliseconds(text) for text in ("5ms", "10s", "2h30m", "1d")] == [5, 10_000, 9_000_000, 86_400_000]
    for text in ("", "10", "s", "1s 2s", "1.5s", "-1s"):
        with pytest.raises(ValueError, match="is no duration"):
            milliseconds(text)


def test_a_story_that_happens_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "story.txt"
    path.write_text(STORY)
    assert play(parse(STORY), Counter()) == STORY
    run_scenario(path, Counter())


def test_another_trace_is_shown_as_a_difference(tmp_path: Path) -> None:
    path = tmp_path / "story.txt"
    path.write_text(STORY.replace("8\n", "9\n"))
    with pytest.raises(AssertionError, match=r"story\.txt leaves another trace[\s\S]*-9\n\+8"):
        run_scenario(path, Counter())
    assert "9\n" in path.read_text()


def test_rewriting_makes_the_file_say_what_happens(tmp_path: Path) -> None:
    path = tmp_path / "story.txt"
    path.write_text("# New.\nadd 1\nshow\n\n# More.\n\nadd 2\nshow")
    run_scenario(path, Counter(), rewrite=True)
    assert path.read_text() == "# New.\nadd 1\nshow\n----\nit is 1\n\n# More.\n\nadd 2\nshow\n----\nit is 3\n"
    run_scenario(path, Counter())


def test_commands_without_an_expectation_are_a_difference(tmp_path: Path) -> None:
    path = tmp_path / "story.txt"
    path.write_text("show\n")
    with pytest.raises(AssertionError, match="it is 0"):
        run_scenario(path, Counter())


def test_what_cannot_be_played() -> None:
    with pytest.raises(ScenarioError, match="subtract is no command; there are add, break, reset, show, tear-up"):
        play(parse("subtract 1\n"), Counter())
    with pytest.raises(ScenarioError, match="tear-up left 1 blank lines"):
        play(parse("tear-up\n"), Counter())
