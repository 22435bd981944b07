"""The command line behind `./board`: parsing and dispatch; each command is a module of its own, loaded when it is used."""

import argparse
import importlib
import os
import sys
from pathlib import Path

from demo.drills.texts import LANGUAGES, LESSONS
from demo.layout import BROKERS, PORT_BASE, PORT_BASE_MAX, PORT_BASE_MIN, ROOT, DemoError
from demo.terminal import Terminal

DEFAULT_DATA = Path(os.environ.get("BOARD_DATA") or ROOT / "data")
LOAD_SECONDS_DEFAULT, LOAD_RATE_DEFAULT = 30.0, 50.0
VERIFY_TIMEOUT_SECONDS_DEFAULT = 60.0


def port_base(text: str) -> int:
    """argparse type: a port base whose derived ports all exist."""
    try:
        value = int(text)
    except ValueError:
        value = -1
    if not PORT_BASE_MIN <= value <= PORT_BASE_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; a whole number from {PORT_BASE_MIN} to {PORT_BASE_MAX} is")
    return value


def positive(text: str) -> float:
    """argparse type: a number above zero."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; a number above 0 is")
    return value


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./board", description="The board: a demo of an event-driven system on its own broker.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, help_text: str, *, data: bool = True) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=help_text, description=help_text)
        if data:
            command.add_argument("--data", type=Path, default=DEFAULT_DATA, metavar="DIR", help="data directory (default: data)")
        return command

    up = add("up", "Start the brokers, Valkey and the four services; Ctrl-C ends all of them.")
    up.add_argument("--detach", action="store_true", help="return when everything is ready; end it with ./board down")
    up.add_argument("--port-base", type=port_base, default=PORT_BASE, metavar="N", help=f"first port (default {PORT_BASE})")
    up.add_argument("--brokers", type=int, choices=(1, BROKERS), default=BROKERS, help=f"brokers of its own (default {BROKERS})")
    add("down", "End the board that runs on the data directory.")
    add("status", "Show every process; exit status 0 only when everything is healthy.")
    add("groups", "Show per group, topic and partition: committed offset, log end offset, lag, member, host.")
    add("seed", "Write deterministic Korean and English posts, comments and likes through the REST API.")
    load = add("load", "Send mixed reads and writes; print rate, errors and event-to-view delay.")
    load.add_argument("--seconds", type=positive, default=LOAD_SECONDS_DEFAULT, help="how long (default 30)")
    load.add_argument("--rate", type=positive, default=LOAD_RATE_DEFAULT, help="requests per second to aim at (default 50)")
    load.add_argument("--seed", type=int, default=None, help="seed of the random choices")
    verify = add("verify", "Compare the projections with the origins and the load's ledger; exit status 1 on any difference.")
    verify.add_argument(
        "--timeout",
        type=positive,
        default=VERIFY_TIMEOUT_SECONDS_DEFAULT,
        help="seconds to wait until the groups are at lag 0 (default 60)",
    )
    drill = add("drill", "Break the running board on purpose, show what happens, and have everything back.")
    drill.add_argument("name", choices=LESSONS, metavar="NAME", help=", ".join(LESSONS))
    drill.add_argument("--language", choices=LANGUAGES, default=None, help="default: by LANG")
    for name, help_text in (
        ("test", "Run the tests; ./board test --help shows the suites."),
        ("simulate", "Run simulated clusters under faults, seed after seed; ./board simulate --help shows the options."),
        ("bench", "Measure the broker beside Apache Kafka; ./board bench --help shows the options."),
        ("check", "Lint, types, layers."),
    ):
        commands.add_parser(name, help=help_text, add_help=False)
    commands.add_parser("broker", help="The broker's own command line (./board broker --help).")
    return parser


# Commands whose code lives at the top of the repository, not in a package.
SCRIPTS = {"test": "tests/run.py", "check": "tests/check.py", "bench": "bench/run.py", "simulate": "tests/simulate.py"}


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    if words and words[0] in SCRIPTS:  # which know their arguments themselves
        os.execv(sys.executable, [sys.executable, str(ROOT / SCRIPTS[words[0]]), *words[1:]])
    arguments = build_parser().parse_args(words)
    arguments.data = arguments.data.expanduser().resolve()
    try:
        return int(importlib.import_module(f"demo.commands.{arguments.command}").run(arguments))
    except DemoError as error:
        Terminal(stderr=True).say(f"board: {error}")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
