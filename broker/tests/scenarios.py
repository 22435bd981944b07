"""Scenario files: a text of commands and the trace they are expected to leave, told as a story.

    # What happens and why it matters.
    append 5 timestamp=10s
    crash
    ----
    append: 0..4
    log 0..5

A block is commands, `----`, the expected lines, and a blank line; lines that begin with `#` are kept as they are. Whoever
runs a file gives a stage: an object with one method per command, `do_append(command)` for `append` (`-` becomes `_`), which
returns the lines it leaves (a text, several, or None). A KafkaError is a line of the trace, too. One stage lives for one
file. With `--rewrite` the files are written anew from what happens now; read the difference before it is committed.
The form is etcd-io/raft's (``datadriven``).
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from broker.protocol.errors import KafkaError

SEPARATOR = "----"
_DURATION = re.compile(r"(\d+)(ms|s|m|h|d)")
_UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
Trace = str | Iterable[str] | None


class ScenarioError(Exception):
    """A file that cannot be read as a scenario; the message names file and line."""


@dataclass(frozen=True)
class Command:
    """One line: `name word … key=value …`."""

    name: str
    words: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)

    def word(self, number: int, default: str = "") -> str:
        """The word at a place; the default where the line has ended."""
        return self.words[number] if number < len(self.words) else default

    def number(self, place: int | str, default: int = 0) -> int:
        """A whole number: the word at a place, or the option of that name."""
        text = self.word(place) if isinstance(place, int) else self.options.get(place, "")
        return int(text) if text else default

    def milliseconds(self, place: int | str, default: int = 0) -> int:
        """A time such as `10s`, `5ms` or `2h30m`."""
        text = self.word(place) if isinstance(place, int) else self.options.get(place, "")
        return milliseconds(text) if text else default

    def flag(self, name: str) -> bool:
        """Whether a word of that name stands in the line."""
        return name in self.words


@dataclass
class Block:
    """Commands with what is expected of them. `head`: the lines of the file up to and without the separator."""

    line: int
    head: list[str] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    has_expectation: bool = False


def milliseconds(text: str) -> int:
    """ValueError when the text is no duration."""
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is no duration such as 10s, 5ms or 2h30m")
    return sum(int(number) * _UNIT_MS[unit] for number, unit in parts)


def parse_command(text: str) -> Command:
    name, *rest = text.split()
    words = tuple(part for part in rest if "=" not in part)
    return Command(name, words, dict(part.split("=", 1) for part in rest if "=" in part))


def parse(text: str) -> list[Block]:
    """The blocks of a file; the last one may be comments alone."""
    blocks: list[Block] = []
    block = Block(1)
    for number, line in enumerate(text.splitlines(), 1):
        if block.has_expectation:
            if line.strip():
                block.expected.append(line)
            else:
                blocks.append(block)
                block = Block(number + 1)
        elif line == SEPARATOR:
            block.has_expectation = True
        elif block.commands and not line.strip():
            blocks.append(block)
            block = Block(number + 1)
        else:
            block.head.append(line)
            if line.strip() and not line.startswith("#"):
                block.commands.append(parse_command(line))
    if block.head or block.has_expectation:
        blocks.append(block)
    return blocks


def play(blocks: Iterable[Block], stage: object) -> str:
    """Run all commands on a stage: the file as it ought to be."""
    lines: list[str] = []
    for block in blocks:
        lines += block.head
        if not block.commands and not block.has_expectation:
            continue
        trace: list[str] = []
        for command in block.commands:
            trace += perform(command, stage)
        lines += [SEPARATOR, *trace, ""]
    while lines and not lines[-1].strip():
        lines.pop()
    return "\n".join([*lines, ""])


def perform(command: Command, stage: object) -> list[str]:
    """The lines that one command leaves."""
    method = getattr(stage, "do_" + command.name.replace("-", "_"), None)
    if method is None:
        known = sorted(name.removeprefix("do_").replace("_", "-") for name in dir(stage) if name.startswith("do_"))
        raise ScenarioError(f"{command.name} is no command; there are {', '.join(known)}")
    try:
        left: Trace = method(command)
    except KafkaError as error:
        return [f"{command.name}: {error.code.name}" + (f": {error.message}" if error.message else "")]
    if left is None:
        return []
    found = left.splitlines() if isinstance(left, str) else list(left)
    if blank := [line for line in found if not line.strip()]:
        raise ScenarioError(f"{command.name} left {len(blank)} blank lines; a blank line ends a block")
    return found


def run_scenario(path: Path, stage: object, *, rewrite: bool = False) -> None:
    """Play a file; AssertionError with the difference when it leaves another trace. `rewrite`: make that the file."""
    text = path.read_text(encoding="utf-8")
    played = play(parse(text), stage)
    if rewrite:
        path.write_text(played, encoding="utf-8")
        return
    if played != text:
        difference = "\n".join(
            difflib.unified_diff(text.splitlines(), played.splitlines(), "expected", "happened", n=5, lineterm="")
        )
        raise AssertionError(f"{path.name} leaves another trace (if that is right: pytest --rewrite):\n{difference}")


def scenario_files(test_file: str) -> list[Path]:
    """The scenarios in `testdata/` beside a test module."""
    found = sorted((Path(test_file).parent / "testdata").glob("*.txt"))
    assert found, f"there are no scenarios beside {test_file}"
    return found
