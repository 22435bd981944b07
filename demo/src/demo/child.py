"""One process of the board: how it is started, asked whether it is ready, signalled, and seen to have ended.

Invariants: it lives in a session of its own, so Ctrl-C reaches the supervisor alone; it dies with the supervisor, even
when that is killed -9 (Linux; elsewhere it is left behind). When to start it again is `supervisor`'s business.
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

from demo.layout import HOST, ProcessSpec
from demo.state import ProcessState

READY_PROBE_TIMEOUT_SECONDS = 2.0
LOG_TAIL_LINES = 8
LOG_TAIL_BYTES = 16 * 1024
PR_SET_PDEATHSIG = 1


class Child:
    """One process of the board through all its restarts."""

    def __init__(self, spec: ProcessSpec, log_path: Path) -> None:
        self.spec = spec
        self.log_path = log_path
        self.state = ProcessState(spec.name)
        self.process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        # When to start it again, on time.monotonic(); None while it runs or was never started.
        self.restart_at: float | None = None
        # Starts in a row after which it died before it was ready.
        self.failed_starts = 0
        self.backoff_seconds = 0.0

    def start(self) -> None:
        """OSError when the program or the log file cannot be opened."""
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
                preexec_fn=die_with_parent(),  # noqa: PLW1509 - the supervisor has one thread
            )
        self.started_at = time.monotonic()
        self.restart_at = None
        self.state.status, self.state.pid = "starting", self.process.pid

    def is_ready(self) -> bool:
        """Whether it answers: its readiness URL, or else its port."""
        try:
            if self.spec.ready_url is None:
                with socket.create_connection((HOST, self.spec.port), timeout=READY_PROBE_TIMEOUT_SECONDS):
                    return True
            with urllib.request.urlopen(self.spec.ready_url, timeout=READY_PROBE_TIMEOUT_SECONDS):
                return True
        except (OSError, HTTPException):  # URLError is an OSError
            return False

    def end_of(self) -> str | None:
        """How it ended; None while it runs, or when it was never started."""
        code = self.process.poll() if self.process is not None else None
        if code is None:
            return None
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"

    def signal(self, number: int) -> None:
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def log_tail(self) -> str:
        """The last lines of its log, each indented."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
                lines = log.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(f"    {line}" for line in lines[-LOG_TAIL_LINES:])


def die_with_parent() -> Callable[[], None]:
    """For `preexec_fn`: the kernel sends SIGKILL when the present process dies, however it dies (Linux only)."""
    parent = os.getpid()
    try:
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return lambda: None

    def in_child() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the request
            os._exit(1)

    return in_child
