"""A whole cluster with clients under faults, seed by seed: everything that was promised holds (`cluster_ledger`, `audit`).

The seeds that were chosen are run in as many processes as there are cores; each is a test all the same.
"""

from collections import Counter
from collections.abc import Iterator

import pytest
from simulation.scenario import Outcome
from simulation.workers import Crew, Report, Task, cores, load_everything

SEEDS = {"cluster": 80, "cluster-pipelined": 30, "cluster-disk": 80, "cluster-beyond": 20}
RUNS = [pytest.param(kind, seed, id=f"{kind}-{seed}") for kind, count in SEEDS.items() for seed in range(count)]
# What a suite must have seen.
OCCURRENCES = (
    "truncation by epoch",
    "ISR shrink",
    "ISR expand",
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
    "duplicate answered as one",
    "FetchSnapshot",
    "controller change while fencing",
    "the dead one was the controller",
    "election from the ELR",
    "coordinator move",
)
# So few seeds show each of them.
SEEN_IN = [*(("cluster", seed) for seed in range(8)), *(("cluster-beyond", seed) for seed in range(8))]
LINES_SHOWN = 8_000


Run = tuple[str, int]
WAIT_SECONDS = 1.0


class Runs:
    """Runs of the chosen seeds, in the order of the tests."""

    def __init__(self, crew: Crew, left: list[Task]) -> None:
        self._crew = crew
        self._left = left
        self._reports: dict[Run, Report] = {}

    def outcome(self, kind: str, seed: int) -> Outcome:
        """What a run came to; the test fails with the last lines of its trace when something was broken."""
        while (kind, seed) not in self._reports:
            while self._left and self._crew.has_room:
                self._crew.begin(self._left.pop(0))
            for report in self._crew.reports(WAIT_SECONDS):
                self._reports[report.task.kind, report.task.seed] = report
        report = self._reports[kind, seed]
        if report.outcome is None:
            pytest.fail(report.trace.read_text()[-LINES_SHOWN:] if report.trace is not None else report.failure, pytrace=False)
        return report.outcome


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    traces = tmp_path_factory.mktemp("traces")
    chosen: dict[Run, None] = {}
    for item in request.session.items:
        if isinstance(item, pytest.Function) and item.module is request.module:
            parameters = item.callspec.params if hasattr(item, "callspec") else {}
            wanted = [(parameters["kind"], parameters["seed"])] if "seed" in parameters else SEEN_IN
            chosen |= dict.fromkeys(wanted)
    load_everything()
    with Crew(cores()) as crew:
        yield Runs(crew, [Task(kind, seed, traces / f"{kind}-{seed}.txt") for kind, seed in chosen])


@pytest.mark.parametrize(("kind", "seed"), RUNS)
def test_what_was_promised_holds(kind: str, seed: int, runs: Runs) -> None:
    outcome = runs.outcome(kind, seed)
    # It was a run worth the name.
    assert outcome.simulated_ms >= 60_000
    assert sum(outcome.struck.values()) >= 10
    assert outcome.acknowledged >= 500
    assert outcome.commits >= 20
    assert outcome.looks >= 10
    assert outcome.topics >= 3
    if kind != "cluster-beyond":
        assert (outcome.beyond_budget, outcome.lost) == (False, 0)


def test_everything_that_is_dangerous_has_happened(runs: Runs) -> None:
    """What is not seen is not tested."""
    seen: Counter[str] = Counter()
    for kind, seed in SEEN_IN:
        seen.update(runs.outcome(kind, seed).occurrences)
    assert [name for name in OCCURRENCES if not seen[name]] == []


def test_more_than_the_budget_is_counted_apart(runs: Runs) -> None:
    """Power cuts of several replicas at a time lose what was acknowledged: the run says so, and ends in order all the same."""
    outcomes = [runs.outcome(kind, seed) for kind, seed in SEEN_IN if kind == "cluster-beyond"]
    assert any(outcome.beyond_budget for outcome in outcomes)
    assert all(outcome.beyond_budget for outcome in outcomes if outcome.lost)
