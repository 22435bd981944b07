"""Runs of the simulation in processes of their own, one at a time in each; what each came to comes back as a `Report`.

A worker is a fork: it has the code that was there at the start, whatever is edited meanwhile. One that dies, or that takes
more processor time than any run should, is a failed run. Not here: which seeds are run, and what is kept.
"""

import importlib
import logging
import multiprocessing
import os
import pkgutil
import signal
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from types import FrameType

from simulation.ledger import InvariantBroken
from simulation.scenario import Outcome, Scenario, run
from simulation.trace import replay_command

import broker

# Of processor time, for one run: some hundred times what one takes.
RUN_SECONDS_MAX = 600
# Of the broker, what a simulated one never loads.
NOT_SIMULATED = ("broker.cli", "broker.testing")
# How often a worker without a task looks whether its crew is still there.
CREW_SECONDS = 1.0
CONTEXT = multiprocessing.get_context("fork")


class TookTooLong(BaseException):
    """A run is out of its time. No Exception, so that no code under test takes it for its own."""


@dataclass(frozen=True)
class Task:
    """A run to do. `trace`: where its trace goes when it fails, or always."""

    kind: str
    seed: int
    trace: Path
    always_traced: bool = False


@dataclass(frozen=True)
class Report:
    """What a run came to: an outcome, or what was broken in one line. `trace` is None where none was written."""

    task: Task
    simulated_ms: int
    outcome: Outcome | None
    failure: str = ""
    trace: Path | None = None


def load_everything() -> None:
    """Load what the broker else loads on first use, so that every worker has the same."""
    for module in pkgutil.walk_packages(broker.__path__, "broker."):
        if not module.name.startswith(NOT_SIMULATED):
            importlib.import_module(module.name)


def do(task: Task) -> Report:
    """Run one seed."""
    scenarios: list[Scenario] = []

    def prepare(scenario: Scenario) -> None:
        scenario.simulation.trace.keep_all()
        scenarios.append(scenario)

    outcome, failure, details = None, "", ""
    signal.setitimer(signal.ITIMER_PROF, RUN_SECONDS_MAX)
    try:
        outcome = run(task.seed, task.kind, prepare)
    except InvariantBroken as error:
        failure = str(error).partition("\n")[0]
    except TookTooLong:
        failure, details = f"the run has not ended within {RUN_SECONDS_MAX} s of processor time", traceback.format_exc()
    except Exception as error:  # noqa: BLE001 - whatever the code under test lets through is a failure of the run
        failure, details = f"{type(error).__name__}: {error}".partition("\n")[0], traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    simulated_ms = scenarios[0].simulation.clock.now_ms if scenarios else 0
    if not failure and not task.always_traced:
        return Report(task, simulated_ms, outcome)
    lines = scenarios[0].simulation.trace.lines if scenarios else ()
    return Report(task, simulated_ms, outcome, failure, write_trace(task, lines, failure, details))


def write_trace(task: Task, lines: Iterable[str], failure: str, details: str) -> Path | None:
    """A readable line for everything that happened, and at last what was broken; None when there is no room for it."""
    command = replay_command(task.kind, task.seed)
    text = [f"kind {task.kind}, seed {task.seed}", f"replay it: {command}", "", *lines, "", details, failure or "no violation"]
    try:
        task.trace.parent.mkdir(parents=True, exist_ok=True)
        task.trace.write_text("\n".join(text) + "\n")
    except OSError:
        return None
    return task.trace


def _work(connection: Connection, crew_pid: int) -> None:
    """A worker's life: tasks come, reports go, until the other end is closed, or the crew's process is gone.

    The latter has to be looked at: workers that were forked later hold the other end as well.
    """
    # Ctrl-C, and a signal to the group, reach every process; the first one ends the others, with what they are at.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, _out_of_time)
    logging.getLogger("broker").setLevel(logging.CRITICAL)
    while True:
        try:
            while not connection.poll(CREW_SECONDS):
                if os.getppid() != crew_pid:
                    return
            connection.send(do(connection.recv()))
        except (EOFError, BrokenPipeError):
            return


def _out_of_time(number: int, frame: FrameType | None) -> None:
    raise TookTooLong


class Crew:
    """Several workers. A context: they end with it, whatever they do."""

    def __init__(self, count: int) -> None:
        self._free = [_Worker() for _ in range(count)]
        self._busy: dict[Connection, _Worker] = {}

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        everybody = [*self._free, *self._busy.values()]
        for worker in everybody:
            worker.process.kill()
        for worker in everybody:
            worker.process.join()
            worker.connection.close()

    @property
    def has_room(self) -> bool:
        return bool(self._free)

    @property
    def is_busy(self) -> bool:
        return bool(self._busy)

    def begin(self, task: Task) -> None:
        """Give a task to a free worker."""
        worker = self._free.pop()
        worker.task = task
        worker.connection.send(task)
        self._busy[worker.connection] = worker

    def reports(self, timeout_seconds: float) -> list[Report]:
        """What has come by now, or comes first; nothing at a time-out."""
        return [self._take(self._busy[one]) for one in wait(list(self._busy), timeout_seconds) if isinstance(one, Connection)]

    def _take(self, worker: "_Worker") -> Report:
        del self._busy[worker.connection]
        task = worker.task
        assert task is not None, "only a worker with a task is waited for"
        try:
            report = worker.connection.recv()
            assert isinstance(report, Report)
            self._free.append(worker)
        except (EOFError, ConnectionResetError):
            worker.connection.close()
            worker.process.join()
            failure = f"the process ended with status {worker.process.exitcode} in the midst of the run"
            report = Report(task, 0, None, failure, write_trace(task, (), failure, ""))
            self._free.append(_Worker())
        return report


class _Worker:
    """One process, and this side's end of what connects with it."""

    def __init__(self) -> None:
        self.task: Task | None = None
        self.connection, theirs = CONTEXT.Pipe()
        self.process: ForkProcess = CONTEXT.Process(target=_work, args=(theirs, os.getpid()), daemon=True)
        self.process.start()
        theirs.close()


def cores() -> int:
    """How many processes can run at a time here."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
