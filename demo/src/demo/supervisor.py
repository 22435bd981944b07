"""One process that starts the board's processes in order, restarts what dies, and ends all of them in order.

Single-threaded: signals set a flag, the loop reaps, restarts with back-off, and writes the state file on every change.
Whatever happens, `run` ends with no child left. Not done: limits on memory or CPU; log rotation.
"""

import contextlib
import errno
import os
import signal
import subprocess
import time
from collections.abc import Callable

from demo import lock, prepare
from demo.child import Child
from demo.layout import SERVICES_WITH_DATABASE, STOP_TIMEOUT_SECONDS, DemoError, Layout
from demo.preconditions import check_brokers, check_data_directory, check_ports
from demo.state import State

POLL_SECONDS = 0.05
READY_TIMEOUT_SECONDS = 60.0
# A child that dies this often in a row before it is ready does not start at all: `up` gives up with the end of its log;
# a board that was ready says so once and goes on trying.
FAILED_STARTS_MAX = 3
BACKOFF_FIRST_SECONDS = 0.5
BACKOFF_MAX_SECONDS = 10.0
# A child that lived this long starts again with the first back-off.
HEALTHY_SECONDS = 30.0

Say = Callable[[str], None]


class Stopped(Exception):
    """SIGTERM, SIGHUP or Ctrl-C arrived."""


