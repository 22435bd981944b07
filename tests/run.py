"""`./board test`: runs every suite as a pytest process of its own and adds up what they say.

The services are separate Django programs, so one pytest process cannot hold them all. Owns: the list of suites and their
kinds, the count and the wall time per suite and kind, and which parts did not run. A suite without a directory, or
without a single test when nothing is deselected, is a failure. With BOARD_REQUIRE_ALL=1 (set by .ci/run) whatever did not
run is a failure as well. The last line is pytest's own form: `N passed in S s`.
"""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SUITE_TIMEOUT_SECONDS = 40 * 60
END_SECONDS = 30
# pytest's exit status when no test was found or selected.
NOTHING_COLLECTED = 5


@dataclass(frozen=True)
class Suite:
    """One pytest process."""

    name: str
    kind: str
    path: str


SUITES = (
    Suite("tidy", "unit", "tests/tidy"),
    Suite("broker", "unit", "broker/tests"),
    Suite("events", "unit", "libs/events"),
    Suite("demo", "unit", "demo/tests"),
    Suite("servicekit", "services", "libs/servicekit"),
    Suite("article", "services", "services/article"),
    Suite("comment", "services", "services/comment"),
    Suite("popular", "services", "services/popular"),
    Suite("read-view", "services", "services/read-view"),
    Suite("simulation", "simulation", "tests/simulation"),
    Suite("fuzz", "fuzz", "tests/fuzz"),
    Suite("crash", "crash", "tests/crash"),
    Suite("conformance", "conformance", "tests/conformance"),
    Suite("e2e", "end to end", "tests/e2e"),
    Suite("compose", "compose", "tests/compose"),
)


@dataclass
class Outcome:
    """What one suite said."""

    passed: int = 0
    failed: int = 0
    seconds: float = 0.0
    not_run: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def fail(self, what: str) -> None:
        self.failed += 1
        self.failures.append(what)


def run_suite(suite: Suite, arguments: list[str]) -> Outcome:
    """One pytest process, shown while it runs; its figures come from its junit file."""
    print(f"\n== {suite.name} ({suite.kind}) ==", flush=True)
    outcome = Outcome()
    if not (ROOT / suite.path).is_dir():
        outcome.fail(f"{suite.name}: there is no directory {suite.path}")
        return outcome
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.xml"
        command = [sys.executable, "-m", "pytest", suite.path, f"--junitxml={report}", "-q", *arguments]
        code = _call(command)
        read_report(suite, report, outcome)
    outcome.seconds = time.monotonic() - began
    if code is None:
        outcome.fail(f"{suite.name}: not finished within {SUITE_TIMEOUT_SECONDS} s")
    elif code == NOTHING_COLLECTED:
        if not arguments:
            outcome.fail(f"{suite.name}: {suite.path} holds no test")
    elif code not in (0, 1) or (code == 1 and not outcome.failed):
        outcome.fail(f"{suite.name}: pytest ended with status {code}")
    return outcome


def _call(command: list[str]) -> int | None:
    """Exit status; None when it took too long. Whatever ends this process, pytest and all it started end with it."""
    # In a session of its own it can be ended with its children; at a terminal it has to stay, for Ctrl-C and a debugger.
    own_session = not sys.stdin.isatty()
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=own_session)
    try:
        return process.wait(SUITE_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        return None
    finally:
        for number in (signal.SIGINT, signal.SIGKILL):  # SIGINT first, so that fixtures end what they started
            if process.poll() is None:
                os.killpg(process.pid, number) if own_session else process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(END_SECONDS)


def read_report(suite: Suite, report: Path, outcome: Outcome) -> None:
    """Add up the cases of a junit file; none when pytest did not come to writing it."""
    if not report.exists():
        return
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{suite.name}: {case.get('classname', '')}::{case.get('name', '')}"
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            outcome.fail(name)
        elif skipped is not None:
            outcome.not_run.append(f"{name} ({skipped.get('message', '')})")
        else:
            outcome.passed += 1


def parse(argv: list[str]) -> tuple[list[Suite], list[str]]:
    """The suites that were asked for, and what is handed on to pytest: everything from the first option on."""
    names = list(itertools.takewhile(lambda argument: not argument.startswith("-"), argv))
    rest = argv[len(names) :]
    known = {suite.name for suite in SUITES} | {suite.kind for suite in SUITES}
    unknown = sorted(set(names) - known)
    if unknown or rest[:1] in (["-h"], ["--help"]):
        print(__doc__ if not unknown else f"no such suite: {', '.join(unknown)}")
        print("usage: ./board test [SUITE…] [pytest's options]")
        print("suites: " + ", ".join(f"{suite.name} ({suite.kind})" for suite in SUITES))
        sys.exit(2 if unknown else 0)
    return [suite for suite in SUITES if not names or suite.name in names or suite.kind in names], rest


def print_summary(outcomes: dict[Suite, Outcome], *, require_all: bool) -> None:
    print("\n== summary ==")
    for outcome in outcomes.values():
        for name in outcome.failures:
            print(f"FAILED  {name}")
        for name in outcome.not_run:
            print(f"{'FAILED, ' if require_all else ''}not run  {name}")
    for suite, outcome in outcomes.items():
        print(f"suite {suite.name:12} {outcome.passed:6} passed  {outcome.failed:4} failed {outcome.seconds:7.1f} s")
    for kind in dict.fromkeys(suite.kind for suite in outcomes):
        of_kind = [outcome for suite, outcome in outcomes.items() if suite.kind == kind]
        print(f"kind  {kind:12} {sum(o.passed for o in of_kind):6} passed")


def main(argv: list[str]) -> int:
    chosen, rest = parse(argv)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    began = time.monotonic()
    outcomes = {suite: run_suite(suite, rest) for suite in chosen}
    require_all = os.environ.get("BOARD_REQUIRE_ALL") == "1"
    print_summary(outcomes, require_all=require_all)
    passed = sum(outcome.passed for outcome in outcomes.values())
    not_run = sum(len(outcome.not_run) for outcome in outcomes.values())
    failed = sum(outcome.failed for outcome in outcomes.values()) + (not_run if require_all else 0)
    parts = [f"{failed} failed"] if failed else []
    parts += [f"{not_run} not run"] if not_run and not require_all else []
    print(f"{', '.join([*parts, f'{passed} passed'])} in {time.monotonic() - began:.0f} s")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
