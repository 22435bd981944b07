"""The supervisor's word about itself: a small JSON file that the other commands read.

Written by the supervisor alone, replaced as one step. The lock beside it, not the file, says whether it still runs.
"""

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from demo.layout import DemoError, Layout

LOCK_ATTEMPTS = 5
LOCK_RETRY_SECONDS = 0.1


@dataclass
class ProcessState:
    """One child as the supervisor sees it."""

    name: str
    status: str = "waiting"  # waiting | starting | ready | restarting | stopped
    pid: int | None = None
    restarts: int = 0


@dataclass
class State:
    """What `./board status` and `./board up --detach` need to know."""

    pid: int
    port_base: int
    phase: str = "starting"  # starting | ready | stopping | failed
    error: str = ""
    processes: list[ProcessState] = field(default_factory=list)

    def save(self, path: Path) -> None:
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(self), indent=1))
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> "State | None":
        try:
            raw = json.loads(path.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        processes = [ProcessState(**process) for process in raw.pop("processes")]
        return cls(**raw, processes=processes)


def take_lock(layout: Layout) -> IO[str]:
    """Claim the data directory for one supervisor; DemoError names the holder."""
    layout.lock_file.parent.mkdir(parents=True, exist_ok=True)
    handle = layout.lock_file.open("a+")
    for attempt in range(LOCK_ATTEMPTS):  # a `./board status` of this moment holds it for an instant
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if attempt < LOCK_ATTEMPTS - 1:
                time.sleep(LOCK_RETRY_SECONDS)
                continue
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            handle.close()
            raise DemoError(
                f"a board is already running on {layout.data} (process {holder}); "
                "end it with ./board down, or use another --data DIR"
            ) from None
    handle.truncate(0)
    handle.write(str(os.getpid()))
    handle.flush()
    return handle


def running_state(layout: Layout) -> State | None:
    """The state of the supervisor that holds the lock; None when none runs."""
    if not layout.lock_file.exists():
        return None
    with layout.lock_file.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return State.load(layout.state_file)
    return None


def require_running(data: Path) -> tuple[Layout, State]:
    """Layout and state of the board that runs on `data`; DemoError when none does."""
    state = running_state(Layout(data))
    if state is None:
        raise DemoError(f"no board is running on {data}; start it with ./board up")
    return Layout(data, state.port_base), state
