"""Who leads a partition and who is in its ISR and ELR after something changed: one function decides all such changes.

A leader comes from the ISR in the order of the replicas; when the ISR is empty from the eligible leader replicas (KIP-966),
then from the last known leader when nobody else is eligible, and only where unclean elections are allowed from anybody alive.
An ISR under the minimum fills the ELR with those who leave it. Source: ``PartitionChangeBuilder``, ``ReplicationControlManager``.
Not done: reassignments, log directories of their own.
"""

from collections.abc import Callable, Iterator
from enum import Enum

from broker.config import TopicConfig
from broker.controller.context import Context
from broker.metadata.image import NO_LEADER, TOPIC_RESOURCE, PartitionImage, TopicImage
from broker.protocol.message import Record
from broker.protocol.messages.metadata_records import PartitionChangeRecord

RECOVERED, RECOVERING = 0, 1
# PartitionChangeRecord: the leader, or the recovery state, does not change.
NO_LEADER_CHANGE, NO_STATE_CHANGE = -2, -1
Replicas = tuple[int, ...]
Acceptable = Callable[[int], bool]


class Election(Enum):
    """Whom an election prefers, and how far it goes."""

    PREFERRED = "preferred"
    ONLINE = "online"
    UNCLEAN = "unclean"


class PartitionChange:
    """One partition on its way from one state to the next. `acceptable(replica)`: whether it is alive and may lead."""

    def __init__(
        self,
        before: PartitionImage,
        min_insync_replicas: int,
        acceptable: Acceptable,
        *,
        target_isr: Replicas | None = None,
        election: Election = Election.ONLINE,
        unclean_shutdowns: Replicas = (),
        leader_recovery_state: int | None = None,
    ) -> None:
        self._before = before
        self._minimum = min(min_insync_replicas, len(before.replicas))
        self._acceptable = acceptable
        self._election = election
        self._unclean_shutdowns = unclean_shutdowns
        self._isr = before.isr if target_isr is None else target_isr
        self._elr: Replicas = before.elr
        self._recovery_state = before.leader_recovery_state if leader_recovery_state is None else leader_recovery_state

    def record(self, topic: TopicImage, index: int) -> PartitionChangeRecord | None:
        """What is to be written; None when nothing changes."""
        before = self._before
        self._fill_elr()
        leader, unclean = self._elect()
        made = PartitionChangeRecord(partition_id=index, topic_id=topic.topic_id)
        if leader != before.leader:
            self._install(made, leader, unclean=unclean)
        if self._elr != before.elr:
            made.eligible_leader_replicas = list(self._elr)
        if made.isr is None and self._isr != before.isr:
            made.isr = list(self._isr)
        self._note_last_leader(made)
        if made.leader_recovery_state == NO_STATE_CHANGE and self._recovery_state != before.leader_recovery_state:
            made.leader_recovery_state = self._recovery_state
        return made if made != PartitionChangeRecord(partition_id=index, topic_id=topic.topic_id) else None

    def _fill_elr(self) -> None:
        """While the ISR is under the minimum the high watermark stands still, so who leaves it now has all that is committed."""
        if len(self._isr) >= self._minimum:
            self._elr = ()
            return
        candidates = dict.fromkeys((*self._elr, *self._before.isr))
        self._elr = tuple(one for one in candidates if one not in self._isr and one not in self._unclean_shutdowns)

    # Electing.

    def _elect(self) -> tuple[int, bool]:
        """The leader, and whether its election was unclean."""
        before = self._before
        first = before.replicas[0] if self._election is Election.PREFERRED else before.leader
        for replica in (first, before.leader, *before.replicas):
            if self._is_valid(replica):
                return replica, False
        if self._can_elect_last_known_leader():
            return before.last_known_elr[0], True
        if self._election is Election.UNCLEAN:
            for replica in before.replicas:
                if self._acceptable(replica):
                    return replica, True
        return NO_LEADER, False

    def _is_valid(self, replica: int) -> bool:
        eligible = replica in self._isr or (not self._isr and replica in self._elr)
        return eligible and self._acceptable(replica)

    def _can_elect_last_known_leader(self) -> bool:
        """Nobody is eligible any more: the one that led last is the best there is."""
        known = self._before.last_known_elr
        return not self._elr and not self._isr and len(known) == 1 and self._acceptable(known[0])

    def _install(self, made: PartitionChangeRecord, leader: int, *, unclean: bool) -> None:
        if leader in self._elr:
            self._isr = (leader,)
            self._elr = tuple(replica for replica in self._elr if replica != leader)
        made.leader = leader
        if unclean:
            # Its log is the truth now, whatever the others have: that may lose records.
            self._isr, self._elr = (leader,), ()
            made.isr = [leader]
            if self._before.leader_recovery_state != RECOVERING:
                made.leader_recovery_state = RECOVERING

    def _note_last_leader(self, made: PartitionChangeRecord) -> None:
        known = self._before.last_known_elr
        if made.leader == NO_LEADER and not known:
            made.last_known_elr = [self._before.leader]
        elif made.leader >= 0 and known:
            made.last_known_elr = []


