"""What `broker consumer-groups --describe` prints: offsets and lag, members, or the state of each group."""

import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from broker.cli.cluster import NO_LEADER, Cluster
from broker.cli.group_offsets import Committed, committed
from broker.cli.groups import DEAD, EMPTY, STABLE, Group, GroupMember
from broker.cli.offsets import LATEST, TopicPartition, list_offsets
from broker.cli.tables import print_table

MISSING = "-"
NO_EPOCH = -1


class OffsetRow(NamedTuple):
    """A partition of a group."""

    topic: str
    partition: int
    committed: Committed | None
    log_end_offset: int | None
    member: GroupMember | None


def print_offsets(cluster: Cluster, group: Group, *, verbose: bool) -> None:
    """Committed offset, log end offset and lag of each partition, those of members first."""
    rows = offset_rows(cluster, group)
    if not _tell_state(group) or not rows:
        return
    header = ["GROUP", "TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "CONSUMER-ID", "HOST", "CLIENT-ID"]
    widths = [15, 15, 10, 15, 15, 15, 15, 15, 0]
    cells = [_offset_cells(group.group_id, row) for row in rows]
    if verbose:
        header.insert(3, "LEADER-EPOCH")
        widths.insert(3, 15)
        for row, line in zip(rows, cells, strict=True):
            known = row.committed is not None and row.committed.leader_epoch != NO_EPOCH
            line.insert(3, row.committed.leader_epoch if known and row.committed else MISSING)
    print_table(header, cells, widths)


def offset_rows(cluster: Cluster, group: Group) -> list[OffsetRow]:
    """Members with most partitions first, then partitions that nobody has."""
    offsets = committed(cluster, group.group_id)
    owned = {partition for member in group.members for partition in member.partitions}
    ends = log_end_offsets(cluster, owned | offsets.keys())
    members = sorted((member for member in group.members if member.partitions), key=lambda member: -len(member.partitions))
    shares: list[tuple[GroupMember | None, Sequence[TopicPartition]]] = [
        (member, sorted(member.partitions)) for member in members
    ]
    shares.append((None, sorted(offsets.keys() - owned)))
    return [
        OffsetRow(*partition, offsets.get(partition), ends.get(partition), member)
        for member, partitions in shares
        for partition in partitions
    ]


def log_end_offsets(cluster: Cluster, partitions: set[TopicPartition]) -> Mapping[TopicPartition, int]:
    """Without partitions that are gone or have no leader."""
    topics = sorted({topic for topic, _ in partitions})
    if not topics:
        return {}
    there = {
        (topic.name or "", one.partition_index)
        for topic in cluster.metadata(topics).topics
        for one in topic.partitions
        if one.leader_id != NO_LEADER
    }
    return list_offsets(cluster, partitions & there, LATEST)


def _offset_cells(group_id: str, row: OffsetRow) -> list[object]:
    current = MISSING if row.committed is None else row.committed.offset
    end = MISSING if row.log_end_offset is None else row.log_end_offset
    lag = MISSING if row.committed is None or row.log_end_offset is None else row.log_end_offset - row.committed.offset
    member = row.member
    who = [MISSING] * 3 if member is None else [member.member_id, member.host, member.client_id]
    return [group_id, row.topic, row.partition, current, end, lag, *who]


def print_members(group: Group, *, verbose: bool) -> None:
    """Members and how many partitions each has, or which."""
    _tell_state(group)
    static = any(member.instance_id for member in group.members)
    header, widths = ["GROUP", "CONSUMER-ID", "HOST", "CLIENT-ID", "#PARTITIONS"], [15, 15, 15, 15, 15]
    if static:
        header.insert(2, "GROUP-INSTANCE-ID")
        widths.insert(2, 17)
    if verbose:
        # Epochs and targets are what members of the newer protocol have.
        header += ["CURRENT-EPOCH", "CURRENT-ASSIGNMENT", "TARGET-EPOCH", "TARGET-ASSIGNMENT"]
        widths += [15, 20, 15, 20]
    rows = []
    for member in group.members:
        row: list[object] = [group.group_id, member.member_id]
        row += [member.instance_id] if static else []
        row += [member.host, member.client_id, len(member.partitions)]
        row += [MISSING, assignment_text(member.partitions), MISSING, MISSING] if verbose else []
        rows.append(row)
    print_table(header, rows, widths)


def assignment_text(partitions: Sequence[TopicPartition]) -> str:
    """`topic1:0,1;topic2:0`."""
    topics: dict[str, list[int]] = {}
    for topic, index in sorted(partitions):
        topics.setdefault(topic, []).append(index)
    return ";".join(f"{topic}:{','.join(map(str, indexes))}" for topic, indexes in topics.items()) or MISSING


def print_state(group: Group, *, verbose: bool) -> None:
    """Coordinator, assignor, state, how many members."""
    if not _tell_state(group):
        return
    node = group.coordinator
    header = ["GROUP", "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE", "#MEMBERS"]
    widths = [15, 25, 20, 20, 0]
    row = [
        group.group_id,
        f"{node.host}:{node.port}  ({node.node_id})",
        group.protocol or MISSING,
        group.state,
        str(len(group.members)),
    ]
    if verbose:
        header[4:4] = ["GROUP-EPOCH", "TARGET-ASSIGNMENT-EPOCH"]
        widths[4:4] = [15, 25]
        row[4:4] = [MISSING, MISSING]
    print_table(header, [row], widths)


def _tell_state(group: Group) -> bool:
    """Say on standard error what is unusual; whether there is anything to show."""
    if group.state == EMPTY:
        print(f"\nConsumer group '{group.group_id}' has no active members.", file=sys.stderr)
    elif group.state not in (STABLE, DEAD):
        print(f"\nWarning: Consumer group '{group.group_id}' is rebalancing.", file=sys.stderr)
    return group.state != DEAD
