"""`broker topics`: create, list, describe, alter and delete topics, with the options and the output of kafka-topics.sh."""

import argparse

from broker.cli.cluster import Cluster
from broker.cli.failures import UsageError, check
from broker.cli.options import Parser, client_settings, compile_pattern, connect, key_values, make_parser, run
from broker.cli.topics_describe import describe
from broker.metadata.topic_names import INTERNAL
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.create_partitions import (
    CreatePartitionsAssignment,
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreatePartitionsTopic,
)
from broker.protocol.messages.create_topics import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from broker.protocol.messages.delete_topics import DeleteTopicsRequest, DeleteTopicsResponse, DeleteTopicState
from broker.protocol.messages.metadata import MetadataResponseTopic
from broker.protocol.types import uuid_to_base64

ACTIONS = ("list", "describe", "create", "alter", "delete")
# Which actions an option is for; --topic and --if-exists and the like are looked at where they are used.
FOR_ACTIONS = {
    "config": ("create",),
    "partitions": ("create", "alter"),
    "replication_factor": ("create",),
    "replica_assignment": ("create", "alter"),
    "if_not_exists": ("create",),
    "if_exists": ("alter", "delete", "describe"),
    "exclude_internal": ("list", "describe"),
    "topic_id": ("describe",),
    "topics_with_overrides": ("describe",),
    "unavailable_partitions": ("describe",),
    "under_replicated_partitions": ("describe",),
    "under_min_isr_partitions": ("describe",),
    "at_min_isr_partitions": ("describe",),
}
REPORTS = ("unavailable_partitions", "under_replicated_partitions", "under_min_isr_partitions", "at_min_isr_partitions")
COLLISION = (
    "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. "
    "To avoid issues it is best to use either, but not both."
)
REPLICATION_FACTOR_MAX = 2**15 - 1
# How long the brokers may take to make or delete a topic.
TIMEOUT_MS = 30_000
BY_DEFAULT = -1


def main(argv: list[str]) -> int:
    return run(_parser(), argv, _run)


def _parser() -> Parser:
    made = make_parser("topics", __doc__)
    for name in ACTIONS:
        made.add_argument(f"--{name}", action="store_true")
    made.add_argument("--topic", help="a name; for all but --create a regular expression")
    made.add_argument("--topic-id", help="describe the topic with this id")
    made.add_argument("--partitions", type=int, help="how many; without it the brokers' default")
    made.add_argument("--replication-factor", type=int, help="how many replicas; without it the brokers' default")
    made.add_argument(
        "--replica-assignment", metavar="1:2,2:1", help="the replicas of each partition, the preferred leader first"
    )
    made.add_argument("--config", action="append", default=[], metavar="KEY=VALUE", help="a setting of the new topic")
    made.add_argument("--if-not-exists", action="store_true", help="a topic that exists is no error")
    made.add_argument("--if-exists", action="store_true", help="a topic that does not exist is no error")
    made.add_argument("--exclude-internal", action="store_true", help="without the cluster's own topics")
    made.add_argument("--topics-with-overrides", action="store_true", help="only topics with settings of their own")
    made.add_argument("--unavailable-partitions", action="store_true", help="only partitions without a leader")
    made.add_argument("--under-replicated-partitions", action="store_true", help="only partitions that lack replicas in the ISR")
    made.add_argument("--under-min-isr-partitions", action="store_true", help="only those below min.insync.replicas")
    made.add_argument("--at-min-isr-partitions", action="store_true", help="only those at min.insync.replicas exactly")
    made.refuse("--partition-size-limit-per-response", why="all partitions are shown")
    made.refuse("--delete-config", why="Kafka itself removed it in 4.0; kafka-configs.sh deletes settings")
    return made


def _run(options: argparse.Namespace) -> int:
    chosen = [name for name in ACTIONS if getattr(options, name)]
    if len(chosen) != 1:
        raise UsageError("exactly one action is needed: --list, --describe, --create, --alter or --delete")
    _check_combination(options, chosen[0])
    act = {"create": _create, "list": _list, "describe": _describe, "alter": _alter, "delete": _delete}[chosen[0]]
    with connect(options, "topics", client_settings(options.command_config, [])) as cluster:
        act(cluster, options)
    return 0


def _check_combination(options: argparse.Namespace, action: str) -> None:
    """UsageError for an option that the action has no use for, or that it lacks."""
    for name, actions in FOR_ACTIONS.items():
        if getattr(options, name) not in (None, False, []) and action not in actions:
            hint = "; kafka-configs.sh alters settings" if name == "config" else ""
            raise UsageError(f"--{name.replace('_', '-')} cannot be used with --{action}{hint}")
    if action in ("create", "alter", "delete") and not options.topic:
        raise UsageError(f"--{action} needs --topic")
    if action == "alter" and options.partitions is None:
        raise UsageError("--alter needs --partitions")
    if action == "create" and options.replica_assignment and (options.partitions or options.replication_factor):
        raise UsageError("--replica-assignment cannot be used with --partitions or --replication-factor")
    if options.topics_with_overrides and any(getattr(options, name) for name in REPORTS):
        raise UsageError("--topics-with-overrides cannot be used with the options that select partitions")


