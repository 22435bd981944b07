"""`broker consumer-groups`: list, describe, reset and delete groups and their offsets, as kafka-consumer-groups.sh does."""

import argparse
import sys
from collections.abc import Callable

from broker.cli.cluster import Cluster
from broker.cli.failures import Failure, UsageError, check, meaning
from broker.cli.group_offsets import asking_coordinator
from broker.cli.groups import CLASSIC, CONSUMER, STATES, describe_group, list_groups
from broker.cli.groups_describe import print_members, print_offsets, print_state
from broker.cli.groups_reset import SCENARIOS, Plan, export_plans, print_plans, reset_offsets
from broker.cli.offsets import TopicPartition
from broker.cli.options import Parser, client_settings, connect, make_parser, partitions_of, run
from broker.cli.tables import print_table
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.delete_groups import DeleteGroupsRequest, DeleteGroupsResponse
from broker.protocol.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
    OffsetDeleteResponse,
)

NAME = "consumer-groups"
ACTIONS = ("list", "describe", "delete", "reset_offsets", "delete_offsets")
VIEWS = ("members", "offsets", "state")
# Which actions an option is for.
FOR_ACTIONS = {
    "members": ("describe",),
    "offsets": ("describe",),
    "verbose": ("describe",),
    "state": ("describe", "list"),
    "type": ("list",),
    "topic": ("reset_offsets", "delete_offsets"),
    "all_topics": ("reset_offsets",),
    "dry_run": ("reset_offsets",),
    "execute": ("reset_offsets",),
    "export": ("reset_offsets",),
    **dict.fromkeys(SCENARIOS, ("reset_offsets",)),
}
NOT_EXECUTED = "WARN: No action will be performed as the --execute option is missing; --dry-run says that this is meant."
TIMEOUT_MS = 30_000


def main(argv: list[str]) -> int:
    return run(_parser(), argv, _run)


def _parser() -> Parser:
    made = make_parser(NAME, __doc__)
    for name in ACTIONS:
        made.add_argument(_option(name), action="store_true")
    made.add_argument("--group", action="append", metavar="GROUP", help="a group; may be given again")
    made.add_argument("--all-groups", action="store_true")
    made.add_argument("--topic", action="append", metavar="TOPIC[:0,1,…]", help="a topic or some partitions; may be given again")
    made.add_argument("--all-topics", action="store_true", help="all that the group has offsets for")
    made.add_argument("--members", action="store_true", help="describe the members")
    made.add_argument("--offsets", action="store_true", help="describe offsets and lag (default)")
    made.add_argument("--state", nargs="?", const="", metavar="STATES", help="describe the state; list it, or groups in a state")
    made.add_argument("--type", nargs="?", const="", metavar="TYPES", help="list the types, or groups of a type")
    made.add_argument("--verbose", action="store_true", help="describe more")
    made.add_argument("--to-offset", type=int, metavar="OFFSET")
    made.add_argument("--shift-by", type=int, metavar="N", help="forward, or back when negative")
    made.add_argument("--to-datetime", metavar="YYYY-MM-DDThh:mm:ss.sss", help="the first record since then, in UTC")
    made.add_argument("--by-duration", metavar="PnDTnHnMnS", help="the first record since so long ago")
    made.add_argument("--to-earliest", action="store_true")
    made.add_argument("--to-latest", action="store_true")
    made.add_argument("--to-current", action="store_true", help="as it is; the log's end where nothing is committed")
    made.add_argument("--from-file", metavar="FILE", help="what --export printed")
    made.add_argument("--dry-run", action="store_true", help="show the new offsets only (default)")
    made.add_argument("--execute", action="store_true", help="reset")
    made.add_argument("--export", action="store_true", help="show the new offsets as CSV")
    made.add_argument("--timeout", type=int, default=TIMEOUT_MS, metavar="MS", help=f"for an answer (default: {TIMEOUT_MS})")
    made.refuse("--validate-regex", why="the broker has no regular expressions in subscriptions")
    return made


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _run(options: argparse.Namespace) -> int:
    chosen = [name for name in ACTIONS if getattr(options, name)]
    if len(chosen) != 1:
        raise UsageError(f"exactly one action is needed: {', '.join(map(_option, ACTIONS))}")
    _check_combination(options, chosen[0])
    if options.timeout < 1:
        raise UsageError(f"--timeout {options.timeout} is too small, at least 1 ms is needed")
    act: Callable[[Cluster, argparse.Namespace], int] = {
        "list": _list,
        "describe": _describe,
        "delete": _delete,
        "reset_offsets": _reset,
        "delete_offsets": _delete_offsets,
    }[chosen[0]]
    settings = {"request.timeout.ms": str(options.timeout)} | client_settings(options.command_config, [])
    with connect(options, NAME, settings) as cluster:
        return act(cluster, options)


