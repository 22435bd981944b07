"""`./board up`: the supervisor in the foreground, or in the background until it says ready."""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from demo.layout import HOST, WEB_SERVICES, DemoError, Layout
from demo.state import running_state, take_lock
from demo.supervisor import READY_TIMEOUT_SECONDS, Supervisor

DETACH_TIMEOUT_SECONDS = READY_TIMEOUT_SECONDS * 4
POLL_SECONDS = 0.1


def run(arguments: argparse.Namespace) -> int:
    layout = Layout(arguments.data, arguments.port_base)
    if arguments.detach:
        return _detach(layout)
    console = Console(highlight=False)
    supervisor = Supervisor(layout, say=lambda text: console.print(f"board: {text}", markup=False, soft_wrap=True))
    supervisor.run(on_ready=lambda: _announce(console, layout))
    return 0


def _announce(console: Console, layout: Layout) -> None:
    table = Table("service", "address", "look at", box=None, pad_edge=False)
    looks = {
        "article": "/v1/articles?board_id=1",
        "comment": "/v1/comments?article_id=…",
        "popular": "/v1/popular",
        "read-view": "/v1/articles?board_id=1",
    }
    table.add_row("broker", layout.bootstrap_servers, "any Kafka client or tool")
    for service in WEB_SERVICES:
        table.add_row(service, layout.url(service), looks[service])
    table.add_row("valkey", f"{HOST}:{layout.valkey_port}", "")
    console.print(table)
    console.print(f"data {layout.data}   logs {layout.log_directory}", markup=False, soft_wrap=True)
    console.print("ready")


def _detach(layout: Layout) -> int:
    """Start the supervisor in a session of its own and wait for its word."""
    take_lock(layout).close()  # the clear message now, not in a log file
    layout.log_directory.mkdir(parents=True, exist_ok=True)
    log_path = layout.log_directory / "supervisor.log"
    command = [sys.executable, "-m", "demo", "up", "--data", str(layout.data), "--port-base", str(layout.port_base)]
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    _wait_ready(layout, process, log_path)
    _announce(Console(highlight=False), layout)
    return 0


def _wait_ready(layout: Layout, process: "subprocess.Popen[bytes]", log_path: Path) -> None:
    console = Console(stderr=True, highlight=False)
    shown = 0
    deadline = time.monotonic() + DETACH_TIMEOUT_SECONDS
    with console.status("starting the board"):
        while time.monotonic() < deadline:
            lines = log_path.read_text(errors="replace").splitlines()
            for line in lines[shown:]:
                if line.startswith(("board: starting", "board: migrating")) or " died " in line:
                    console.print(line, markup=False, soft_wrap=True)
            shown = len(lines)
            if process.poll() is not None:
                raise DemoError(
                    "\n".join(line.removeprefix("board: ") for line in lines if "starting" not in line) or "it ended at once"
                )
            state = running_state(layout)
            if state is not None and state.pid == process.pid and state.phase == "ready":
                return
            time.sleep(POLL_SECONDS)
    process.terminate()
    raise DemoError(f"the board was not ready within {DETACH_TIMEOUT_SECONDS:.0f} s; see {log_path}")
