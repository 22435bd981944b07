"""`./board up`: the supervisor in the foreground, or in the background until it says ready.

BOARD_BOOTSTRAP_SERVERS=host:port names a broker that runs elsewhere (Apache Kafka, for instance); the board then starts
none of its own.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from demo import lock
from demo.layout import HOST, WEB_SERVICES, DemoError, Layout
from demo.preconditions import check_brokers, check_data_directory
from demo.supervisor import Supervisor, already_running
from demo.terminal import Terminal, plain_table

EXTERNAL_BROKER = "BOARD_BOOTSTRAP_SERVERS"
# Every step of the supervisor has a shorter limit of its own; this one is for a supervisor that was stopped or cut off.
DETACH_TIMEOUT_SECONDS = 600.0
POLL_SECONDS = 0.1
END_TIMEOUT_SECONDS = 15.0


def run(arguments: argparse.Namespace) -> int:
    layout = Layout(arguments.data, arguments.port_base, external_broker(), arguments.brokers)
    terminal = Terminal()
    if arguments.detach:
        return _detach(layout, terminal)
    supervisor = Supervisor(layout, say=lambda text: terminal.say(f"board: {text}"))
    supervisor.run(on_ready=lambda: _announce(terminal, layout))
    return 0


def external_broker() -> str:
    """The value of BOARD_BOOTSTRAP_SERVERS; DemoError when it is not host:port."""
    value = os.environ.get(EXTERNAL_BROKER, "").strip()
    if value and not all(re.fullmatch(r"\S+:\d{1,5}", one) for one in value.split(",")):
        raise DemoError(f"{EXTERNAL_BROKER}={value!r} is not allowed: host:port, several with commas between")
    return value


def _announce(terminal: Terminal, layout: Layout) -> None:
    table = plain_table("service", "address", "look at")
    looks = {
        "article": "/v1/articles?board_id=1",
        "comment": "/v1/comments?article_id=…",
        "popular": "/v1/popular",
        "read-view": "/v1/articles?board_id=1",
    }
    names = {one: layout.broker_name(one) for one in layout.broker_ids}
    for broker_id, name in names.items():
        table.add_row(name, f"{HOST}:{layout.broker_port(broker_id)}", "any Kafka client or tool")
    if not names:
        table.add_row("broker", layout.bootstrap_servers, "any Kafka client or tool")
    for service in WEB_SERVICES:
        table.add_row(service, layout.url(service), looks[service])
    table.add_row("valkey", f"{HOST}:{layout.valkey_port}", "any Redis client")
    terminal.show(table)
    terminal.say(f"data {layout.data}   logs {layout.log_directory}")
    terminal.say("ready")


def _detach(layout: Layout, terminal: Terminal) -> int:
    """Start the supervisor in a session of its own and show what it says until it is ready or has ended."""
    check_data_directory(layout)
    check_brokers(layout)
    pid = lock.holder(layout.lock_file)
    if pid is not None:
        raise already_running(layout, pid)
    log_path = layout.log_directory / "supervisor.log"
    command = [sys.executable, "-m", "demo", "up", "--data", str(layout.data)]
    command += ["--port-base", str(layout.port_base), "--brokers", str(layout.brokers)]
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        return _follow(process, log_path, terminal)
    except BaseException:
        process.terminate()  # also after Ctrl-C: nothing half-started is left
        process.wait(END_TIMEOUT_SECONDS)
        raise


def _follow(process: "subprocess.Popen[bytes]", log_path: Path, terminal: Terminal) -> int:
    """Show the supervisor's lines; 0 once one of them is "ready", its exit status when it has ended before."""
    deadline = time.monotonic() + DETACH_TIMEOUT_SECONDS
    with log_path.open(encoding="utf-8", errors="replace") as log:
        while time.monotonic() < deadline:
            ended = process.poll() is not None  # asked first: what it wrote before is then read below
            for line in log.read().splitlines():
                terminal.say(line)
                if line == "ready":
                    return 0
            if ended:
                return process.returncode or 1
            time.sleep(POLL_SECONDS)
    raise DemoError(f"the board was not ready within {DETACH_TIMEOUT_SECONDS:.0f} s; see {log_path}")