def _check_combination(options: argparse.Namespace, action: str) -> None:
    """UsageError for an option that the action has no use for, or that it lacks."""
    for name, actions in FOR_ACTIONS.items():
        if getattr(options, name) not in (None, False) and action not in actions:
            raise UsageError(f"{_option(name)} cannot be used with {_option(action)}")
    if action in ("describe", "delete", "reset_offsets") and not options.group and not options.all_groups:
        raise UsageError(f"{_option(action)} needs --group or --all-groups")
    if options.group and options.all_groups:
        raise UsageError("--group and --all-groups cannot be used together")
    if action == "delete_offsets" and (not options.group or len(options.group) > 1 or options.all_groups or not options.topic):
        raise UsageError("--delete-offsets needs one --group and at least one --topic")
    if action == "describe":
        if sum(getattr(options, name) not in (None, False) for name in VIEWS) > 1:
            raise UsageError("--describe takes one of --members, --offsets and --state")
        if options.state:
            raise UsageError("--state takes no value with --describe")
    if action == "reset_offsets":
        _check_reset(options)


def _check_reset(options: argparse.Namespace) -> None:
    if sum(getattr(options, name) not in (None, False) for name in SCENARIOS) != 1:
        raise UsageError(f"--reset-offsets needs one of {', '.join(map(_option, SCENARIOS))}")
    if options.dry_run and options.execute:
        raise UsageError("--dry-run and --execute cannot be used together")
    if options.topic and options.all_topics:
        raise UsageError("--topic and --all-topics cannot be used together")
    if not options.topic and not options.all_topics and options.from_file is None:
        raise UsageError("--reset-offsets needs --topic or --all-topics")


def _group_ids(cluster: Cluster, options: argparse.Namespace) -> list[str]:
    if options.all_groups:
        return [group.group_id for group in list_groups(cluster)]
    return sorted(set(options.group))


def _each(groups: list[str], act: Callable[[str], None]) -> int:
    """Do it for each group; one that fails is told and does not keep the others. The exit status."""
    failed = False
    for group in groups:
        try:
            act(group)
        except KafkaError as error:
            failed = True
            print(f"broker {NAME}: {error.message or meaning(error.code)}", file=sys.stderr)
    return 1 if failed else 0


# Actions.


def _list(cluster: Cluster, options: argparse.Namespace) -> int:
    states = _choices(options.state, STATES, "--state")
    types = _choices(options.type, (CLASSIC, CONSUMER), "--type")
    found = list_groups(cluster, states, types)
    if options.state is None and options.type is None:
        for group in found:
            print(group.group_id)
        return 0
    width = max([15, *(len(group.group_id) for group in found)]) + 10
    columns = [("GROUP", [group.group_id.ljust(width) for group in found])]
    if options.type is not None:
        columns.append(("TYPE", [(group.group_type or "Unknown").capitalize().ljust(20) for group in found]))
    if options.state is not None:
        columns.append(("STATE", [(group.group_state or "Unknown").ljust(20) for group in found]))
    print(" ".join([columns[0][0].ljust(width), *(name.ljust(20) for name, _ in columns[1:])]))
    for row in zip(*(cells for _, cells in columns), strict=True):
        print(" ".join(row))
    return 0


