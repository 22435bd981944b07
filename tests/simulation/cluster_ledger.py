"""What clients of a cluster were told, held against what the cluster's disks hold (`audit`).

As in `ledger`, with these differences:

- only what was acknowledged by all (acks=all), or seen by a consumer, is promised; what was acknowledged by the leader alone is
  counted, and what of it was lost
- a broker that was cut off may answer with what it knew before: high watermarks are compared within a leader epoch, and a
  group's offset only when whoever says it leads the partition of that group, both when it was asked and when it answered
- one broker leads a partition in one epoch, as far as anybody was ever told
- when the disk budget is exceeded, what is lost is counted, and nothing else is let pass
"""

from collections.abc import Callable, Iterable, Mapping
from uuid import UUID

from broker.group.manager import partition_of
from broker.record.records import Record
from broker.storage.simulated import CrashMode
from simulation.audit import Audit
from simulation.disk_view import OFFSETS_TOPIC, Key
from simulation.ledger import NO_EPOCH, NO_OFFSET, Commits, InvariantBroken, Ledger, Topic, broken
from simulation.world import Host

# No idempotent producer writes more to a partition between two looks.
VALUE_HEAD = 64


class ClusterLedger(Ledger):
    """See the module."""

    def __init__(self, note: Callable[[str, str], None], audit: Audit, offsets_partitions: int) -> None:
        super().__init__(note)
        self.audit = audit
        self.answers_lag = True
        self._offsets_partitions = offsets_partitions
        self._leaders: dict[tuple[UUID, int, int], int] = {}
        self._high_watermarks: dict[tuple[UUID, int, int], int] = {}
        # Where the records of idempotent producers stand, by partition.
        self._places: dict[Key, dict[bytes, int]] = {}
        # Values that the leader alone acknowledged.
        self.weak: dict[Key, set[bytes]] = {}

    # Records.

    @property
    def forgiving(self) -> bool:
        """Whether more was taken from the cluster than its promise covers."""
        return self.audit.budget.exceeded > 0

    def acknowledged(self, topic_id: UUID, index: int, base_offset: int, values: Iterable[bytes], acks: int = -1) -> None:
        if topic_id in self.doomed:
            return
        if acks == 1:
            self.weak.setdefault((topic_id, index), set()).update(values)
            return
        super().acknowledged(topic_id, index, base_offset, values, acks)
        self.audit.look()

    def claim(self, key: Key, offset: int, value: bytes) -> None:
        try:
            super().claim(key, offset, value)
            self._place(key, offset, value)
        except InvariantBroken:
            if not self.forgiving:
                raise
            self._lose(key, offset)
            self.partition(*key).known[offset] = value
        self.audit.learn(key, offset, value)

    def _place(self, key: Key, offset: int, value: bytes) -> None:
        producer = value[:VALUE_HEAD].partition(b"|")[0].rpartition(b"/")[0].decode(errors="replace")
        if producer in self.idempotent:
            place = self._places.setdefault(key, {}).setdefault(value, offset)
            if place != offset:
                raise broken(f"{self._where(*key)}: {value[:32]!r} stands at {place} and again at {offset}")

    def _lose(self, key: Key, offset: int) -> None:
        """Whatever stood there is gone."""
        partition = self.partition(*key)
        partition.lost.add(partition.known.pop(offset))
        partition.acknowledged.discard(offset)
        partition.reused.add(offset)
        self.audit.committed.get(key, {}).pop(offset, None)

    def high_watermark(self, topic_id: UUID, index: int, epoch: int = NO_EPOCH) -> int:
        return self._high_watermarks.get((topic_id, index, epoch), 0) if epoch != NO_EPOCH else 0

    def fetched(
        self,
        group: str,
        topic_id: UUID,
        index: int,
        records: Iterable[Record],
        high_watermark: int,
        floor: int,
        epoch: int = NO_EPOCH,
    ) -> None:
        known = (topic_id, index, epoch)
        if epoch != NO_EPOCH:
            self._high_watermarks[known] = max(self._high_watermarks.get(known, 0), high_watermark)
        super().fetched(group, topic_id, index, records, high_watermark, floor, epoch)

    def place_of(self, topic_id: UUID, index: int, value: bytes) -> int | None:
        self.audit.look()
        return self.audit.place_of((topic_id, index), value)

    # Leaders.

    def leads(self, topic_id: UUID, index: int, host: str) -> bool:
        self.audit.look()
        partition = self.audit.view.partitions.get((topic_id, index))
        return partition is not None and partition.leader >= 0 and self.audit.hosts[partition.leader].name == host

    def told_leader(self, topic_id: UUID, index: int, node_id: int, epoch: int) -> None:
        known = self._leaders.setdefault((topic_id, index, epoch), node_id)
        if known != node_id:
            raise broken(f"{self._where(topic_id, index)}: brokers {known} and {node_id} both lead in epoch {epoch}")

    # Groups.

    def _coordinates(self, host: str, group: str) -> int | None:
        """In which epoch the broker on a host leads the group's partition; None when it does not."""
        index = partition_of(group, self._offsets_partitions)
        for (_, number), partition in self.audit.view.partitions.items():
            if partition.topic == OFFSETS_TOPIC and number == index and partition.leader >= 0:
                return partition.leader_epoch if self.audit.hosts[partition.leader].name == host else None
        return None

    def asks(self, host: str, group: str) -> int | None:
        self.audit.look()
        return self._coordinates(host, group)

    def committed(
        self, group: str, topic: str, index: int, offset: int, *, since: int, host: str = "", asked: int | None = None
    ) -> None:
        self.audit.look()
        epoch = self._coordinates(host, group)
        if epoch is not None and epoch == asked and not self.forgiving:
            super().committed(group, topic, index, offset, since=since)
            return
        # It may answer from before it was cut off; but not with what nobody ever asked for.
        commits = self.commits.setdefault((group, topic, index), Commits())
        if offset not in {NO_OFFSET, *commits.sent}:
            raise broken(f"group {group} stands at {offset} in {topic}-{index}, which nobody has committed")

    # Topics.

    def topic_made(self, topic_id: UUID, topic: Topic) -> None:
        super().topic_made(topic_id, topic)
        self.audit.look()
        if topic_id not in self.audit.view.topics:
            raise broken(f"topic {topic.name} ({topic_id}) was made, and is not in the committed metadata")

    def topic_deleted(self, topic_id: UUID) -> None:
        super().topic_deleted(topic_id)
        self.audit.look()
        if topic_id in self.audit.view.topics:
            raise broken(f"topic {self.topics[topic_id].name} ({topic_id}) was deleted, and is in the committed metadata")

    def described(self, found: Mapping[UUID, tuple[str, int]], made: Mapping[UUID, int], deleted: set[UUID]) -> None:
        """A broker may lag behind: only what the whole cluster says in peace counts."""
        if not self.answers_lag:
            super().described(found, made, deleted)

    # Hosts.

    def crashes(self, host: Host, mode: CrashMode) -> None:
        exceeded = self.audit.budget.exceeded
        self.audit.crashes(host, mode)
        self.machine_deaths += self.audit.budget.exceeded - exceeded

    def stopped(self, host: Host) -> None:
        self.audit.stopped(host)

    def started(self, host: Host) -> None:
        self.audit.started(host)

    # The end.

    def missed(self, group: str, topics: Iterable[UUID]) -> list[str]:
        """As in `ledger`; asked when all replicas are in sync, so that what is lost beyond the budget is known by now."""
        if self.forgiving:
            self.audit.look()
            for key, partition in self.audit.view.partitions.items():
                if key in self.partitions and partition.leader >= 0:
                    log = self.audit.disks[partition.leader].logs[key]
                    for offset, value in list(self.partitions[key].known.items()):
                        if offset >= log.start and log.records.get(offset) != value:
                            self._lose(key, offset)
        return super().missed(group, topics)

    def finish(self) -> None:
        """In peace, with every replica in sync: all disks hold the same, and all that was promised."""
        for key, partition in self.audit.view.partitions.items():
            logs = [self.audit.disks[node_id].logs[key] for node_id in partition.replicas]
            first, where = logs[0], self._where(*key)
            for log in logs[1:]:
                start = max(first.start, log.start)
                if {o: v for o, v in first.records.items() if o >= start} != {o: v for o, v in log.records.items() if o >= start}:
                    raise broken(f"{where}: the replicas differ at the end")
            if key in self.partitions and key[0] not in self.doomed:
                self._finish(key, first.records, first.start)

    def _finish(self, key: Key, records: Mapping[int, bytes], start: int) -> None:
        partition, where = self.partition(*key), self._where(*key)
        for offset, value in list(partition.known.items()):
            if offset >= start and records.get(offset) != value:
                if not self.forgiving:
                    found = records.get(offset, b"nothing")[:32]
                    raise broken(f"{where}: {value[:32]!r} was committed at {offset}, at the end there is {found!r}")
                self._lose(key, offset)
        if not self.forgiving:
            self.check_places(where, records)

    def weak_lost(self) -> int:
        """How many records that the leader alone acknowledged stand nowhere at the end."""
        lost = 0
        for key, values in self.weak.items():
            partition = self.audit.view.partitions.get(key)
            if partition is not None and key[0] not in self.doomed:
                lost += len(values - set(self.audit.disks[partition.replicas[0]].logs[key].records.values()))
        return lost
