"""`./board down`: SIGTERM to the supervisor, then wait until its lock is free."""

import argparse
import os
import signal
import sys
import time

from demo.layout import DemoError, Layout
from demo.state import running_state

DOWN_TIMEOUT_SECONDS = 30.0
POLL_SECONDS = 0.05


def run(arguments: argparse.Namespace) -> int:
    layout = Layout(arguments.data)
    state = running_state(layout)
    if state is None:
        sys.stdout.write(f"no board is running on {layout.data}\n")
        return 0
    os.kill(state.pid, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_TIMEOUT_SECONDS
    while running_state(layout) is not None:
        if time.monotonic() > deadline:
            raise DemoError(
                f"the supervisor (process {state.pid}) is still there after {DOWN_TIMEOUT_SECONDS:.0f} s; see {layout.data}"
            )
        time.sleep(POLL_SECONDS)
    sys.stdout.write("down\n")
    return 0
