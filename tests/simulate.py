"""`./board simulate`: simulated brokers and clusters with clients under faults, seed after seed, on every core.

It goes on where the last one ended: sums and seeds are kept in `simulation/sums.json` in the data directory, per version of the
code. A run that fails is told by kind, seed, what was broken, the command that replays it, and the file with everything that
happened in it; the exit status is 1 then. With `--seed` nothing is kept: that is for seeing certain runs again. Ctrl-C ends it
at once, with the sum so far.
"""

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

from demo.layout import ROOT, DemoError
from demo.lock import Held, take
from demo.terminal import Terminal, plain_table
from rich.console import Console
from rich.live import Live
from simulation.scenario import KINDS
from simulation.sums import FILE, Failure, Seeds, Sum, Sums, this_version
from simulation.trace import replay_command
from simulation.workers import Crew, Report, Task, cores, load_everything

DEFAULT_DATA = Path(os.environ.get("BOARD_DATA") or ROOT / "data")
DIRECTORY = "simulation"
MINUTES_DEFAULT = 1.0
# After so many, the next one would say the same.
FAILURES_MAX = 10
LOOK_SECONDS = 0.25
PLAIN_LINE_SECONDS = 10.0
MS_PER_HOUR = 3_600_000


def whole(text: str) -> int:
    """argparse type: a whole number from zero."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; a whole number from 0 is")
    return int(text)


def positive(text: str) -> int:
    """argparse type: a whole number above zero."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; a whole number above 0 is")
    return int(text)


def minutes(text: str) -> float:
    """argparse type: a time."""
    with contextlib.suppress(ValueError):
        if 0 < float(text) < float("inf"):
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not allowed; a number above 0 is")


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./board simulate",
        description="Run simulated brokers and clusters with clients under faults, seed after seed; exit status 1 when something "
        "that was promised does not hold.",
        epilog="Without --seed, seeds go on where the last ./board simulate ended, and the sums of both are shown.",
    )
    parser.add_argument("--seed", type=whole, metavar="N", help="run this seed again, or --runs of them from it on")
    parser.add_argument("--runs", type=positive, metavar="N", help="how many runs, of all kinds together")
    parser.add_argument("--minutes", type=minutes, metavar="N", help=f"how long (default {MINUTES_DEFAULT:g}, if not --runs)")
    parser.add_argument("--kind", nargs="+", choices=KINDS, default=list(KINDS), metavar="KIND", help=f"of {', '.join(KINDS)}")
    parser.add_argument("--processes", type=positive, default=cores(), metavar="N", help=f"at a time (default {cores()})")
    parser.add_argument("--fresh", action="store_true", help="forget the sums of before, and begin at seed 0")
    parser.add_argument("--sums", action="store_true", help="show the sums of before, and run nothing")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, metavar="DIR", help="data directory (default: data)")
    options = parser.parse_args(argv)
    options.data = options.data.expanduser().resolve()
    options.kind = list(dict.fromkeys(options.kind))
    return options


class Runs:
    """The runs of one `./board simulate`: which come next, and what they came to."""

    def __init__(self, options: argparse.Namespace, sums: Sums) -> None:
        self._sums = sums
        self._traces = options.data / DIRECTORY / "traces"
        # One certain run is looked at closely, also when it holds.
        self.is_replay = options.seed is not None and options.runs is None and options.minutes is None
        self._left = options.runs or (len(options.kind) if self.is_replay else None)
        limit = options.minutes or (None if self._left else MINUTES_DEFAULT)
        self.began = time.monotonic()
        self._deadline = self.began + limit * 60 if limit else float("inf")
        self._next_kind = cycle(options.kind)
        self.kinds = {kind: Sum() for kind in options.kind}
        self.failures: list[Failure] = []

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def next(self) -> Task | None:
        """The next run; None when there is none."""
        if self._left == 0 or time.monotonic() >= self._deadline or len(self.failures) >= FAILURES_MAX:
            return None
        if self._left is not None:
            self._left -= 1
        kind = next(self._next_kind)
        seed = self._sums.seeds.setdefault(kind, Seeds()).begin()
        self._sums.save()
        return Task(kind, seed, self._traces / f"{kind}-{seed}.txt", always_traced=self.is_replay)

    def took(self, report: Report) -> Failure | None:
        """A run has ended; the failure if it was one."""
        task, outcome = report.task, report.outcome
        one = Sum(runs=1, simulated_ms=report.simulated_ms)
        failure = None
        if outcome is not None:
            one.beyond_budget = int(outcome.beyond_budget)
            one.acknowledged = outcome.acknowledged
            one.faults, one.occurrences = outcome.struck, outcome.occurrences
        else:
            one.failures = 1
            failure = Failure(task.kind, task.seed, report.failure, str(report.trace or "could not be written"))
            self.failures.append(failure)
            self._sums.version.failures.append(failure)
        self.kinds[task.kind].add(one)
        self._sums.version.add(task.kind, one)
        self._sums.seeds[task.kind].ended(task.seed)
        self._sums.save()
        return failure


# What is shown.


def figures(one: Sum) -> str:
    """A sum as half a sentence."""
    said = (
        f"{one.runs:,} runs, {one.simulated_ms / MS_PER_HOUR:,.2f} simulated hours, {one.acknowledged:,} records acknowledged, "
    )
    return f"{said}{sum(one.faults.values()):,} faults, {one.failures:,} failures"


def counts(of: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(of.items(), key=lambda item: (-item[1], item[0]))) or "none"


def told(failure: Failure) -> list[str]:
    """A failure in lines."""
    return [
        f"FAILED  {failure.kind}, seed {failure.seed}: {failure.what}",
        f"        replay it: {replay_command(failure.kind, failure.seed)}",
        f"        what happened: {failure.trace}",
    ]


