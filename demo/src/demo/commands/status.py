"""`./board status`: every process, whether it answers, and the lag of every group; exit status 0 only when all is well."""

import argparse

import requests
from confluent_kafka import KafkaException
from rich.console import Console
from rich.table import Table

from demo.groups import group_rows
from demo.layout import Layout, ProcessSpec
from demo.state import ProcessState, require_running

PROBE_TIMEOUT_SECONDS = 3.0


def run(arguments: argparse.Namespace) -> int:
    layout, state = require_running(arguments.data)
    specs = {spec.name: spec for spec in layout.processes()}
    console = Console(highlight=False)
    table = Table("process", "pid", "port", "state", "restarts", "health", box=None, pad_edge=False)
    healthy = state.phase == "ready"
    for process in state.processes:
        health = _health(process, specs[process.name])
        healthy &= health == "ok"
        table.add_row(
            process.name, str(process.pid or "-"), str(specs[process.name].port), process.status, str(process.restarts), health
        )
    console.print(table)
    lag, problem = _lag(layout)
    console.print(f"groups: {problem or f'total lag {lag}'}", markup=False)
    healthy &= not problem
    console.print("healthy" if healthy else f"not healthy (phase {state.phase})")
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
    except KafkaException as error:
        return 0, f"the broker does not answer ({error.args[0].str()})"
