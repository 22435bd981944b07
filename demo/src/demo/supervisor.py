"""One process that starts the board's processes in order, restarts what dies, and ends all of them in order.

Single-threaded: signals set a flag, the loop reaps, restarts with back-off, and writes the state file on every change.
Children live in sessions of their own (Ctrl-C reaches the supervisor alone) and die with it even when it is killed -9.
Not done: limits on memory or CPU; log rotation.
"""

import contextlib
import ctypes
import errno
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from demo import prepare
from demo.layout import HOST, SERVICES_WITH_DATABASE, STOP_TIMEOUT_SECONDS, DemoError, Layout, ProcessSpec
from demo.state import ProcessState, State, take_lock

POLL_SECONDS = 0.05
READY_TIMEOUT_SECONDS = 60.0
READY_PROBE_TIMEOUT_SECONDS = 2.0
START_ATTEMPTS_MAX = 3
BACKOFF_FIRST_SECONDS = 0.5
BACKOFF_MAX_SECONDS = 10.0
# A child that lived this long starts again with the first back-off.
HEALTHY_SECONDS = 30.0
FREE_BYTES_MIN = 64 * 1024 * 1024
LOG_TAIL_LINES = 8
PR_SET_PDEATHSIG = 1

Say = Callable[[str], None]


class Stopped(Exception):
    """SIGTERM or Ctrl-C arrived."""


class Child:
    """One process of the board through all its restarts."""

    def __init__(self, spec: ProcessSpec, log_path: Path) -> None:
        self.spec = spec
        self.log_path = log_path
        self.state = ProcessState(spec.name)
        self.process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        self.restart_at: float | None = None
        self.backoff_seconds = BACKOFF_FIRST_SECONDS
        self.failed_starts = 0

    def start(self) -> None:
        self.spec.cwd.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.spec.command,
                cwd=self.spec.cwd,
                env=self.spec.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - the supervisor has one thread
            )
        self.started_at = time.monotonic()
        self.restart_at = None
        self.state.status, self.state.pid = "starting", self.process.pid

    def is_ready(self) -> bool:
        """Whether it answers: its readiness URL, or else its port."""
        if self.spec.ready_url is None:
            return _port_answers(self.spec.port)
        try:
            with urllib.request.urlopen(self.spec.ready_url, timeout=READY_PROBE_TIMEOUT_SECONDS):
                return True
        except (urllib.error.URLError, TimeoutError, ConnectionError, OSError):
            return False

    def signal(self, number: int) -> None:
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def log_tail(self) -> str:
        try:
            lines = self.log_path.read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(f"    {line}" for line in lines[-LOG_TAIL_LINES:])


