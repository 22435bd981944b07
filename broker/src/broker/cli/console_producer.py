"""`broker console-producer`: lines of standard input as records, with the options of kafka-console-producer.sh.

A line is sent when its batch is full or `linger.ms` after the first of the batch, and at the end of the input. Records
that could not be delivered are told on standard error; the exit status is then 1.
"""

import argparse
import os
import select
import sys
import time

from broker.cli.failures import UsageError
from broker.cli.line_reader import LineReader
from broker.cli.options import (
    Parser,
    choice,
    client_settings,
    connect,
    flag,
    key_values,
    make_parser,
    number,
    read_properties,
    run,
)
from broker.cli.sender import ALL_REPLICAS, Sender, SenderSettings
from broker.record.compression import CODEC_NAMES

NAME = "console-producer"
ACKS = {"all": ALL_REPLICAS, "-1": ALL_REPLICAS, "0": 0, "1": 1}
# Options of the script that stand for a setting of the producer; the option wins when both are given.
AS_SETTINGS = {
    "compression_codec": "compression.type",
    "batch_size": "batch.size",
    "message_send_max_retries": "retries",
    "retry_backoff_ms": "retry.backoff.ms",
    "timeout": "linger.ms",
    "request_required_acks": "acks",
    "request_timeout_ms": "request.timeout.ms",
}
KNOWN = frozenset({*AS_SETTINGS.values(), "delivery.timeout.ms", "enable.idempotence"})
# As Kafka's script has it; the producer's own default is 5.
LINGER_MS = 1000
READ_BYTES = 64 << 10


class Lines:
    """The lines of a file descriptor as they come, without their ends, which are those that Java's readers know."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""

    def read(self, timeout_s: float | None) -> list[bytes] | None:
        """What came within the time; None at the end of the input. None as time waits for the next."""
        if not select.select([self._descriptor], [], [], timeout_s)[0]:
            return []
        data = os.read(self._descriptor, READ_BYTES)
        if not data:
            rest, self._rest = self._rest, b""
            return [rest.removesuffix(b"\r")] if rest else None
        lines = (self._rest + data).splitlines(keepends=True)
        # A \r at the end may be the first half of a \r\n.
        self._rest = b"" if lines[-1].endswith(b"\n") else lines.pop()
        return [line[:-2] if line.endswith(b"\r\n") else line[:-1] for line in lines]


def main(argv: list[str]) -> int:
    return run(_parser(), argv, _run)


def _parser() -> Parser:
    made = make_parser(NAME, __doc__)
    made.add_argument("--topic", required=True)
    made.add_argument("--sync", action="store_true", help="wait for each record's acknowledgement before the next")
    made.add_argument(
        "--compression-codec", nargs="?", const="gzip", metavar="CODEC", help=f"{', '.join(CODEC_NAMES)}; gzip without a value"
    )
    made.add_argument("--batch-size", metavar="BYTES", help="batch.size (default: 16384)")
    made.add_argument("--message-send-max-retries", metavar="N", help="retries (default: 3)")
    made.add_argument("--retry-backoff-ms", metavar="MS", help="retry.backoff.ms (default: 100)")
    made.add_argument("--timeout", metavar="MS", help=f"linger.ms (default: {LINGER_MS})")
    made.add_argument("--request-required-acks", metavar="ACKS", help="acks: all, -1, 1 or 0 (default: all)")
    made.add_argument("--request-timeout-ms", metavar="MS", help="request.timeout.ms (default: 30000)")
    for option in ("--command-property", "--producer-property"):
        made.add_argument(option, action="append", default=[], metavar="KEY=VALUE", help="a setting of the producer")
    made.add_argument("--producer.config", dest="producer_config", metavar="FILE", help="as --command-config")
    for option in ("--reader-property", "--property"):
        made.add_argument(option, action="append", default=[], metavar="KEY=VALUE", help="e.g. parse.key=true, key.separator=:")
    made.add_argument("--reader-config", metavar="FILE", help="a properties file with reader properties")
    made.refuse("--line-reader", why="lines are read as LineMessageReader does")
    made.refuse("--max-memory-bytes", "--max-partition-memory-bytes", "--metadata-expiry-ms", "--socket-buffer-size")
    made.refuse("--max-block-ms", why="waiting for a topic is bounded by itself")
    return made


def sender_settings(settings: dict[str, str]) -> SenderSettings:
    """The producer's settings, checked. UsageError."""
    acks = ACKS[choice(settings, "acks", "all", ACKS)]
    idempotent = flag(settings, "enable.idempotence", acks == ALL_REPLICAS)
    if idempotent and acks != ALL_REPLICAS:
        raise UsageError("enable.idempotence=true needs acks=all")
    default = SenderSettings()
    return SenderSettings(
        acks=acks,
        codec=CODEC_NAMES.index(choice(settings, "compression.type", "none", CODEC_NAMES)),
        batch_size=number(settings, "batch.size", default.batch_size, 0),
        retries=number(settings, "retries", default.retries, 0),
        retry_backoff_ms=number(settings, "retry.backoff.ms", default.retry_backoff_ms, 0),
        request_timeout_ms=number(settings, "request.timeout.ms", default.request_timeout_ms, 1),
        delivery_timeout_ms=number(settings, "delivery.timeout.ms", default.delivery_timeout_ms, 1),
        idempotent=idempotent,
    )


def _settings(options: argparse.Namespace) -> dict[str, str]:
    for one, other in (
        ("command_property", "producer_property"),
        ("command_config", "producer_config"),
        ("reader_property", "property"),
    ):
        if getattr(options, one) and getattr(options, other):
            raise UsageError(f"--{one.replace('_', '-')} and its older name cannot be used together")
    pairs = options.command_property + options.producer_property
    settings = client_settings(options.command_config or options.producer_config, pairs, KNOWN)
    given = {name: getattr(options, option) for option, name in AS_SETTINGS.items() if getattr(options, option) is not None}
    return settings | given


def _run(options: argparse.Namespace) -> int:
    settings = _settings(options)
    linger_ms = number(settings, "linger.ms", LINGER_MS, 0)
    how = sender_settings(settings)
    reader = LineReader(
        read_properties(options.reader_config) | key_values(options.reader_property + options.property, "--reader-property")
    )
    with connect(options, NAME, settings) as cluster:
        sender = Sender(cluster, options.topic, how, lambda text: print(f"broker {NAME}: {text}", file=sys.stderr))
        try:
            _copy(Lines(sys.stdin.fileno()), reader, sender, linger_ms, sync=options.sync)
        finally:
            # What was read is sent, also before a line that is wrong and on Ctrl-C.
            sender.flush()
    return 1 if sender.failed else 0


def _copy(lines: Lines, reader: LineReader, sender: Sender, linger_ms: int, *, sync: bool) -> None:
    interactive = sys.stdin.isatty() and sys.stdout.isatty()
    due: float | None = None
    while True:
        if interactive and due is None:
            print(">", end="", flush=True)
        found = lines.read(None if due is None else max(0.0, due - time.monotonic()))
        if found is None:
            return
        for line in found:
            sender.append(*reader.parse(line))
            if sync:
                sender.flush()
        if sender.has_open and due is None:
            due = time.monotonic() + linger_ms / 1000
        if due is not None and (not sender.has_open or time.monotonic() >= due):
            sender.flush()
            due = None