class Display:
    """Progress: renewed in place on a terminal, else a line now and then."""

    def __init__(self, terminal: Terminal, runs: Runs) -> None:
        self._terminal = terminal
        self._runs = runs
        self._live: Live | None = None
        self._due = runs.began + PLAIN_LINE_SECONDS

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        if not self._terminal.is_terminal:
            yield
            return
        # As wide as the window is: what is renewed in place must know where its lines break.
        with Live("", console=Console(highlight=False), auto_refresh=False, transient=True) as self._live:
            yield
        self._live = None

    def refresh(self) -> None:
        total = Sum.of(list(self._runs.kinds.values()))
        line = f"{self._runs.seconds:.0f} s: {figures(total)}"
        if self._live is not None:
            lines = [line, f"faults: {counts(total.faults)}", f"occurred: {counts(total.occurrences)}"]
            self._live.update("\n".join(lines), refresh=True)
        elif time.monotonic() >= self._due:
            self._due = time.monotonic() + PLAIN_LINE_SECONDS
            self._terminal.say(line)

    def failed(self, failure: Failure) -> None:
        for line in told(failure):
            if self._live is not None:
                self._live.console.print(line, markup=False, soft_wrap=True)
            else:
                self._terminal.say(line)


def show_sums(terminal: Terminal, kinds: dict[str, Sum]) -> None:
    """A table, and what happened how often."""
    table = plain_table("KIND", "RUNS", "FAILURES", "BEYOND-BUDGET", "SIMULATED-HOURS", "ACKNOWLEDGED", "FAULTS")
    total = Sum.of(list(kinds.values()))
    for kind, one in [*kinds.items(), ("all", total)]:
        hours, faults = one.simulated_ms / MS_PER_HOUR, sum(one.faults.values())
        numbers = (f"{one.runs:,}", f"{one.failures:,}", f"{one.beyond_budget:,}", f"{hours:,.2f}", f"{one.acknowledged:,}")
        table.add_row(kind, *numbers, f"{faults:,}")
    terminal.show(table)
    terminal.say(f"faults: {counts(total.faults)}")
    terminal.say(f"occurred: {counts(total.occurrences)}")


def show_kept(terminal: Terminal, sums: Sums) -> None:
    """What is kept: of this version of the code, and of others."""
    terminal.say(f"kept in {sums.path}:")
    terminal.say(f"  code {sums.version}: {figures(sums.version.total)}")
    for failure in sums.version.failures:
        for line in told(failure):
            terminal.say(f"    {line}")
    if sums.others:
        others = Sum.of([version.total for version in sums.others])
        several = f"{len(sums.others)} other versions of the code" if len(sums.others) > 1 else f"code {sums.others[0]}"
        terminal.say(f"  {several}: {figures(others)}")
        terminal.say(f"  all: {figures(Sum.of([sums.version.total, others]))}")


def show_replay(terminal: Terminal, report: Report) -> None:
    """A run that was asked for by its seed: all of it when it failed, else where all of it is."""
    if report.outcome is None and report.trace is not None:
        terminal.say(report.trace.read_text())
    elif report.outcome is not None:
        terminal.say(f"{report.task.kind}, seed {report.task.seed}: no violation; digest {report.outcome.digest}")
        terminal.say(f"        what happened: {report.trace or 'could not be written'}")


# The command.


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Signals that ask for an end are put down, and end nothing by themselves."""
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, frame: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_all(options: argparse.Namespace, terminal: Terminal, sums: Sums) -> Runs:
    """Run until it is enough, or until somebody ends it."""
    load_everything()
    runs = Runs(options, sums)
    display = Display(terminal, runs)
    with stop_signals() as came, Crew(options.processes) as crew, display.shown():
        while not came:
            while crew.has_room and (task := runs.next()) is not None:
                crew.begin(task)
            if not crew.is_busy:
                break
            for report in crew.reports(LOOK_SECONDS):
                failure = runs.took(report)
                if runs.is_replay:
                    show_replay(terminal, report)
                if failure is not None:
                    display.failed(failure)
            display.refresh()
    return runs


def run_and_show(options: argparse.Namespace, terminal: Terminal, sums: Sums) -> int:
    runs = run_all(options, terminal, sums)
    if not runs.is_replay:
        terminal.say(f"{runs.seconds:.0f} s, {options.processes} processes, code {sums.version}")
        show_sums(terminal, runs.kinds)
    if sums.path is not None:
        show_kept(terminal, sums)
    elif not runs.is_replay:
        for failure in runs.failures:
            for line in told(failure):
                terminal.say(line)
    return 1 if runs.failures else 0


def simulate(options: argparse.Namespace, terminal: Terminal) -> int:
    path = options.data / DIRECTORY / FILE
    version = this_version()
    if options.sums:
        sums = Sums.load(path, version)
        show_sums(terminal, sums.version.kinds)
        show_kept(terminal, sums)
        return 0
    if options.seed is not None:
        return run_and_show(options, terminal, Sums(None, version, seeds={kind: Seeds(options.seed) for kind in options.kind}))
    held = take(path.with_name("lock"))
    try:
        if options.fresh:
            path.unlink(missing_ok=True)
        return run_and_show(options, terminal, Sums.load(path, version))
    finally:
        held.release()


def main(argv: list[str] | None = None) -> int:
    options = parse(sys.argv[1:] if argv is None else argv)
    try:
        return simulate(options, Terminal())
    except Held as error:
        why = f"another ./board simulate (process {error.pid}) runs on {options.data}"
    except OSError as error:
        why = f"{options.data} cannot be used: {error.strerror}; choose another with --data DIR"
    except DemoError as error:
        why = str(error)
    Terminal(stderr=True).say(f"board: {why}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