class Supervisor:
    """The life of one embedded board."""

    def __init__(self, layout: Layout, say: Say) -> None:
        self.layout = layout
        self.say = say
        self.children: list[Child] = []
        self.state = State(pid=os.getpid(), port_base=layout.port_base)
        self._stop_requested = False

    def run(self, on_ready: Callable[[], None]) -> None:
        """Start everything, watch until SIGTERM or Ctrl-C, stop everything. Raises DemoError when it cannot start."""
        self._check_disk()
        lock = take_lock(self.layout)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._request_stop)
        try:
            self._start()
            self.state.phase = "ready"
            self._save()
            on_ready()
            while True:
                self._tick()
        except Stopped:
            self.say("stopping")
        except (DemoError, OSError) as error:
            self.state.phase, self.state.error = "failed", _explain(error)
            raise DemoError(self.state.error) from error
        finally:
            self._stop_all()
            lock.close()

    def _request_stop(self, number: int, frame: object) -> None:
        self._stop_requested = True

    def _start(self) -> None:
        self.layout.log_directory.mkdir(parents=True, exist_ok=True)
        self._check_ports()
        for spec in self.layout.processes():
            self.children.append(Child(spec, self.layout.log_directory / f"{spec.name.replace(' ', '-')}.log"))
        self.state.processes = [child.state for child in self.children]
        self._save()
        for stage in sorted({child.spec.stage for child in self.children}):
            members = [child for child in self.children if child.spec.stage == stage]
            for child in members:
                self.say(f"starting {child.spec.name}")
                child.start()
            if stage == 0:
                self._migrate()
            self._wait_ready(members)
            if stage == 0:
                self.say("creating topics")
                prepare.create_topics(self.layout.bootstrap_servers)

    def _migrate(self) -> None:
        for service in SERVICES_WITH_DATABASE:
            self.say(f"migrating {service}")
            (self.layout.data / service).mkdir(parents=True, exist_ok=True)
            prepare.migrate(self.layout, service)
            self._raise_if_stopped()

    def _wait_ready(self, members: list[Child]) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_SECONDS
        waiting = list(members)
        while waiting:
            self._raise_if_stopped()
            self._reap(starting=True)
            for child in list(waiting):
                if child.state.status == "starting" and child.is_ready():
                    child.state.status = "ready"
                    waiting.remove(child)
                    self._save()
            if waiting and time.monotonic() > deadline:
                child = waiting[0]
                raise DemoError(
                    f"{child.spec.name} was not ready within {READY_TIMEOUT_SECONDS:.0f} s; "
                    f"the end of {child.log_path}:\n{child.log_tail()}"
                )
            time.sleep(POLL_SECONDS)

    def _tick(self) -> None:
        self._raise_if_stopped()
        self._reap(starting=False)
        for child in self.children:
            if child.state.status == "starting" and child.is_ready():
                child.state.status = "ready"
                self.say(f"{child.spec.name} is ready again")
                self._save()
        time.sleep(POLL_SECONDS * 2)

    def _reap(self, *, starting: bool) -> None:
        """Notice dead children, and start again those whose back-off has passed."""
        now = time.monotonic()
        for child in self.children:
            if child.restart_at is not None and now >= child.restart_at:
                child.start()
                self._save()
            elif child.restart_at is None and child.process is not None and child.process.poll() is not None:
                self._died(child, now, starting=starting)

    def _died(self, child: Child, now: float, *, starting: bool) -> None:
        assert child.process is not None
        code = child.process.returncode
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        was_ready = child.state.status == "ready"
        child.failed_starts = 0 if was_ready else child.failed_starts + 1
        if starting and child.failed_starts >= START_ATTEMPTS_MAX:
            raise DemoError(f"{child.spec.name} does not start ({how}); the end of {child.log_path}:\n{child.log_tail()}")
        if now - child.started_at > HEALTHY_SECONDS:
            child.backoff_seconds = BACKOFF_FIRST_SECONDS
        child.restart_at = now + child.backoff_seconds
        child.state.status, child.state.pid = "restarting", None
        child.state.restarts += 1
        self.say(f"{child.spec.name} died ({how}); starting it again in {child.backoff_seconds:g} s; log: {child.log_path}")
        child.backoff_seconds = min(child.backoff_seconds * 2, BACKOFF_MAX_SECONDS)
        self._save()

    def _stop_all(self) -> None:
        """SIGTERM stage by stage, newest first; what does not end within its time is killed and named."""
        if self.state.phase != "failed":
            self.state.phase = "stopping"
        self._save()
        for stages in ((2, 1), (0,)):  # web and workers end together, then what they stand on
            members = [child for child in self.children if child.spec.stage in stages and child.process is not None]
            for child in members:
                child.signal(signal.SIGTERM)
            deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
            for child in members:
                self._wait_ended(child, deadline)
                child.state.status, child.state.pid = "stopped", None
        if self.state.phase == "failed":
            self._save()
        else:
            self.layout.state_file.unlink(missing_ok=True)

    def _wait_ended(self, child: Child, deadline: float) -> None:
        assert child.process is not None
        try:
            child.process.wait(max(0.05, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.say(f"{child.spec.name} did not end within {STOP_TIMEOUT_SECONDS:g} s and is killed")
        child.signal(signal.SIGKILL)
        child.process.wait()

    def _raise_if_stopped(self) -> None:
        if self._stop_requested:
            raise Stopped

    def _save(self) -> None:
        try:
            self.state.save(self.layout.state_file)
        except OSError as error:
            self.say(f"cannot write {self.layout.state_file}: {error.strerror}")

    def _check_disk(self) -> None:
        try:
            self.layout.data.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.layout.data).free
        except OSError as error:
            raise DemoError(
                f"the data directory {self.layout.data} cannot be used: {error.strerror}; choose another --data DIR"
            ) from error
        if free < FREE_BYTES_MIN:
            raise DemoError(
                f"the disk of {self.layout.data} has {free // 2**20} MiB free, at least {FREE_BYTES_MIN // 2**20} are needed; "
                "free some, or choose another --data DIR"
            )

    def _check_ports(self) -> None:
        for port, owner in sorted(self.layout.ports().items()):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((HOST, port))
                except OSError as error:
                    raise DemoError(
                        f"port {port} ({owner}) cannot be listened on: {error.strerror}; end what uses it, or choose others: "
                        "./board up --port-base 18000"
                    ) from error


def _explain(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"the disk is full ({error.filename or 'while writing'}); free some space and start again"
    return str(error)


def _port_answers(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=READY_PROBE_TIMEOUT_SECONDS):
            return True
    except OSError:
        return False


def _die_with_parent() -> None:
    """In the child: ask the kernel for SIGKILL when the supervisor dies, however it dies (Linux only)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
