"""`broker get-offsets`: offsets of partitions at a time, with the options and the output of kafka-get-offsets.sh."""

import argparse
import re
from collections.abc import Callable

from broker.cli.cluster import Cluster
from broker.cli.failures import UsageError
from broker.cli.offsets import EARLIEST, LATEST, MAX_TIMESTAMP, TopicPartition, list_offsets
from broker.cli.options import Parser, client_settings, compile_pattern, connect, make_parser, run
from broker.metadata.topic_names import INTERNAL

TIMES = {"latest": LATEST, "earliest": EARLIEST, "max-timestamp": MAX_TIMESTAMP}
# Special times of tiered storage, which there is none of.
TIERED = ("earliest-local", "latest-tiered", "earliest-pending-upload", "-4", "-5", "-6")
PATTERN = re.compile(r"(?P<topic>[^:,]*)(?::(?:(?P<one>[0-9]+)|(?P<low>[0-9]*)(?P<range>-)(?P<high>[0-9]*))?)?")
Filter = Callable[[str, int], bool]


def main(argv: list[str]) -> int:
    return run(_parser(), argv, _run)


def _parser() -> Parser:
    made = make_parser("get-offsets", __doc__)
    made.add_argument("--topic", help="a regular expression; all topics without it")
    made.add_argument("--partitions", metavar="0,1,…", help="only these partitions")
    made.add_argument("--topic-partitions", metavar="topic1:1,topic2:0-3,topic3,topic4:5-", help="topics and their partitions")
    made.add_argument(
        "--time", default="latest", help="milliseconds since the epoch, or latest (-1), earliest (-2), max-timestamp (-3)"
    )
    made.add_argument("--exclude-internal-topics", action="store_true")
    return made


def _run(options: argparse.Namespace) -> int:
    if options.topic_partitions and (options.topic or options.partitions):
        raise UsageError("--topic-partitions cannot be used with --topic or --partitions")
    timestamp = _timestamp(options.time)
    if options.topic_partitions:
        filters = [_rule(text) for text in options.topic_partitions.split(",")]
    else:
        filters = [_topic_and_partitions(options.topic, options.partitions)]
    with connect(options, "get-offsets", client_settings(options.command_config, [])) as cluster:
        wanted = [
            (topic, index)
            for topic, index in _all_partitions(cluster)
            if any(accepts(topic, index) for accepts in filters) and not (options.exclude_internal_topics and topic in INTERNAL)
        ]
        if not wanted:
            raise UsageError("Could not match any topic-partitions with the specified filters")
        found = list_offsets(cluster, wanted, timestamp)
    for (topic, index), offset in sorted(found.items(), key=lambda item: f"{item[0][0]}-{item[0][1]}"):
        if offset >= 0:
            print(f"{topic}:{index}:{offset}")
    return 0


def _timestamp(text: str) -> int:
    if text in TIERED:
        raise UsageError(f"--time {text} is not supported: there is no tiered storage")
    try:
        return TIMES[text] if text in TIMES else int(text)
    except ValueError:
        raise UsageError(f"--time {text} is neither a number of milliseconds nor one of {', '.join(TIMES)}") from None


def _all_partitions(cluster: Cluster) -> list[TopicPartition]:
    return [(topic.name or "", one.partition_index) for topic in cluster.metadata(None).topics for one in topic.partitions]


def _topic_and_partitions(topic: str | None, partitions: str | None) -> Filter:
    pattern = compile_pattern(topic or ".*", "--topic")
    try:
        numbers = {int(one) for one in partitions.split(",")} if partitions else None
    except ValueError:
        raise UsageError(f"--partitions {partitions} is not of the form 0,1,2") from None
    return lambda name, index: pattern.fullmatch(name) is not None and (numbers is None or index in numbers)


def _rule(text: str) -> Filter:
    """`topic`, `topic:2`, `topic:0-3` (without 3), `topic:5-`, `topic:-3`, all of them also without the topic."""
    found = PATTERN.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"--topic-partitions {text} is not of the form topic, topic:1, topic:0-3, topic:5- or topic:-3")
    pattern = compile_pattern(found["topic"] or ".*", "--topic-partitions")
    low, high = found["low"], found["high"]
    if found["one"]:
        wanted = range(int(found["one"]), int(found["one"]) + 1)
    else:
        wanted = range(int(low or 0), int(high) if high else 2**31)
    return lambda name, index: pattern.fullmatch(name) is not None and index in wanted
