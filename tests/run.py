"""`./board test`: runs every suite as a pytest process of its own and adds up what they say.

The services are separate Django programs, so one pytest process cannot hold them all. Owns: the list of suites and their
kinds, the count per kind, and which parts did not run. With BOARD_REQUIRE_ALL=1 (set by .ci/run) whatever did not run
is a failure. The last line is pytest's own form: `N passed in S s`.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SUITE_TIMEOUT_SECONDS = 40 * 60


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
    not_run: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def run_suite(suite: Suite, arguments: list[str]) -> Outcome:
    """One pytest process, shown while it runs; its figures come from its junit file."""
    print(f"\n== {suite.name} ({suite.kind}) ==", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.xml"
        command = [sys.executable, "-m", "pytest", suite.path, f"--junitxml={report}", "-q", *arguments]
        try:
            code = subprocess.run(command, cwd=ROOT, timeout=SUITE_TIMEOUT_SECONDS, check=False).returncode
        except subprocess.TimeoutExpired:
            return Outcome(failed=1, failures=[f"{suite.name}: not finished within {SUITE_TIMEOUT_SECONDS} s"])
        outcome = read_report(suite, report)
    # 5: nothing was selected (by -k, for instance). Any other code without a failed test is a crash of pytest itself.
    if code not in (0, 1, 5) or (code == 1 and not outcome.failed):
        outcome.failed += 1
        outcome.failures.append(f"{suite.name}: pytest ended with status {code}")
    return outcome


def read_report(suite: Suite, report: Path) -> Outcome:
    outcome = Outcome()
    if not report.exists():
        return outcome
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{suite.name}: {case.get('classname', '')}::{case.get('name', '')}"
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            outcome.failed += 1
            outcome.failures.append(name)
        elif skipped is not None:
            outcome.not_run.append(f"{name} ({skipped.get('message', '')})")
        else:
            outcome.passed += 1
    return outcome


def parse(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(prog="./board test", description="Run the tests. What is not known here goes to pytest.")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"default: all of {', '.join(suite.name for suite in SUITES)}")
    arguments, rest = parser.parse_known_args(argv)
    unknown = sorted(set(arguments.suites) - {suite.name for suite in SUITES} - {suite.kind for suite in SUITES})
    if unknown:
        parser.error(f"no such suite: {', '.join(unknown)}")
    return arguments, rest


def print_summary(outcomes: dict[Suite, Outcome], *, require_all: bool) -> None:
    print("\n== summary ==")
    for outcome in outcomes.values():
        for name in outcome.failures:
            print(f"FAILED  {name}")
        for name in outcome.not_run:
            print(f"{'FAILED, ' if require_all else ''}not run  {name}")
    for kind in dict.fromkeys(suite.kind for suite in outcomes):
        passed = sum(outcome.passed for suite, outcome in outcomes.items() if suite.kind == kind)
        print(f"{kind:12} {passed:6} passed")


def main(argv: list[str]) -> int:
    arguments, rest = parse(argv)
    chosen = [s for s in SUITES if not arguments.suites or s.name in arguments.suites or s.kind in arguments.suites]
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
    sys.exit(main(sys.argv[1:]))
