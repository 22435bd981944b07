"""The supervisor's word about itself: a small JSON file that the other commands read.

Written by the supervisor alone, replaced as one step. The lock beside it, not the file, says whether it still runs.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from demo import lock
from demo.layout import BROKERS, PORT_BASE, DemoError, Layout


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
    # host:port of a broker that is not the board's own; empty when it is.
    external_broker: str = ""
    brokers: int = BROKERS
    phase: str = "starting"  # starting | ready | stopping
    processes: list[ProcessState] = field(default_factory=list)

    def save(self, path: Path) -> None:
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(self), indent=1))
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> "State | None":
        """None when there is no such file, or none that this version wrote."""
        try:
            raw = json.loads(path.read_text())
            processes = [ProcessState(**process) for process in raw.pop("processes")]
            return cls(**raw, processes=processes)
        except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
            return None


def running_state(layout: Layout) -> State | None:
    """The state of the supervisor that holds the lock; None when none runs. A stale file of a killed one is not believed."""
    pid = lock.holder(layout.lock_file)
    if pid is None:
        return None
    state = State.load(layout.state_file)
    return state if state is not None and state.pid == pid else State(pid=pid, port_base=PORT_BASE)


def require_running(data: Path) -> tuple[Layout, State]:
    """Layout and state of the board that runs on `data`; DemoError when none does."""
    try:
        state = running_state(Layout(data))
    except OSError as error:
        raise DemoError(f"the data directory {data} cannot be read: {error.strerror}") from error
    if state is None:
        raise DemoError(f"no board is running on {data}; start it with ./board up")
    return Layout(data, state.port_base, state.external_broker, state.brokers), state