def _create(cluster: Cluster, options: argparse.Namespace) -> None:
    if options.replication_factor is not None and not 1 <= options.replication_factor <= REPLICATION_FACTOR_MAX:
        raise UsageError(f"The replication factor must be between 1 and {REPLICATION_FACTOR_MAX} inclusive")
    if options.partitions is not None and options.partitions < 1:
        raise UsageError("The partitions must be greater than 0")
    assignments = [
        CreatableReplicaAssignment(partition_index=index, broker_ids=replicas)
        for index, replicas in enumerate(_assignments(options.replica_assignment))
    ]
    topic = CreatableTopic(
        name=options.topic,
        num_partitions=BY_DEFAULT if options.partitions is None else options.partitions,
        replication_factor=BY_DEFAULT if options.replication_factor is None else options.replication_factor,
        assignments=assignments,
        configs=[
            CreatableTopicConfig(name=name, value=value.strip()) for name, value in key_values(options.config, "--config").items()
        ],
    )
    if "." in options.topic or "_" in options.topic:
        print(COLLISION)
    response = cluster.any().ask(CreateTopicsRequest(topics=[topic], timeout_ms=TIMEOUT_MS), CreateTopicsResponse)
    result = response.topics[0]
    if result.error_code == ErrorCode.TOPIC_ALREADY_EXISTS and options.if_not_exists:
        return
    check(result.error_code, f"cannot create topic '{options.topic}'", result.error_message)
    print(f"Created topic {options.topic}.")


def _assignments(text: str | None) -> list[list[int]]:
    """`1:2,2:1` as the replicas of each partition."""
    if not text:
        return []
    try:
        found = [[int(one) for one in replicas.split(":")] for replicas in text.split(",")]
    except ValueError:
        raise UsageError(f"--replica-assignment {text} is not of the form 1:2,2:1") from None
    for index, replicas in enumerate(found):
        if len(set(replicas)) < len(replicas):
            raise UsageError(f"--replica-assignment {text}: partition {index} names a broker twice")
        if len(replicas) != len(found[0]):
            raise UsageError(f"--replica-assignment {text}: partition {index} has another number of replicas than partition 0")
    return found


def _list(cluster: Cluster, options: argparse.Namespace) -> None:
    for topic in _matching(cluster, options, needed=False):
        print(topic.name)


def _describe(cluster: Cluster, options: argparse.Namespace) -> None:
    topics = _matching(cluster, options, needed=not options.if_exists)
    describe(cluster, [topic.name or "" for topic in topics], options)


def _alter(cluster: Cluster, options: argparse.Namespace) -> None:
    assignments = _assignments(options.replica_assignment)
    wanted = []
    for topic in _matching(cluster, options, needed=not options.if_exists):
        added = assignments[len(topic.partitions) :]
        wanted.append(
            CreatePartitionsTopic(
                name=topic.name or "",
                count=options.partitions,
                assignments=[CreatePartitionsAssignment(broker_ids=replicas) for replicas in added] if assignments else None,
            )
        )
    if wanted:
        request = CreatePartitionsRequest(topics=wanted, timeout_ms=TIMEOUT_MS)
        for result in cluster.any().ask(request, CreatePartitionsResponse).results:
            check(result.error_code, f"cannot alter topic '{result.name}'", result.error_message)


def _delete(cluster: Cluster, options: argparse.Namespace) -> None:
    wanted = [DeleteTopicState(name=topic.name) for topic in _matching(cluster, options, needed=not options.if_exists)]
    if wanted:
        request = DeleteTopicsRequest(topics=wanted, timeout_ms=TIMEOUT_MS)
        for result in cluster.any().ask(request, DeleteTopicsResponse).responses:
            check(result.error_code, f"cannot delete topic '{result.name}'", result.error_message)


def _matching(cluster: Cluster, options: argparse.Namespace, *, needed: bool) -> list[MetadataResponseTopic]:
    """The topics that --topic or --topic-id mean, by name. UsageError when they mean none and it is `needed`."""
    found = sorted(cluster.metadata(None).topics, key=lambda topic: topic.name or "")
    if options.exclude_internal:
        found = [topic for topic in found if topic.name not in INTERNAL]
    if options.topic_id:
        found = [topic for topic in found if uuid_to_base64(topic.topic_id) == options.topic_id]
        missing = f"TopicId '{options.topic_id}' does not exist as expected"
    elif options.topic:
        pattern = compile_pattern(options.topic, "--topic")
        found = [topic for topic in found if pattern.fullmatch(topic.name or "")]
        missing = f"Topic '{options.topic}' does not exist as expected"
    else:
        return found
    if needed and not found:
        raise UsageError(f"{missing}; --list shows those that do")
    return found
