"""What the tools have in common: options, settings, failures as one line, a clean end by signal."""

import argparse
import contextlib
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from broker import __version__
from broker.cli.cluster import BOOTSTRAP_CONTROLLER, BOOTSTRAP_SERVER, Cluster
from broker.cli.failures import Failure, UsageError, meaning
from broker.cli.wire import REQUEST_TIMEOUT_S
from broker.config.sources import parse_properties
from broker.protocol.errors import KafkaError

DEFAULT_BOOTSTRAP = "localhost:9092"
# As a shell says that a command ended by this signal.
BY_SIGNAL = 128
# Settings of Kafka's clients that every tool takes.
COMMON_SETTINGS = frozenset({"client.id", "request.timeout.ms", "default.api.timeout.ms", "security.protocol"})


class EndedBySignal(BaseException):
    """SIGINT or SIGTERM came; passes every `except Exception` by."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


# Options.


class Parser(argparse.ArgumentParser):
    """Raises UsageError where argparse would print its usage and exit."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")

    def refuse(self, *options: str, value: bool = True, why: str = "") -> None:
        """Options of Kafka's script that are known and not supported here."""
        for option in options:
            nargs = 1 if value else 0
            self.add_argument(option, action=_Refused, nargs=nargs, const=why, help=argparse.SUPPRESS)


class _Refused(argparse.Action):
    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        raise UsageError(f"{option_string} is not supported" + (f": {self.const}" if self.const else ""))


def make_parser(name: str, description: str | None, *, controllers: bool = False) -> Parser:
    """A parser with the options every tool has; `controllers`: it can ask them as well."""
    made = Parser(
        prog=f"broker {name}",
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whom = made.add_mutually_exclusive_group()
    whom.add_argument(
        BOOTSTRAP_SERVER,
        default=DEFAULT_BOOTSTRAP,
        metavar="HOST:PORT[,…]",
        help=f"brokers to begin with (default: {DEFAULT_BOOTSTRAP})",
    )
    if controllers:
        whom.add_argument(BOOTSTRAP_CONTROLLER, metavar="HOST:PORT[,…]", help="controllers to ask instead of brokers")
    made.add_argument("--command-config", metavar="FILE", help="a properties file with settings of the client")
    made.add_argument("--version", action="version", version=__version__)
    return made


# Running.


def run(parser: Parser, argv: list[str], action: Callable[[argparse.Namespace], int]) -> int:
    """Parse and do it; the exit status. What goes wrong is one line on standard error; a broken pipe is `main`'s business."""
    try:
        with ending_by_signal():
            status = action(parser.parse_args(argv))
            sys.stdout.flush()
            return status
    except KafkaError as error:
        print(f"{parser.prog}: {error.message or meaning(error.code)}", file=sys.stderr)
    except Failure as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
    except EndedBySignal as end:
        return BY_SIGNAL + end.number
    return 1


def connect(options: argparse.Namespace, name: str, settings: Mapping[str, str]) -> Cluster:
    """The cluster of --bootstrap-server, or of --bootstrap-controller where a tool has that."""
    timeout_s = number(settings, "request.timeout.ms", int(REQUEST_TIMEOUT_S * 1000), 1) / 1000
    client_id = settings.get("client.id", f"broker-{name}")
    if getattr(options, "bootstrap_controller", None) is not None:
        return Cluster(options.bootstrap_controller, client_id, timeout_s, option=BOOTSTRAP_CONTROLLER)
    return Cluster(options.bootstrap_server, client_id, timeout_s)


def hush_stdout() -> None:
    """Whoever reads our output has seen enough; Python must not complain when it closes it."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def ending_by_signal() -> Iterator[None]:
    """SIGINT and SIGTERM raise EndedBySignal within."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.signal(one, _end) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _end(number: int, frame: FrameType | None) -> None:
    raise EndedBySignal(number)


# Settings: key=value, from a file and from options.


def client_settings(
    file: str | None, pairs: list[str], known: Collection[str] = (), option: str = "--command-property"
) -> dict[str, str]:
    """The settings of a client; those of options win. UsageError names what is not supported."""
    settings = read_properties(file) | key_values(pairs, option)
    unknown = sorted(set(settings) - COMMON_SETTINGS - set(known))
    if unknown:
        supported = ", ".join(sorted({*COMMON_SETTINGS, *known}))
        raise UsageError(f"the setting {', '.join(unknown)} is not supported; supported are {supported}")
    protocol = settings.get("security.protocol", "PLAINTEXT")
    if protocol.upper() != "PLAINTEXT":
        raise UsageError(f"security.protocol={protocol} is not supported, only PLAINTEXT is")
    return settings


def read_properties(file: str | None) -> dict[str, str]:
    """A properties file; none gives nothing. UsageError when it cannot be read."""
    if file is None:
        return {}
    try:
        return parse_properties(Path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {file}: {getattr(error, 'strerror', None) or error}") from error


def key_values(pairs: list[str], option: str) -> dict[str, str]:
    """`key=value` options as a mapping."""
    found = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key.strip():
            raise UsageError(f"{option} {pair} is not of the form key=value")
        found[key.strip()] = value
    return found


def number(settings: Mapping[str, str], name: str, default: int, least: int) -> int:
    """A setting as a number. UsageError when it is none, or less than it may be."""
    text = settings.get(name)
    if text is None:
        return default
    try:
        value = int(text)
    except ValueError:
        raise UsageError(f"{name}={text} is not a number") from None
    if value < least:
        raise UsageError(f"{name}={value} is too small, at least {least} is needed")
    return value


def flag(settings: Mapping[str, str], name: str, default: bool) -> bool:
    """A setting as true or false."""
    text = settings.get(name, str(default)).strip().lower()
    if text not in ("true", "false"):
        raise UsageError(f"{name}={text} is neither true nor false")
    return text == "true"


def choice(settings: Mapping[str, str], name: str, default: str, allowed: Collection[str]) -> str:
    """A setting that has a few values."""
    value = settings.get(name, default)
    if value not in allowed:
        raise UsageError(f"{name}={value} is not supported, only {', '.join(sorted(allowed))}")
    return value


def partitions_of(text: str) -> tuple[str, list[int] | None]:
    """`topic`, or `topic:0,1,2`."""
    topic, separator, numbers = text.rpartition(":") if ":" in text else (text, "", "")
    if not separator:
        return text, None
    if not topic or not all(one.strip().isascii() and one.strip().isdigit() for one in numbers.split(",")):
        raise UsageError(f"{text} is not of the form topic:0,1,2")
    return topic, [int(one) for one in numbers.split(",")]


def compile_pattern(text: str, option: str) -> re.Pattern[str]:
    """A topic pattern of Kafka's tools: a regular expression, `,` means `|`. UsageError."""
    try:
        return re.compile(text.strip().strip("\"'").replace(",", "|"))
    except re.error as error:
        raise UsageError(f"{option} {text} is no regular expression: {error}") from None
