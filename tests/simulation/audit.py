"""A cluster seen from outside: what its disks hold, what it has agreed on, and whether that fits with what clients were told.

`look` reads what is new on the disks of all brokers that run. What must hold, whatever happened:

- a batch is known by its offset and its epoch: two replicas never have different ones under the same (partitions and metadata)
- one leader of the quorum in an epoch, and one vote of each voter in an epoch
- one history of committed metadata: what one broker has taken for committed stands so in the log of every other that has come
  so far

And, as long as the disk budget (`budget`) is kept:

- what was acknowledged by all, or seen by a consumer, stands in the log of every member of the ISR
- below the high watermarks that two replicas have noted on their disks, their logs agree
"""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from broker.metadata.topic_names import CLUSTER_METADATA
from broker.protocol import codec
from broker.protocol.messages.raft_records import LeaderChangeMessage
from broker.storage.simulated import CrashMode
from simulation.budget import Budget
from simulation.disk_view import Key, checkpoint
from simulation.ledger import broken
from simulation.metadata_view import MetadataView
from simulation.replicas import Batch, Change, Disk, LogView
from simulation.world import DATA, Host, Simulation

METADATA_DIRECTORY = f"{DATA}/{CLUSTER_METADATA}-0"
HIGH_WATERMARKS = "replication-offset-checkpoint"
CLEAN_MARKER = ".kafka_cleanshutdown"
NOBODY = -1


def is_clean(host: Host) -> bool:
    """Whether a broker has stopped cleanly and has not been started since: everything is durable."""
    return CLEAN_MARKER in host.storage.inside(DATA)


