"""`broker leader-election`: let the preferred, or any, replica lead, with the options and the output of kafka-leader-election.sh.

A leader that is the right one already is no failure. Where a partition could not be given a leader the exit status is 1.
"""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

from broker.cli.failures import Failure, UsageError, check, meaning
from broker.cli.offsets import TopicPartition
from broker.cli.options import Parser, client_settings, connect, make_parser, run
from broker.client.retriable import error_of
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.elect_leaders import ElectLeadersRequest, ElectLeadersResponse, TopicPartitions

ELECTIONS = {"preferred": 0, "unclean": 1}
# How long the controller may take.
TIMEOUT_MS = 30_000
FORMAT = '{"partitions": [{"topic": "foo", "partition": 1}]}'


def main(argv: list[str]) -> int:
    return run(_parser(), argv, _run)


def _parser() -> Parser:
    made = make_parser("leader-election", __doc__)
    made.add_argument(
        "--election-type",
        type=str.lower,
        choices=ELECTIONS,
        help="preferred: the first replica, when it is in sync; unclean: any replica, where there is no leader, though it may "
        "lack records",
    )
    made.add_argument("--topic", help="with --partition: elect a leader of this one")
    made.add_argument("--partition", type=int)
    made.add_argument("--all-topic-partitions", action="store_true", help="of all partitions that need another leader")
    made.add_argument("--path-to-json-file", metavar="FILE", help=f"of those in a file: {FORMAT}")
    made.refuse("--admin.config", why="--command-config has taken its place")
    return made


def _run(options: argparse.Namespace) -> int:
    if options.election_type is None:
        raise UsageError("--election-type is needed: preferred or unclean")
    chosen = [options.topic is not None, options.all_topic_partitions, options.path_to_json_file is not None]
    if sum(chosen) != 1:
        raise UsageError("exactly one of --topic, --all-topic-partitions and --path-to-json-file is needed")
    if (options.topic is None) != (options.partition is None):
        raise UsageError("--topic and --partition belong together")
    wanted = None
    if options.topic is not None:
        wanted = [(options.topic, options.partition)]
    elif options.path_to_json_file is not None:
        wanted = _from_file(options.path_to_json_file)
    request = ElectLeadersRequest(
        election_type=ELECTIONS[options.election_type], topic_partitions=_by_topic(wanted), timeout_ms=TIMEOUT_MS
    )
    with connect(options, "leader-election", client_settings(options.command_config, [])) as cluster:
        response = cluster.any().ask(request, ElectLeadersResponse)
    check(response.error_code, "the election")
    return _report(response, options.election_type.upper())


def _by_topic(wanted: list[TopicPartition] | None) -> list[TopicPartitions] | None:
    """None for all."""
    if wanted is None:
        return None
    names = dict.fromkeys(topic for topic, _ in wanted)
    return [TopicPartitions(topic=name, partitions=[index for topic, index in wanted if topic == name]) for name in names]


def _report(response: ElectLeadersResponse, kind: str) -> int:
    """Print who has a new leader, who had the right one, and what failed; the exit status."""
    results = {
        f"{topic.topic}-{one.partition_id}": (error_of(one.error_code), one.error_message)
        for topic in response.replica_election_results
        for one in topic.partition_result
    }
    elected = [name for name, (code, _) in results.items() if code is ErrorCode.NONE]
    right = [name for name, (code, _) in results.items() if code is ErrorCode.ELECTION_NOT_NEEDED]
    if elected:
        print(f"Successfully completed leader election ({kind}) for partitions {', '.join(elected)}")
    if right:
        print(f"Valid replica already elected for partitions {', '.join(right)}")
    failed = {name: result for name, result in results.items() if name not in elected and name not in right}
    for name, (code, message) in failed.items():
        print(f"Error completing leader election ({kind}) for partition: {name}: {code.name}: {meaning(code, message)}")
    if failed:
        raise Failure(f"{len(failed)} replica(s) could not be elected")
    return 0


def _from_file(path: str) -> list[TopicPartition]:
    """UsageError when the file cannot be read, is not of the format, or names a partition twice."""
    try:
        found: Any = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"{path} is no JSON: {error}") from error
    parts = found.get("partitions") if isinstance(found, dict) else None
    if not isinstance(parts, list) or not all(_is_partition(part) for part in parts):
        raise UsageError(f"{path} is not of the form {FORMAT}")
    wanted = [(part["topic"], part["partition"]) for part in parts]
    twice = [f"{topic}-{index}" for (topic, index), times in Counter(wanted).items() if times > 1]
    if twice:
        raise UsageError(f"{path} contains duplicate partitions: {', '.join(twice)}")
    return wanted


def _is_partition(part: Any) -> bool:
    """`{"topic": name, "partition": number}`."""
    return (
        isinstance(part, dict)
        and isinstance(part.get("topic"), str)
        and isinstance(part.get("partition"), int)
        and not isinstance(part["partition"], bool)
    )
