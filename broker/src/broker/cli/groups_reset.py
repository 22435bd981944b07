"""What `broker consumer-groups --reset-offsets` plans: new offsets for partitions of an inactive group.

Offsets beyond a log's ends are brought back to them, and that is said. The plan comes from one of eight scenarios.
"""

import argparse
import csv
import io
import re
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from broker.cli.cluster import Cluster
from broker.cli.failures import UsageError
from broker.cli.group_offsets import commit, committed
from broker.cli.groups import DEAD, EMPTY, describe_group
from broker.cli.offsets import EARLIEST, LATEST, TopicPartition, list_offsets
from broker.cli.options import partitions_of
from broker.cli.tables import print_table
from broker.protocol.errors import ErrorCode, KafkaError

SCENARIOS = ("to_offset", "shift_by", "to_datetime", "by_duration", "to_earliest", "to_latest", "to_current", "from_file")
DURATION = re.compile(
    r"(?P<sign>[-+]?)P(?:(?P<days>[-+]?\d+)D)?"
    r"(?:T(?:(?P<hours>[-+]?\d+)H)?(?:(?P<minutes>[-+]?\d+)M)?(?:(?P<seconds>[-+]?\d+(?:[.,]\d{0,9})?)S)?)?",
    re.ASCII | re.IGNORECASE,
)
Plan = dict[TopicPartition, int]


def reset_offsets(cluster: Cluster, group: str, options: argparse.Namespace) -> Plan:
    """The plan for a group, carried out with --execute. KafkaError when it has members."""
    try:
        state = describe_group(cluster, group).state
    except KafkaError as error:
        if error.code is not ErrorCode.GROUP_ID_NOT_FOUND:
            raise
        state = DEAD
    if state not in (EMPTY, DEAD):
        text = f"Assignments can only be reset if the group '{group}' is inactive, but the current state is {state}."
        raise KafkaError(ErrorCode.NON_EMPTY_GROUP, f"{text} Stop its members first.")
    plan = _plan(cluster, group, options)
    if options.execute:
        commit(cluster, group, plan)
    return plan


def _plan(cluster: Cluster, group: str, options: argparse.Namespace) -> Plan:
    if options.from_file is not None:
        plans = read_plan(options.from_file, options.group or [])
        if group not in plans:
            raise UsageError(f"No reset plan for group {group} found in {options.from_file}.")
        return within_ends(cluster, plans[group])
    wanted = _partitions(cluster, group, options)
    if options.to_offset is not None:
        return within_ends(cluster, dict.fromkeys(wanted, options.to_offset))
    if options.to_earliest or options.to_latest:
        return list_offsets(cluster, wanted, EARLIEST if options.to_earliest else LATEST)
    if options.to_current or options.shift_by is not None:
        return _from_current(cluster, group, wanted, options.shift_by)
    if options.to_datetime is not None:
        return _at_time(cluster, wanted, moment_ms(options.to_datetime))
    return _at_time(cluster, wanted, time.time_ns() // 1_000_000 - duration_ms(options.by_duration))


def _from_current(cluster: Cluster, group: str, wanted: list[TopicPartition], shift_by: int | None) -> Plan:
    """--shift-by, or --to-current without it: where nothing is committed, the log's end."""
    current = {partition: one.offset for partition, one in committed(cluster, group).items()}
    absent = [partition for partition in wanted if partition not in current]
    there = {partition: current[partition] for partition in wanted if partition in current}
    if shift_by is None:
        return there | list_offsets(cluster, absent, LATEST)
    if absent:
        topic, index = absent[0]
        raise UsageError(f"Cannot shift offset for partition {topic}-{index} since there is no current committed offset")
    return within_ends(cluster, {partition: offset + shift_by for partition, offset in there.items()})


def _partitions(cluster: Cluster, group: str, options: argparse.Namespace) -> list[TopicPartition]:
    """The partitions of --topic, or those the group has offsets for. KafkaError names one that does not exist."""
    if options.all_topics:
        return sorted(committed(cluster, group))
    wanted = []
    for text in options.topic:
        topic, indexes = partitions_of(text)
        there = cluster.leaders(topic)
        missing = [index for index in indexes or [] if index not in there]
        if missing:
            names = ",".join(f"{topic}-{index}" for index in missing)
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f'The partitions "{names}" do not exist')
        wanted += [(topic, index) for index in (indexes or there)]
    return sorted(set(wanted))


