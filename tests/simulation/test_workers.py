"""Runs in processes: each comes back as a report, whatever happens within it."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from simulation import workers
from simulation.ledger import InvariantBroken
from simulation.scenario import Outcome, Scenario, run
from simulation.workers import Crew, Report, Task
from waiting import wait_until

TIMEOUT_SECONDS = 60.0
Prepare = Callable[[Scenario], None]


def outcome(seed: int) -> Outcome:
    return Outcome(f"digest of {seed}", acknowledged=seed)


def reports(directory: Path, seeds: list[int], count: int = 2) -> dict[int, Report]:
    """What a crew says of these seeds, by the seed."""
    found: dict[int, Report] = {}
    left = list(seeds)
    deadline = time.monotonic() + TIMEOUT_SECONDS
    with Crew(count) as crew:
        while len(found) < len(seeds):
            assert time.monotonic() < deadline
            while left and crew.has_room:
                seed = left.pop(0)
                crew.begin(Task("process", seed, directory / f"{seed}.txt"))
            found |= {report.task.seed: report for report in crew.reports(1)}
        assert not crew.is_busy
    return found


def plant(monkeypatch: pytest.MonkeyPatch, behaviour: Callable[[int, Prepare], Outcome]) -> None:
    """What a run does instead; forks take it over."""

    def planted(seed: int, kind: str, prepare: Prepare) -> Outcome:
        return behaviour(seed, prepare)

    monkeypatch.setattr(workers, "run", planted)


def test_every_seed_comes_back_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, lambda seed, prepare: outcome(seed))
    found = reports(tmp_path, list(range(20)), count=3)
    assert {seed: report.outcome for seed, report in found.items()} == {seed: outcome(seed) for seed in range(20)}
    assert list(tmp_path.iterdir()) == []


def test_a_run_in_a_worker_is_the_run_of_its_seed(tmp_path: Path) -> None:
    """Also when the worker has run others before."""
    found = reports(tmp_path, [1, 0], count=1)
    assert found[0].outcome == run(0, "process")
    assert found[0].simulated_ms == found[0].outcome.simulated_ms > 18_000


def test_a_broken_invariant_is_told_in_one_line_and_traced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def behaviour(seed: int, prepare: Prepare) -> Outcome:
        scenario = Scenario(seed)
        prepare(scenario)
        scenario.simulation.run_until(2500)
        raise InvariantBroken("it does not fit\nand more")

    plant(monkeypatch, behaviour)
    report = reports(tmp_path, [5])[5]
    assert (report.outcome, report.failure, report.simulated_ms) == (None, "it does not fit", 2500)
    assert report.trace == tmp_path / "5.txt"
    lines = report.trace.read_text().splitlines()
    assert lines[:2] == ["kind process, seed 5", "replay it: ./board simulate --kind process --seed 5"]
    assert lines[3] == "    0.000 broker-1: starts, life 1"
    assert len(lines) > 100
    assert lines[-1] == "it does not fit"


def test_an_error_nobody_expects_is_a_failure_with_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def behaviour(seed: int, prepare: Prepare) -> Outcome:
        if seed == 1:
            raise KeyError("partition")
        return outcome(seed)

    plant(monkeypatch, behaviour)
    found = reports(tmp_path, [0, 1, 2], count=1)
    assert found[1].failure == "KeyError: 'partition'"
    assert "in behaviour" in (tmp_path / "1.txt").read_text()
    assert [found[seed].failure for seed in (0, 2)] == ["", ""]


def test_a_worker_that_dies_is_a_failed_run_and_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def behaviour(seed: int, prepare: Prepare) -> Outcome:
        if seed == 1:
            os._exit(7)
        return outcome(seed)

    plant(monkeypatch, behaviour)
    found = reports(tmp_path, [0, 1, 2, 3], count=1)
    assert found[1].failure == "the process ended with status 7 in the midst of the run"
    assert [found[seed].failure for seed in (0, 2, 3)] == ["", "", ""]


def test_a_run_without_an_end_is_ended_whatever_it_catches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def behaviour(seed: int, prepare: Prepare) -> Outcome:
        while True:
            with contextlib.suppress(Exception):  # as a handler of the broker may
                sum(range(100))

    monkeypatch.setattr(workers, "RUN_SECONDS_MAX", 0.3)
    plant(monkeypatch, behaviour)
    assert reports(tmp_path, [0])[0].failure == "the run has not ended within 0.3 s of processor time"


def test_a_trace_without_room_fails_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def behaviour(seed: int, prepare: Prepare) -> Outcome:
        raise InvariantBroken("it does not fit")

    (tmp_path / "file").write_text("")
    plant(monkeypatch, behaviour)
    report = reports(tmp_path / "file", [0])[0]
    assert (report.failure, report.trace) == ("it does not fit", None)


def test_workers_do_not_outlive_the_process_of_their_crew() -> None:
    """It is killed, and can say nothing to them."""
    code = (
        "import time; from simulation.workers import Crew; crew = Crew(2);"
        "print(*(worker.process.pid for worker in crew._free), flush=True); time.sleep(1000)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(workers.__file__).parents[1])}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert len(pids) == 2
        process.kill()
    wait_until(lambda: not any(is_running(pid) for pid in pids), "the workers to end")


def is_running(pid: int) -> bool:
    """Whether a process is there; one that nobody has waited for yet is none any more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_crew_ends_with_its_runs_unfinished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def behaviour(seed: int, prepare: Prepare) -> Outcome:
        time.sleep(1000)
        raise AssertionError

    plant(monkeypatch, behaviour)
    crew: Any = Crew(2)
    with crew:
        crew.begin(Task("process", 0, tmp_path / "0.txt"))
        assert crew.reports(0) == []
        processes = [worker.process for worker in (*crew._free, *crew._busy.values())]
        assert len(processes) == 2
    assert not any(process.is_alive() for process in processes)
