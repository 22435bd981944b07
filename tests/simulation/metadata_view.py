"""What a cluster has agreed on, replayed from the committed records of `__cluster_metadata` by a replay of its own.

Only what the checks need: who leads what in which epoch, ISRs and ELRs, who is fenced. `occurred` counts what happened.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from broker.metadata.records import decode_record
from broker.protocol.message import Record
from broker.protocol.messages.metadata_records import (
    BrokerRegistrationChangeRecord,
    PartitionChangeRecord,
    PartitionRecord,
    RegisterBrokerRecord,
    RemoveTopicRecord,
    TopicRecord,
    UnregisterBrokerRecord,
)
from simulation.disk_view import OFFSETS_TOPIC, Key

NOBODY = -1
NO_LEADER_CHANGE = -2
FENCED, UNFENCED = 1, -1


@dataclass
class PartitionView:
    """One partition as it was agreed on."""

    topic: str
    leader: int
    leader_epoch: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    elr: tuple[int, ...] = ()
    # When this epoch began, as the clock of the simulation has it.
    since_ms: int = 0


@dataclass
class BrokerView:
    """One broker as it was agreed on."""

    epoch: int
    fenced: bool = True
    leaving: bool = False


@dataclass
class MetadataView:
    """See the module. `offset`: behind the last record."""

    topics: dict[UUID, str] = field(default_factory=dict)
    partitions: dict[Key, PartitionView] = field(default_factory=dict)
    brokers: dict[int, BrokerView] = field(default_factory=dict)
    occurred: Counter[str] = field(default_factory=Counter)
    # Partitions whose ISR has a member that it did not have, since somebody asked.
    joined: set[Key] = field(default_factory=set)
    # Brokers that were fenced, since somebody asked.
    fenced: list[int] = field(default_factory=list)
    _going: set[int] = field(default_factory=set)

    def apply(self, values: Sequence[bytes], now_ms: int) -> None:
        """The values of the records of one batch. Whoever is fenced by it leaves the ISRs in the same batch, and before."""
        records = [decode_record(value) for value in values]
        self._going = {
            record.broker_id
            for record in records
            if isinstance(record, BrokerRegistrationChangeRecord | RegisterBrokerRecord | UnregisterBrokerRecord)
        }
        for record in records:
            self._apply(record, now_ms)

    def _apply(self, record: Record, now_ms: int) -> None:
        if isinstance(record, PartitionChangeRecord):
            self._change(record, now_ms)
        elif isinstance(record, PartitionRecord):
            key = (record.topic_id, record.partition_id)
            topic = self.topics[record.topic_id]
            made = PartitionView(topic, record.leader, record.leader_epoch, tuple(record.replicas), tuple(record.isr))
            made.since_ms = now_ms
            self.partitions[key] = made
        elif isinstance(record, TopicRecord):
            self.topics[record.topic_id] = record.name
        elif isinstance(record, RemoveTopicRecord):
            del self.topics[record.topic_id]
            for key in [key for key in self.partitions if key[0] == record.topic_id]:
                del self.partitions[key]
        elif isinstance(record, RegisterBrokerRecord):
            self.brokers[record.broker_id] = BrokerView(record.broker_epoch, record.fenced, record.in_controlled_shutdown)
        elif isinstance(record, BrokerRegistrationChangeRecord):
            self._change_broker(record)
        elif isinstance(record, UnregisterBrokerRecord):
            self.brokers.pop(record.broker_id, None)

    def _change_broker(self, record: BrokerRegistrationChangeRecord) -> None:
        known = self.brokers[record.broker_id]
        if record.fenced == FENCED and not known.fenced:
            self.occurred["broker fenced"] += 1
            self.fenced.append(record.broker_id)
        known.fenced = {FENCED: True, UNFENCED: False}.get(record.fenced, known.fenced)
        known.leaving = known.leaving or record.in_controlled_shutdown == 1

    def _change(self, record: PartitionChangeRecord, now_ms: int) -> None:
        partition = self.partitions[record.topic_id, record.partition_id]
        isr = partition.isr if record.isr is None else tuple(record.isr)
        if record.leader not in (NO_LEADER_CHANGE, partition.leader) and record.leader != NOBODY:
            self._elected(partition, record.leader)
        elif record.leader == NO_LEADER_CHANGE and partition.leader in isr:
            lost = set(partition.isr) - set(isr) - self._going
            # Those who were fenced or stop are taken out by the controller; the others by their leader, because they lag.
            if any(one in self.brokers and not self.brokers[one].fenced and not self.brokers[one].leaving for one in lost):
                self.occurred["ISR shrink"] += 1
            if set(isr) - set(partition.isr):
                self.occurred["ISR expand"] += 1
        if set(isr) - set(partition.isr):
            self.joined.add((record.topic_id, record.partition_id))
        partition.isr = isr
        if record.eligible_leader_replicas is not None:
            partition.elr = tuple(record.eligible_leader_replicas)
        if record.leader != NO_LEADER_CHANGE:
            partition.leader = record.leader
            partition.leader_epoch += 1
            partition.since_ms = now_ms

    def _elected(self, partition: PartitionView, leader: int) -> None:
        self.occurred["election"] += 1
        if leader in partition.isr:
            pass
        elif leader in partition.elr:
            self.occurred["election from the ELR"] += 1
        else:
            self.occurred["election of the last known leader"] += 1
        if partition.topic == OFFSETS_TOPIC:
            self.occurred["coordinator move"] += 1
