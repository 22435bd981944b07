"""`broker console-consumer`: records on standard output, with the options and the output of kafka-console-consumer.sh.

Ends after --max-messages, after --timeout-ms without a record, on Ctrl-C and SIGTERM, and when nobody reads its output.
"""

import argparse
import random
import re
import sys
import time
from collections.abc import Callable

from broker.cli.cluster import Cluster
from broker.cli.failures import UsageError
from broker.cli.fetcher import RESETS, Fetcher, FetcherSettings
from broker.cli.formatter import Consumed, Formatter, Unreadable
from broker.cli.membership import MemberSettings
from broker.cli.options import (
    Parser,
    choice,
    client_settings,
    connect,
    flag,
    hush_stdout,
    key_values,
    make_parser,
    number,
    read_properties,
    run,
)
from broker.cli.subscription import GroupShare, OnePartition, Source
from broker.metadata.topic_names import INTERNAL
from broker.protocol.errors import ErrorCode, KafkaError

NAME = "console-consumer"
KNOWN = frozenset(
    {
        "group.id",
        "group.instance.id",
        "group.protocol",
        "auto.offset.reset",
        "enable.auto.commit",
        "auto.commit.interval.ms",
        "session.timeout.ms",
        "heartbeat.interval.ms",
        "max.poll.interval.ms",
        "fetch.min.bytes",
        "fetch.max.bytes",
        "fetch.max.wait.ms",
        "max.partition.fetch.bytes",
        "isolation.level",
        "allow.auto.create.topics",
        "metadata.max.age.ms",
    }
)
FORMATTERS = frozenset({"org.apache.kafka.tools.consumer.DefaultMessageFormatter", "kafka.tools.DefaultMessageFormatter"})
# At least this often heartbeats, time-outs and commits are looked at.
POLL_MS = 500
UNLIMITED = -1


def main(argv: list[str]) -> int:
    return run(_parser(), argv, _run)


def _parser() -> Parser:
    made = make_parser(NAME, __doc__)
    made.add_argument("--topic")
    made.add_argument("--include", metavar="REGEX", help="the topics whose whole name matches")
    made.add_argument("--partition", type=int, help="only this partition, without a group")
    made.add_argument("--offset", help="where to begin in --partition: a number, earliest or latest (default)")
    made.add_argument("--from-beginning", action="store_true", help="where no offset is committed, begin with the oldest record")
    made.add_argument("--group", help="read as a member of this group, and commit")
    made.add_argument("--max-messages", type=int, default=UNLIMITED, metavar="N", help="end after so many")
    made.add_argument("--timeout-ms", type=int, default=-1, metavar="MS", help="end when no record comes for so long")
    made.add_argument("--isolation-level", choices=("read_uncommitted", "read_committed"))
    made.add_argument("--skip-message-on-error", action="store_true", help="go on after a record that cannot be printed")
    for option in ("--formatter-property", "--property"):
        made.add_argument(option, action="append", default=[], metavar="KEY=VALUE", help="e.g. print.key=true, key.separator=:")
    made.add_argument("--formatter-config", metavar="FILE", help="a properties file with formatter properties")
    made.add_argument("--formatter", help="only the default one")
    made.add_argument("--key-deserializer", metavar="CLASS", help="String, ByteArray, Short, Integer or LongDeserializer")
    made.add_argument("--value-deserializer", metavar="CLASS", help="the same")
    for option in ("--command-property", "--consumer-property"):
        made.add_argument(option, action="append", default=[], metavar="KEY=VALUE", help="a setting of the consumer")
    made.add_argument("--consumer.config", dest="consumer_config", metavar="FILE", help="as --command-config")
    made.refuse("--enable-systest-events", value=False)
    return made


# Options.