class Audit:
    """See the module. `hosts` by node id."""

    def __init__(self, simulation: Simulation, hosts: Mapping[int, Host]) -> None:
        self.simulation = simulation
        self.hosts = hosts
        self.view = MetadataView()
        self.budget = Budget(self.view, hosts)
        self.disks = {node_id: Disk(host.storage) for node_id, host in hosts.items()}
        self.occurred: Counter[str] = Counter()
        # What is known to be committed of each partition; the ledger adds to it.
        self.committed: dict[Key, dict[int, bytes]] = {}
        self._unchecked: dict[Key, list[int]] = {}
        # Every batch that was ever seen, by partition, offset and epoch.
        self._batches: dict[Key, dict[tuple[int, int], tuple[int, int]]] = {}
        # The committed metadata: batches by base offset, and where they end.
        self._history: dict[int, Batch] = {}
        self._history_end = 0
        self._agreed: dict[int, int] = {}
        self._quorum_leaders: dict[int, int] = {}
        self._votes: dict[tuple[int, int], int] = {}
        self._quorum_files: dict[int, Any] = {}
        self._checkpoints: dict[int, Any] = {}
        # By host: the life in which it was looked at last, and how often its metadata began anew behind a snapshot.
        self._looked_in: dict[int, int] = {}
        # Hosts whose power failed and whose broker has not been let in since: it may not have looked at all its logs yet.
        self._unrecovered: set[int] = set()
        self._restarts: dict[int, int] = {}
        # Batches below a high watermark that a replica has noted, by partition and base offset; and up to where of each replica.
        self._settled: dict[Key, dict[int, Batch]] = {}
        self._below: dict[tuple[int, Key], int] = {}
        # Hosts that died while they were not fenced: in which epoch of the quorum, and whether they led it.
        self._unfenced_deaths: dict[int, tuple[int, bool]] = {}
        self.quorum_epoch = 0
        self._metadata_key: Key | None = None

    # Looking.

    def look(self) -> None:
        """InvariantBroken when something does not fit."""
        for node_id, host in self.hosts.items():
            if host.opened:
                only = CLUSTER_METADATA if node_id in self._unrecovered else None
                self.disks[node_id].look(lambda change, node_id=node_id: self._changed(node_id, change), only)  # type: ignore[misc]
                self._look_at_quorum_state(node_id)
                self._looked_in[node_id] = host.lives
                self._look_at_high_watermarks(node_id)
        self._follow_metadata()
        self._check_committed()
        for node_id in self.budget.settle():
            # What it was forgiven while it was torn counts from now on.
            for key in self.disks[node_id].logs:
                self.recheck(key)

    def _changed(self, node_id: int, change: Change) -> None:
        key, log = change.key, change.log
        is_metadata = log.topic == CLUSTER_METADATA
        known = self._batches.setdefault(key, {})
        for batch in change.came:
            content = (batch.crc, batch.end)
            if known.setdefault((batch.base, batch.epoch), content) != content:
                raise broken(f"{self._where(key)}: two replicas have different batches at {batch.base} in epoch {batch.epoch}")
            if is_metadata and batch.is_control:
                self._led(codec.decode(LeaderChangeMessage, 0, batch.values[0]).leader_id, batch.epoch)
        if change.cut_to is not None:
            self._cut(node_id, change, is_metadata=is_metadata)
        if is_metadata and log.restarts > self._restarts.get(node_id, 0):
            self._restarts[node_id] = log.restarts
            self.occurred["FetchSnapshot"] += 1

    def _cut(self, node_id: int, change: Change, *, is_metadata: bool) -> None:
        assert change.cut_to is not None
        if self._looked_in.get(node_id) == self.hosts[node_id].lives:
            # What a broker cuts when it starts is a torn tail; later it follows a leader.
            self.occurred["metadata truncation" if is_metadata else "truncation by epoch"] += 1
        if is_metadata:
            self._agreed[node_id] = min(self._agreed.get(node_id, 0), change.cut_to)
        elif (node_id, change.key) in self._below:
            self._below[node_id, change.key] = min(self._below[node_id, change.key], change.cut_to)
        self.recheck(change.key)

    def _led(self, leader_id: int, epoch: int) -> None:
        if self._quorum_leaders.setdefault(epoch, leader_id) != leader_id:
            raise broken(f"the quorum has two leaders in epoch {epoch}: {self._quorum_leaders[epoch]} and {leader_id}")

    def _look_at_quorum_state(self, node_id: int) -> None:
        file = self.hosts[node_id].storage.inside(METADATA_DIRECTORY).get("quorum-state")
        if file is None or file is self._quorum_files.get(node_id):
            return
        self._quorum_files[node_id] = file
        state = json.loads(bytes(file.content))  # type: ignore[union-attr]
        epoch, vote, leader = state["leaderEpoch"], state["votedId"], state["leaderId"]
        if vote != NOBODY and self._votes.setdefault((node_id, epoch), vote) != vote:
            raise broken(f"node {node_id} has voted twice in epoch {epoch}: for {self._votes[node_id, epoch]} and {vote}")
        if leader != NOBODY:
            self._led(leader, epoch)

    def _look_at_high_watermarks(self, node_id: int) -> None:
        """Up to its high watermark a replica takes its log for committed: there all logs agree."""
        file: Any = self.hosts[node_id].storage.inside(DATA).get(HIGH_WATERMARKS)
        if file is None or file is self._checkpoints.get(node_id) or self.budget.exceeded:
            return
        self._checkpoints[node_id] = file
        noted = self._noted_high_watermarks(node_id)
        for key, log in self.disks[node_id].logs.items():
            high_watermark = min(noted.get((log.topic, key[1]), 0), log.end)
            settled = self._settled.setdefault(key, {})
            below = self._below.get((node_id, key), log.start)
            for batch in log.between(max(below, log.start), high_watermark):
                if settled.setdefault(batch.base, batch) != batch:
                    raise broken(f"{self._where(key)}: logs differ at {batch.base}, below the high watermark of broker {node_id}")
                below = batch.end
            self._below[node_id, key] = below

    def _noted_high_watermarks(self, node_id: int) -> dict[tuple[str, int], int]:
        file: Any = self.hosts[node_id].storage.inside(DATA).get(HIGH_WATERMARKS)
        return checkpoint({HIGH_WATERMARKS: bytes(file.content)}, HIGH_WATERMARKS) if file is not None else {}

    def high_watermarks(self, key: Key) -> set[int]:
        """What the replicas of a partition have noted on their disks."""
        partition = self.view.partitions[key]
        return {self._noted_high_watermarks(one).get((partition.topic, key[1]), 0) for one in partition.replicas}

    # Metadata.

    def _log_of(self, node_id: int, key: Key) -> LogView | None:
        return self.disks[node_id].logs.get(key)

    def _follow_metadata(self) -> None:
        """Whatever a broker has taken for committed is the history from now on, and the same for all."""
        for node_id, host in self.hosts.items():
            if not host.opened or host.broker is None:
                continue
            log = self._metadata_log(node_id)
            upto = host.broker.metadata.image.offset + 1
            agreed = max(self._agreed.get(node_id, 0), log.start if log is not None else 0)
            if log is None or upto <= agreed:
                continue
            self._fill_up_to(agreed, log)
            for batch in log.between(agreed, upto):
                self._agree(node_id, batch)
                agreed = batch.end
            self._agreed[node_id] = agreed

    def _fill_up_to(self, start: int, behind: LogView) -> None:
        """A log begins behind a snapshot: what that covers is committed, and stands in the logs that go on as this one does."""
        for node_id in self.hosts:
            log = self._metadata_log(node_id)
            if log is not None and log.start <= self._history_end < start and log.batches.get(start) == behind.batches.get(start):
                for batch in log.between(self._history_end, start):
                    self._agree(node_id, batch)

    def _metadata_log(self, node_id: int) -> LogView | None:
        if self._metadata_key is None:
            for key, log in self.disks[node_id].logs.items():
                if log.topic == CLUSTER_METADATA:
                    self._metadata_key = key
        return self.disks[node_id].logs.get(self._metadata_key) if self._metadata_key is not None else None

    def _agree(self, node_id: int, batch: Batch) -> None:
        if batch.base < self._history_end:
            if self._history.get(batch.base) != batch:
                raise broken(f"node {node_id} has taken other metadata for committed at offset {batch.base} than another node")
            return
        if batch.base != self._history_end:
            raise broken(f"node {node_id} goes on at {batch.base} with metadata that was seen up to {self._history_end}")
        self._history[batch.base] = batch
        self._history_end = batch.end
        if batch.is_control:
            self.occurred["controller change"] += 1
            self.quorum_epoch = batch.epoch
            return
        self.view.apply(batch.values, self.simulation.clock.now_ms)
        for fenced in self.view.fenced:
            self._fenced(fenced, batch.epoch)
        self.view.fenced.clear()

    def _fenced(self, node_id: int, epoch: int) -> None:
        died = self._unfenced_deaths.pop(node_id, None)
        if died is not None and died[0] < epoch:
            self.occurred["the dead one was the controller" if died[1] else "controller change while fencing"] += 1

    @property
    def controller(self) -> int:
        """Who leads the quorum, as was agreed on last."""
        return self._quorum_leaders.get(self.quorum_epoch, NOBODY)

    # What is committed.

    def learn(self, key: Key, offset: int, value: bytes) -> None:
        """Somebody was told that this record is committed."""
        committed = self.committed.setdefault(key, {})
        if offset not in committed:
            committed[offset] = value
            self._unchecked.setdefault(key, []).append(offset)

    def recheck(self, key: Key) -> None:
        """Look at everything again that is known of a partition."""
        self._unchecked[key] = list(self.committed.get(key, {}))

    def _check_committed(self) -> None:
        for key in self.view.joined:
            self.recheck(key)
        self.view.joined.clear()
        unchecked, self._unchecked = self._unchecked, {}
        if self.budget.exceeded:
            return
        for key, offsets in unchecked.items():
            partition = self.view.partitions.get(key)
            if partition is None:
                continue
            for member in partition.isr:
                if member not in self.budget.torn and member not in self._unrecovered and self.hosts[member].opened:
                    self._check_member(key, member, offsets)

    def _check_member(self, key: Key, member: int, offsets: list[int]) -> None:
        log = self._log_of(member, key)
        committed = self.committed[key] if offsets else {}
        for offset in offsets:
            if log is None or (offset >= log.start and log.records.get(offset) != committed[offset]):
                found = log.records.get(offset, b"nothing")[:32] if log is not None else b"no log"
                raise broken(
                    f"{self._where(key)}: {committed[offset][:32]!r} is committed at {offset}, "
                    f"broker {member} of the ISR has {found!r} there"
                )

    def place_of(self, key: Key, value: bytes) -> int | None:
        """Where a record stands in the log of the leader."""
        partition = self.view.partitions.get(key)
        log = self._log_of(partition.leader, key) if partition is not None and partition.leader != NOBODY else None
        if log is None:
            return None
        return next((offset for offset in reversed(log.records) if log.records[offset] == value), None)

    def _where(self, key: Key) -> str:
        return f"{self.view.topics.get(key[0], key[0])}-{key[1]}"

    # Hosts.

    def _id_of(self, host: Host) -> int:
        return next(node_id for node_id, known in self.hosts.items() if known is host)

    def started(self, host: Host) -> None:
        """A broker is let in: what it has counts from now on."""
        self._unrecovered.discard(self._id_of(host))
        self.look()

    def stopped(self, host: Host) -> None:
        """Nothing is to be noted."""

    def crashes(self, host: Host, mode: CrashMode) -> None:
        """A process dies, or a machine."""
        self.look()
        if not is_clean(host):
            self.budget.died(host, mode)
        node_id = self._id_of(host)
        if mode == "torn":
            # Nothing that was read there need be so any more.
            self._unrecovered.add(node_id)
            self.disks[node_id] = Disk(host.storage)
            self._restarts.pop(node_id, None)
            self._below = {place: below for place, below in self._below.items() if place[0] != node_id}
        broker = self.view.brokers.get(node_id)
        if broker is not None and not broker.fenced:
            self._unfenced_deaths[node_id] = (self.quorum_epoch, self.controller == node_id)
