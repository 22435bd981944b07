"""`broker <command>`: the commands by name; each is loaded when it is used."""

import importlib
import sys

from broker import __version__

COMMANDS = {
    "start": "run a broker",
    "format": "write the identity of a log directory",
    "random-uuid": "make an id for a new cluster",
    "topics": "create, list, describe, alter and delete topics",
    "console-producer": "send lines as records",
    "console-consumer": "print records",
    "consumer-groups": "list, describe, reset and delete groups and their offsets",
    "metadata-quorum": "describe the quorum that agrees on the metadata",
    "leader-election": "let preferred, or any, replicas lead",
    "get-offsets": "print offsets of partitions at a time",
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; its exit status. A reader of its output that has gone away ends it without a word."""
    try:
        try:
            return _run(sys.argv[1:] if argv is None else argv)
        finally:
            sys.stdout.flush()  # Here, where what the operating system says to it can still be caught.
    except BrokenPipeError:
        importlib.import_module("broker.cli.options").hush_stdout()
        return 1


def _run(arguments: list[str]) -> int:
    if arguments and arguments[0] == "--version":
        print(__version__)
        return 0
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0 if arguments else 1
    name = arguments[0]
    if name not in COMMANDS:
        print(f"broker: there is no command {name}\n{_usage()}", file=sys.stderr)
        return 1
    module = importlib.import_module(f"broker.cli.{name.replace('-', '_')}")
    status: int = module.main(arguments[1:])
    return status


def _usage() -> str:
    lines = [f"  {name:<18}{text}" for name, text in COMMANDS.items()]
    return "\n".join(["usage: broker COMMAND [options]; `broker COMMAND --help` tells more", *lines])


if __name__ == "__main__":
    sys.exit(main())
