"""How far each consumer group has come: committed offset, log end offset and lag per partition, and who holds it.

Seen through the Kafka protocol only, as any tool would.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConsumerGroupDescription, OffsetSpec

from demo.layout import DemoError

TIMEOUT_SECONDS = 10.0
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class GroupRow:
    """One partition of one group; None where Kafka's tool prints a dash."""

    group: str
    topic: str
    partition: int
    committed: int | None
    log_end: int | None
    member: str | None
    host: str | None

    @property
    def lag(self) -> int | None:
        return None if self.committed is None or self.log_end is None else self.log_end - self.committed


class BrokerSilent(DemoError):
    """The broker does not answer, or refuses."""


def group_rows(bootstrap_servers: str) -> list[GroupRow]:
    """All groups' partitions, sorted; those that are assigned but have no committed offset yet are shown as well."""
    try:
        return _group_rows(bootstrap_servers)
    except KafkaException as error:
        raise BrokerSilent(f"the broker at {bootstrap_servers} does not answer: {error.args[0].str()}") from error


def _group_rows(bootstrap_servers: str) -> list[GroupRow]:
    # Silent about its connections: what went wrong in the end is in the exception.
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    listed = admin.list_consumer_groups(request_timeout=TIMEOUT_SECONDS).result()
    if listed.errors:
        raise KafkaException(listed.errors[0])
    group_ids = sorted(group.group_id for group in listed.valid)
    if not group_ids:
        return []
    described = admin.describe_consumer_groups(group_ids, request_timeout=TIMEOUT_SECONDS)
    owners = {group_id: _owners(future.result()) for group_id, future in described.items()}
    committed = {group_id: _committed(admin, group_id) for group_id in group_ids}
    partitions = {key for offsets in committed.values() for key in offsets} | {key for held in owners.values() for key in held}
    log_ends = _log_ends(admin, sorted(partitions))
    rows = []
    for group_id in group_ids:
        for topic, partition in sorted(committed[group_id].keys() | owners[group_id].keys()):
            member, host = owners[group_id].get((topic, partition), (None, None))
            offset = committed[group_id].get((topic, partition))
            rows.append(GroupRow(group_id, topic, partition, offset, log_ends.get((topic, partition)), member, host))
    return rows


def _owners(description: ConsumerGroupDescription) -> dict[tuple[str, int], tuple[str, str]]:
    return {
        (held.topic, held.partition): (member.member_id, member.host)
        for member in description.members
        for held in member.assignment.topic_partitions
    }


def _committed(admin: AdminClient, group_id: str) -> dict[tuple[str, int], int]:
    request = [ConsumerGroupTopicPartitions(group_id)]
    offsets = admin.list_consumer_group_offsets(request, request_timeout=TIMEOUT_SECONDS)[group_id].result()
    return {(item.topic, item.partition): item.offset for item in offsets.topic_partitions or [] if item.offset >= 0}


def _log_ends(admin: AdminClient, partitions: list[tuple[str, int]]) -> dict[tuple[str, int], int]:
    if not partitions:
        return {}
    wanted = {TopicPartition(topic, partition): OffsetSpec.latest() for topic, partition in partitions}
    futures = admin.list_offsets(wanted, request_timeout=TIMEOUT_SECONDS)
    return {(key.topic, key.partition): future.result().offset for key, future in futures.items()}


def wait_for_groups(bootstrap_servers: str, group_ids: Sequence[str], timeout_seconds: float) -> list[str]:
    """Until all these groups are at lag 0 everywhere; what is still missing after `timeout_seconds`, in words.

    A broker that is just starting again is waited for as well; BrokerSilent when it does not come back.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            behind = what_is_behind(group_rows(bootstrap_servers), group_ids)
        except BrokerSilent:
            if time.monotonic() > deadline:
                raise
        else:
            if not behind or time.monotonic() > deadline:
                return behind
        time.sleep(POLL_SECONDS)


def what_is_behind(rows: Sequence[GroupRow], group_ids: Sequence[str]) -> list[str]:
    """In words: groups without a partition, and partitions with records that a group has not taken."""
    missing = [group_id for group_id in group_ids if not any(row.group == group_id for row in rows)]
    # A partition without a record has no committed offset, and needs none.
    behind = [row for row in rows if row.group in group_ids and (row.log_end if row.lag is None else row.lag)]
    return [f"group {group_id} has no partition" for group_id in missing] + [
        f"group {row.group} is behind on {row.topic}-{row.partition}: committed {row.committed}, log end {row.log_end}"
        for row in behind
    ]