def change_partition(
    context: Context,
    topic: TopicImage,
    index: int,
    acceptable: Acceptable,
    *,
    target_isr: Replicas | None = None,
    election: Election | None = None,
    unclean_shutdowns: Replicas = (),
    leader_recovery_state: int | None = None,
) -> PartitionChangeRecord | None:
    """The record that changes a partition; `election` None is what the topic's settings allow."""
    config = topic_config(context, topic.name)
    allowed = Election.UNCLEAN if config.unclean_leader_election_enable else Election.ONLINE
    change = PartitionChange(
        topic.partitions[index],
        config.min_insync_replicas,
        acceptable,
        target_isr=target_isr,
        election=election or allowed,
        unclean_shutdowns=unclean_shutdowns,
        leader_recovery_state=leader_recovery_state,
    )
    return change.record(topic, index)


def topic_config(context: Context, name: str) -> TopicConfig:
    return TopicConfig.from_overrides(context.config, context.image.config(TOPIC_RESOURCE, name), context.dynamic)


def is_active(context: Context, broker_id: int) -> bool:
    """Whether a broker may lead: registered, unfenced, and not about to stop."""
    known = context.image.brokers.get(broker_id)
    return known is not None and not known.fenced and not known.in_controlled_shutdown


def changes_without(context: Context, broker_id: int, *, unclean_shutdown: bool = False) -> list[Record]:
    """A broker went: what becomes of the partitions that have it in their ISR, and after an unclean end in their ELR."""

    def acceptable(replica: int) -> bool:
        return replica != broker_id and is_active(context, replica)

    records: list[Record] = []
    for topic, index, partition in partitions(context):
        concerned = broker_id in partition.isr or (unclean_shutdown and broker_id in partition.elr)
        if not concerned:
            continue
        record = change_partition(
            context,
            topic,
            index,
            acceptable,
            target_isr=tuple(replica for replica in partition.isr if replica != broker_id),
            unclean_shutdowns=(broker_id,) if unclean_shutdown else (),
        )
        if record is not None:
            records.append(record)
    return records


def changes_with(context: Context, broker_id: int) -> list[Record]:
    """A broker came: who leads the partitions that had no leader."""

    def acceptable(replica: int) -> bool:
        return replica == broker_id or is_active(context, replica)

    records: list[Record] = []
    for topic, index, partition in partitions(context):
        if partition.leader == NO_LEADER:
            record = change_partition(context, topic, index, acceptable)
            if record is not None:
                records.append(record)
    return records


def partitions(context: Context) -> Iterator[tuple[TopicImage, int, PartitionImage]]:
    """All of them, in a fixed order."""
    for _, topic in sorted(context.image.topics.items()):
        for index, partition in sorted(topic.partitions.items()):
            yield topic, index, partition


def leads_any(context: Context, broker_id: int) -> bool:
    return any(partition.leader == broker_id for _, _, partition in partitions(context))