def within_ends(cluster: Cluster, asked: Mapping[TopicPartition, int]) -> Plan:
    """Offsets brought back to the ends of their logs."""
    starts, ends = list_offsets(cluster, asked, EARLIEST), list_offsets(cluster, asked, LATEST)
    plan = {}
    for partition, offset in asked.items():
        plan[partition] = min(max(offset, starts[partition]), ends[partition])
        if plan[partition] != offset:
            how = "higher than latest" if offset > ends[partition] else "lower than earliest"
            name = f"{partition[0]}-{partition[1]}"
            text = f"New offset ({offset}) is {how} offset for topic partition {name}. Value will be set to {plan[partition]}."
            print(f"WARN {text}", file=sys.stderr)
    return plan


def _at_time(cluster: Cluster, wanted: list[TopicPartition], timestamp: int) -> Plan:
    if timestamp < 0:
        raise UsageError("the moment lies before 1970, and no record is so old; --to-earliest goes to the oldest")
    plan = list_offsets(cluster, wanted, timestamp)
    absent = sorted(partition for partition, offset in plan.items() if offset < 0)
    for topic, index in absent:
        print(f"\nWarn: Partition {index} from topic {topic} is empty. Falling back to latest known offset.")
    return plan | list_offsets(cluster, absent, LATEST)


def moment_ms(text: str) -> int:
    """`YYYY-MM-DDThh:mm:ss.sss`, in UTC unless it names an offset. UsageError."""
    try:
        moment = datetime.fromisoformat(text)
        if "T" not in text:
            raise ValueError
    except ValueError:
        raise UsageError(
            f"--to-datetime {text} is not of the form YYYY-MM-DDThh:mm:ss.sss, e.g. 2026-01-31T09:30:00.000"
        ) from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))


def duration_ms(text: str) -> int:
    """`PnDTnHnMnS` as Java reads it. UsageError."""
    found = DURATION.fullmatch(text)
    if found is None or text[-1] in "PpTt":
        raise UsageError(f"--by-duration {text} is not of the form PnDTnHnMnS, e.g. PT1H30M or P7D")
    parts = {name: float((found[name] or "0").replace(",", ".")) for name in ("days", "hours", "minutes", "seconds")}
    milliseconds = round(timedelta(**parts) / timedelta(milliseconds=1))
    return -milliseconds if found["sign"] == "-" else milliseconds


# The plan as text.


def read_plan(file: str, groups: list[str]) -> dict[str, Plan]:
    """A file of --export: `topic,partition,offset`, or with the group before it. UsageError names the line."""
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {file}: {getattr(error, 'strerror', None) or error}") from error
    plans: dict[str, Plan] = {}
    for number, row in enumerate(csv.reader(io.StringIO(text)), 1):
        if not row:
            continue
        cells = [groups[0], *row] if len(row) == 3 and len(groups) == 1 else row
        try:
            group, topic, partition, offset = cells
            plans.setdefault(group, {})[topic, int(partition)] = int(offset)
        except ValueError:
            form = "topic,partition,offset" if len(groups) == 1 else "group,topic,partition,offset"
            raise UsageError(f"{file}, line {number}: {','.join(row)} is not of the form {form}") from None
    return plans


def export_plans(plans: Mapping[str, Plan], *, with_group: bool) -> str:
    """The plans as `read_plan` reads them."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for group, topic, partition, offset in _rows(plans):
        writer.writerow([group, topic, partition, offset] if with_group else [topic, partition, offset])
    return out.getvalue()


def print_plans(plans: Mapping[str, Plan]) -> None:
    """The plans as a table."""
    print_table(["GROUP", "TOPIC", "PARTITION", "NEW-OFFSET"], list(_rows(plans)), [15, 15, 10, 0])


def _rows(plans: Mapping[str, Plan]) -> Iterable[tuple[str, str, int, int]]:
    return [
        (group, topic, partition, offset)
        for group, plan in sorted(plans.items())
        for (topic, partition), offset in sorted(plan.items())
    ]