class Supervisor:
    """The life of one embedded board."""

    def __init__(self, layout: Layout, say: Say) -> None:
        self.layout = layout
        self.say = say
        self.children: list[Child] = []
        self.state = State(
            pid=os.getpid(), port_base=layout.port_base, external_broker=layout.external_broker, brokers=layout.brokers
        )
        self._stop_requested = False
        self._state_is_written = True

    def run(self, on_ready: Callable[[], None]) -> None:
        """Start everything, watch until SIGTERM or Ctrl-C, stop everything. Raises DemoError when it cannot start."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._request_stop)
        check_data_directory(self.layout)
        check_brokers(self.layout)
        held = take_lock(self.layout)
        try:
            self._start()
            self.state.phase = "ready"
            self._save()
            on_ready()
            while True:
                self._tick()
        except Stopped:
            self.say("stopping")
        except OSError as error:
            raise DemoError(_explain(error)) from error
        finally:
            self._stop_all()
            for path in (self.layout.state_file, self.layout.state_file.with_suffix(".tmp")):
                with contextlib.suppress(OSError):
                    path.unlink()
            held.release()

    def _request_stop(self, number: int, frame: object) -> None:
        self._stop_requested = True

    def _start(self) -> None:
        check_ports(self.layout)
        prepare.name_cluster(self.layout)
        for spec in self.layout.processes():
            self.children.append(Child(spec, self.layout.log_directory / f"{spec.name.replace(' ', '-')}.log"))
        self.state.processes = [child.state for child in self.children]
        self._save()
        for stage in sorted({child.spec.stage for child in self.children}):
            for child in self.children:
                if child.spec.stage == stage:
                    self.say(f"starting {child.spec.name}")
                    child.start()
            if stage == 0:
                for service in SERVICES_WITH_DATABASE:
                    self.say(f"migrating {service}")
                    prepare.migrate(self.layout, service, self.raise_if_stopped)
            self._wait_ready()
            if stage == 0:
                self.say(f"creating topics on {self.layout.bootstrap_servers}")
                prepare.create_topics(self.layout.bootstrap_servers, self.raise_if_stopped)
                prepare.check_cluster(self.layout)

    def _wait_ready(self) -> None:
        """Until all that were started are ready; DemoError with the end of a log when one is not."""
        deadline = time.monotonic() + READY_TIMEOUT_SECONDS
        while waiting := [child for child in self.children if child.state.status not in ("waiting", "ready")]:
            self.raise_if_stopped()
            self._reap(starting=True)
            self._note_ready()
            if time.monotonic() > deadline:
                child = waiting[0]
                raise DemoError(f"{child.spec.name} was not ready within {READY_TIMEOUT_SECONDS:.0f} s; {_tail(child)}")
            time.sleep(POLL_SECONDS)

    def _tick(self) -> None:
        self.raise_if_stopped()
        self._reap(starting=False)
        if not self._state_is_written:
            self._save()
        for child in self._note_ready():
            self.say(f"{child.spec.name} is ready again")
        time.sleep(POLL_SECONDS * 2)

    def _note_ready(self) -> list[Child]:
        """Those that have become ready since the last look."""
        became_ready = [child for child in self.children if child.state.status == "starting" and child.is_ready()]
        for child in became_ready:
            child.state.status, child.failed_starts = "ready", 0
        if became_ready:
            self._save()
        return became_ready

    def _reap(self, *, starting: bool) -> None:
        """Notice dead children, and start again those whose back-off has passed."""
        now = time.monotonic()
        for child in self.children:
            if child.restart_at is None:
                how = child.end_of()
                if how is not None:
                    self._died(child, how, now, starting=starting)
            elif now >= child.restart_at:
                try:
                    child.start()
                except OSError as error:  # no room for its log, for instance
                    self._died(child, _explain(error), now, starting=starting)
                self._save()

    def _died(self, child: Child, how: str, now: float, *, starting: bool) -> None:
        if child.state.status != "ready":
            child.failed_starts += 1
        if starting and child.failed_starts >= FAILED_STARTS_MAX:
            raise DemoError(f"{child.spec.name} does not start ({how}); {_tail(child)}")
        was_healthy = child.backoff_seconds == 0 or now - child.started_at > HEALTHY_SECONDS
        child.backoff_seconds = BACKOFF_FIRST_SECONDS if was_healthy else min(child.backoff_seconds * 2, BACKOFF_MAX_SECONDS)
        child.restart_at = now + child.backoff_seconds
        child.state.status, child.state.pid = "restarting", None
        child.state.restarts += 1
        self.say(f"{child.spec.name} died ({how}); starting it again in {child.backoff_seconds:g} s; log: {child.log_path}")
        if child.failed_starts == FAILED_STARTS_MAX:
            self.say(f"{child.spec.name} dies at every start and is tried on; {_tail(child)}")
        self._save()

    def _stop_all(self) -> None:
        """SIGTERM, newest first; what does not end within its time is killed and named. Never raises."""
        self.state.phase = "stopping"
        self._save()
        for stages in ((2, 1), (0,)):  # web and workers end together, then what they stand on
            members = [child for child in self.children if child.spec.stage in stages]
            for child in members:
                child.signal(signal.SIGTERM)
                child.signal(signal.SIGCONT)  # a stopped process must go on to end
            deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
            for child in members:
                self._wait_ended(child, deadline)

    def _wait_ended(self, child: Child, deadline: float) -> None:
        if child.process is None:
            return
        try:
            child.process.wait(max(POLL_SECONDS, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.say(f"{child.spec.name} did not end within {STOP_TIMEOUT_SECONDS:g} s and is killed")
            child.signal(signal.SIGKILL)
            child.process.wait()
        child.state.status, child.state.pid = "stopped", None

    def raise_if_stopped(self) -> None:
        if self._stop_requested:
            raise Stopped

    def _save(self) -> None:
        try:
            self.state.save(self.layout.state_file)
            self._state_is_written = True
        except OSError as error:
            if self._state_is_written:  # said once, not at every change
                self.say(f"cannot write {self.layout.state_file}, ./board status is out of date: {error.strerror}")
            self._state_is_written = False


def take_lock(layout: Layout) -> lock.Lock:
    """Claim the data directory for this process; DemoError names the holder."""
    try:
        return lock.take(layout.lock_file)
    except lock.Held as held:
        raise already_running(layout, held.pid) from None
    except OSError as error:
        raise DemoError(f"{layout.lock_file} cannot be written: {_explain(error)}") from error


def already_running(layout: Layout, pid: int) -> DemoError:
    return DemoError(
        f"a board already runs on {layout.data} (process {pid}); end it with ./board down, "
        "or use another data directory with --data DIR"
    )


def _tail(child: Child) -> str:
    return f"the end of {child.log_path}:\n{child.log_tail()}"


def _explain(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return f"the disk is full ({error.filename or 'while writing'}); free some space and start again"
    return str(error)
