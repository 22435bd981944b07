"""`./board down`: SIGTERM to the supervisor, then wait until its lock is free.

Whatever is left of a board whose supervisor was killed is taken away; its processes have died with it.
"""

import argparse
import os
import signal
import time

from demo import lock
from demo.layout import DemoError, Layout
from demo.supervisor import take_lock
from demo.terminal import Terminal

DOWN_TIMEOUT_SECONDS = 30.0
POLL_SECONDS = 0.05


def run(arguments: argparse.Namespace) -> int:
    layout = Layout(arguments.data)
    terminal = Terminal()
    try:
        pid = lock.holder(layout.lock_file)
    except OSError as error:
        raise DemoError(f"the data directory {layout.data} cannot be read: {error.strerror}") from error
    if pid is None:
        _clean(layout)
        terminal.say(f"no board is running on {layout.data}")
        return 0
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        pass  # it has just ended
    except PermissionError as error:
        raise DemoError(f"the board on {layout.data} (process {pid}) belongs to another user") from error
    deadline = time.monotonic() + DOWN_TIMEOUT_SECONDS
    while lock.holder(layout.lock_file) == pid:
        if time.monotonic() > deadline:
            raise DemoError(
                f"the supervisor (process {pid}) is still there after {DOWN_TIMEOUT_SECONDS:.0f} s; "
                f"see {layout.log_directory}, or end it with kill -9 {pid}"
            )
        time.sleep(POLL_SECONDS)
    terminal.say("down")
    return 0


def _clean(layout: Layout) -> None:
    """Remove the files of a supervisor that was killed, unless a new one is just starting."""
    if layout.state_file.exists() or layout.lock_file.exists():
        held = take_lock(layout)
        layout.state_file.unlink(missing_ok=True)
        held.release()