def _choices(text: str | None, known: tuple[str, ...], option: str) -> list[str]:
    """`stable,empty` as the names that brokers know."""
    by_lower = {name.lower(): name for name in known}
    found = [one.strip() for one in (text or "").split(",") if one.strip()]
    for one in found:
        if one.lower() not in by_lower:
            raise UsageError(f"{option} {one} is not known, only {', '.join(known)}")
    return [by_lower[one.lower()] for one in found]


def _describe(cluster: Cluster, options: argparse.Namespace) -> int:
    def describe(group_id: str) -> None:
        group = describe_group(cluster, group_id)
        if options.members:
            print_members(group, verbose=options.verbose)
        elif options.state is not None:
            print_state(group, verbose=options.verbose)
        else:
            print_offsets(cluster, group, verbose=options.verbose)

    return _each(_group_ids(cluster, options), describe)


def _reset(cluster: Cluster, options: argparse.Namespace) -> int:
    if not options.dry_run and not options.execute:
        print(NOT_EXECUTED, file=sys.stderr)
    plans: dict[str, Plan] = {}

    def reset(group: str) -> None:
        plans[group] = reset_offsets(cluster, group, options)

    status = _each(_group_ids(cluster, options), reset)
    if options.export:
        print(export_plans(plans, with_group=len(options.group or []) != 1))
    elif plans:
        print_plans(plans)
    return status


def _delete(cluster: Cluster, options: argparse.Namespace) -> int:
    groups = _group_ids(cluster, options)
    deleted: list[str] = []

    def delete(group: str) -> None:
        def ask() -> None:
            response = cluster.coordinator(group).ask(DeleteGroupsRequest(groups_names=[group]), DeleteGroupsResponse)
            check(response.results[0].error_code, f"Group '{group}' could not be deleted")

        asking_coordinator(cluster, group, ask)
        deleted.append(group)

    status = _each(groups, delete)
    names = ", ".join(f"'{group}'" for group in deleted)
    if status == 0:
        print(f"Deletion of requested consumer groups ({names}) was successful.")
    elif deleted:
        print(f"\nThese consumer groups were deleted successfully: {names}")
    return status


def _delete_offsets(cluster: Cluster, options: argparse.Namespace) -> int:
    group = options.group[0]
    wanted: dict[str, list[int]] = {}
    for text in options.topic:
        topic, indexes = partitions_of(text)
        wanted.setdefault(topic, []).extend(indexes if indexes is not None else sorted(cluster.leaders(topic)))
    request = OffsetDeleteRequest(
        group_id=group,
        topics=[
            OffsetDeleteRequestTopic(
                name=topic, partitions=[OffsetDeleteRequestPartition(partition_index=index) for index in sorted(set(indexes))]
            )
            for topic, indexes in sorted(wanted.items())
        ],
    )

    def ask() -> list[tuple[TopicPartition, int]]:
        response = cluster.coordinator(group).ask(request, OffsetDeleteResponse)
        check(response.error_code, f"group '{group}'")
        return [((topic.name, one.partition_index), one.error_code) for topic in response.topics for one in topic.partitions]

    outcomes = asking_coordinator(cluster, group, ask)
    failed = any(code != ErrorCode.NONE for _, code in outcomes)
    if not failed:
        print(f"Request succeeded for deleting offsets from group {group}.")
    rows = [
        (topic, index, "Successful" if code == ErrorCode.NONE else f"Error: {meaning(code)}")
        for (topic, index), code in sorted(outcomes)
    ]
    print_table(["TOPIC", "PARTITION", "STATUS"], rows, [15, 10, 15])
    if failed:
        raise Failure("Encountered some partition-level error, see the details above.")
    return 0
