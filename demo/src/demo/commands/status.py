"""`./board status`: every process, whether it answers, and the lag of every group; exit status 0 only when all is well."""

import argparse

import requests

from demo.groups import BrokerSilent, group_rows
from demo.layout import Layout, ProcessSpec
from demo.state import ProcessState, require_running
from demo.terminal import Terminal, plain_table

PROBE_TIMEOUT_SECONDS = 3.0


def run(arguments: argparse.Namespace) -> int:
    layout, state = require_running(arguments.data)
    specs = {spec.name: spec for spec in layout.processes()}
    terminal = Terminal()
    table = plain_table("process", "pid", "port", "state", "restarts", "health")
    healthy = state.phase == "ready"
    for process in state.processes:
        health = _health(process, specs[process.name])
        healthy &= health == "ok"
        table.add_row(
            process.name, str(process.pid or "-"), str(specs[process.name].port), process.status, str(process.restarts), health
        )
    terminal.show(table)
    lag, problem = _lag(layout)
    terminal.say(f"groups: {problem or f'total lag {lag}'}")
    healthy &= not problem
    terminal.say("healthy" if healthy else f"not healthy (phase {state.phase})")
    return 0 if healthy else 1


def _health(process: ProcessState, spec: ProcessSpec) -> str:
    if process.status != "ready":
        return process.status
    if spec.ready_url is None:
        return "ok"
    try:
        answer = requests.get(spec.ready_url, timeout=PROBE_TIMEOUT_SECONDS)
    except requests.RequestException as error:
        return f"no answer ({type(error).__name__})"
    return "ok" if answer.ok else f"not ready: {answer.text[:120]}"


def _lag(layout: Layout) -> tuple[int, str]:
    try:
        return sum(row.lag or 0 for row in group_rows(layout.bootstrap_servers)), ""
    except BrokerSilent as silent:
        return 0, str(silent)