def _check_options(options: argparse.Namespace) -> None:
    for one, other in (
        ("command_property", "consumer_property"),
        ("command_config", "consumer_config"),
        ("formatter_property", "property"),
    ):
        if getattr(options, one) and getattr(options, other):
            raise UsageError(f"--{one.replace('_', '-')} and its older name cannot be used together")
    if (options.topic is None) == (options.include is None):
        raise UsageError("exactly one of --topic and --include is needed")
    if options.partition is None and options.offset is not None:
        raise UsageError("--offset needs --partition")
    if options.partition is not None:
        if options.topic is None:
            raise UsageError("--partition needs --topic")
        if options.from_beginning and options.offset is not None:
            raise UsageError("--from-beginning and --offset cannot be used together")
    if options.formatter is not None and options.formatter not in FORMATTERS:
        raise UsageError(f"--formatter {options.formatter} is not supported, only the DefaultMessageFormatter is")


def _formatter(options: argparse.Namespace) -> Formatter:
    properties = read_properties(options.formatter_config)
    for name in ("key", "value"):
        if getattr(options, f"{name}_deserializer"):
            properties[f"{name}.deserializer"] = getattr(options, f"{name}_deserializer")
    return Formatter(properties | key_values(options.formatter_property + options.property, "--formatter-property"))


def _settings(options: argparse.Namespace) -> dict[str, str]:
    """The consumer's settings, with what options say of them."""
    pairs = options.command_property + options.consumer_property
    settings = client_settings(options.command_config or options.consumer_config, pairs, KNOWN)
    choice(settings, "group.protocol", "classic", {"classic"})
    reset = choice(settings, "auto.offset.reset", "earliest" if options.from_beginning else "latest", {*RESETS, "none"})
    if options.from_beginning and reset != "earliest":
        raise UsageError(f"--from-beginning and auto.offset.reset={reset} cannot be used together")
    group = settings.get("group.id")
    if options.group and group and options.group != group:
        raise UsageError(f"--group {options.group} and group.id={group} do not match")
    if options.group:
        settings["group.id"] = options.group
    if options.partition is not None and "group.id" in settings:
        raise UsageError("--group and --partition cannot be used together")
    if options.isolation_level:
        settings["isolation.level"] = options.isolation_level
    return {"client.id": NAME} | settings | {"auto.offset.reset": reset}


def fetcher_settings(settings: dict[str, str]) -> FetcherSettings:
    """UsageError for a value that is none."""
    default = FetcherSettings()
    isolation = choice(settings, "isolation.level", "read_uncommitted", ("read_uncommitted", "read_committed"))
    return FetcherSettings(
        auto_offset_reset=settings["auto.offset.reset"],
        min_bytes=number(settings, "fetch.min.bytes", default.min_bytes, 0),
        max_bytes=number(settings, "fetch.max.bytes", default.max_bytes, 0),
        partition_max_bytes=number(settings, "max.partition.fetch.bytes", default.partition_max_bytes, 0),
        max_wait_ms=number(settings, "fetch.max.wait.ms", default.max_wait_ms, 0),
        read_committed=isolation == "read_committed",
    )


def member_settings(settings: dict[str, str]) -> MemberSettings:
    """UsageError for a value that is none."""
    default = MemberSettings()
    return MemberSettings(
        session_timeout_ms=number(settings, "session.timeout.ms", default.session_timeout_ms, 1),
        heartbeat_interval_ms=number(settings, "heartbeat.interval.ms", default.heartbeat_interval_ms, 1),
        max_poll_interval_ms=number(settings, "max.poll.interval.ms", default.max_poll_interval_ms, 1),
        group_instance_id=settings.get("group.instance.id"),
    )


# Reading.


def _run(options: argparse.Namespace) -> int:
    _check_options(options)
    formatter = _formatter(options)
    settings = _settings(options)
    with connect(options, NAME, settings) as cluster:
        copy = _Copy(formatter, options)
        source = _source(cluster, options, settings)
        try:
            copy.run(source)
        except BrokenPipeError:
            hush_stdout()
        finally:
            try:
                source.close()
            finally:
                print(f"Processed a total of {copy.count} messages", file=sys.stderr)
    return 0


def _source(cluster: Cluster, options: argparse.Namespace, settings: dict[str, str]) -> Source:
    create = flag(settings, "allow.auto.create.topics", True)
    if options.partition is not None:
        count = len(cluster.topic(options.topic, create=create).partitions)
        if not 0 <= options.partition < count:
            text = f"topic '{options.topic}' has no partition {options.partition}, it has 0 to {count - 1}"
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, text)
        offset, reset = _begin(options, settings["auto.offset.reset"])
        fetcher = Fetcher(cluster, fetcher_settings(settings | {"auto.offset.reset": reset}))
        return OnePartition(fetcher, (options.topic, options.partition), offset)
    group = settings.get("group.id")
    # Without a group of its own it is a member of one nobody else is in, which leaves no offsets behind.
    commits = flag(settings, "enable.auto.commit", group is not None)
    interval_ms = number(settings, "auto.commit.interval.ms", 5000, 0)
    return GroupShare(
        cluster,
        group or f"{NAME}-{random.randrange(100_000)}",
        member_settings(settings),
        Fetcher(cluster, fetcher_settings(settings)),
        _topics(cluster, options, create=create),
        commit_interval_ms=interval_ms if commits else None,
        metadata_max_age_ms=number(settings, "metadata.max.age.ms", 300_000, 0),
    )


def _begin(options: argparse.Namespace, reset: str) -> tuple[int | None, str]:
    """The offset to begin with in --partition, or none and where to reset to."""
    if options.offset is None:
        return None, reset
    if options.offset.lower() in RESETS:
        return None, options.offset.lower()
    if not (options.offset.isascii() and options.offset.isdigit()):
        raise UsageError(f"--offset {options.offset} is neither a non-negative number nor earliest nor latest")
    return int(options.offset), reset


def _topics(cluster: Cluster, options: argparse.Namespace, *, create: bool) -> Callable[[], set[str]]:
    """The topics that are wanted, as of now."""
    if options.topic is not None:
        topic: str = options.topic

        def named() -> set[str]:
            cluster.topic(topic, create=create)
            return {topic}

        named()
        return named
    try:
        pattern = re.compile(options.include)
    except re.error as error:
        raise UsageError(f"--include {options.include} is no regular expression: {error}") from None
    return lambda: {
        topic.name or ""
        for topic in cluster.metadata(None).topics
        if topic.name not in INTERNAL and pattern.fullmatch(topic.name or "")
    }


class _Copy:
    """Records from a source to standard output, and how many."""

    def __init__(self, formatter: Formatter, options: argparse.Namespace) -> None:
        self._formatter, self._options = formatter, options
        self._out = sys.stdout.buffer
        self.count = 0

    def run(self, source: Source) -> None:
        """BrokenPipeError when nobody reads."""
        limit, timeout_ms = self._options.max_messages, self._options.timeout_ms
        last = time.monotonic()
        while limit == UNLIMITED or self.count < limit:
            left_ms = POLL_MS if timeout_ms < 0 else int(timeout_ms - (time.monotonic() - last) * 1000)
            before = self.count
            try:
                for consumed in source.poll(max(0, min(POLL_MS, left_ms))):
                    self._write(consumed)
                    if self.count == limit:
                        break
            finally:
                self._out.flush()
            if self.count > before:
                last = time.monotonic()
            elif left_ms <= 0:
                return

    def _write(self, consumed: Consumed) -> None:
        self.count += 1
        try:
            self._out.write(self._formatter.format(consumed))
        except Unreadable as error:
            where = f"{consumed.topic}-{consumed.partition} at offset {consumed.record.offset}"
            if not self._options.skip_message_on_error:
                raise Unreadable(f"{where}: {error}; --skip-message-on-error passes such records over") from None
            print(f"broker {NAME}: {where}: {error}", file=sys.stderr)
