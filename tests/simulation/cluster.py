"""Three brokers in one world: their settings, the kinds of runs there are, and when everything is served again.

Each is broker and controller, on a host of its own. Time-outs are shorter than the shipped ones, so that a minute is enough.
"""

from simulation import cluster_faults as faults
from simulation.audit import Audit
from simulation.cluster_faults import ClusterFaultPlan
from simulation.cluster_ledger import ClusterLedger
from simulation.disk_view import Key
from simulation.ledger import InvariantBroken
from simulation.world import PORT, Simulation

IDS = (1, 2, 3)
OFFSETS_PARTITIONS = 2
SETTINGS = {
    "controller.quorum.voters": ",".join(f"{one}@broker-{one}:{PORT + 1}" for one in IDS),
    "controller.quorum.election.timeout.ms": "500",
    "controller.quorum.fetch.timeout.ms": "1000",
    "controller.quorum.request.timeout.ms": "1000",
    "metadata.log.max.record.bytes.between.snapshots": "4000",
    "metadata.max.retention.bytes": "1000",
    "broker.heartbeat.interval.ms": "1000",
    "broker.session.timeout.ms": "3000",
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "replica.lag.time.max.ms": "1500",
    "replica.fetch.backoff.ms": "200",
    "replica.high.watermark.checkpoint.interval.ms": "2000",
    "leader.imbalance.check.interval.seconds": "10",
    "log.flush.offset.checkpoint.interval.ms": "5000",
    "offsets.topic.replication.factor": "3",
    "offsets.topic.num.partitions": str(OFFSETS_PARTITIONS),
    "group.initial.rebalance.delay.ms": "100",
    "group.min.session.timeout.ms": "3000",
    "auto.create.topics.enable": "false",
}
FAULTS_UNTIL_MS = 48_000
RUN_MS = 61_000
# A lost request is given up after 4 s, a session after 3, a connection attempt to a silent host after 10: all of it twice.
SERVED_WITHIN_MS = 35_000
# A member that still commits puts one replica ahead, and high watermarks are noted every 2 s.
PEACE_MS = 5000
LOOK_EVERY_MS = 100
_PROCESSES = (*faults.DEATHS, *faults.RESTARTS, *faults.NETWORK, *faults.PAUSES, *faults.TOGETHER, *faults.ORDERS)
KINDS = {
    "cluster": _PROCESSES,
    "cluster-pipelined": _PROCESSES,
    "cluster-disk": (*_PROCESSES, *faults.POWER_CUTS, *faults.POWER_CUTS, *faults.DISKS, *faults.DISKS),
    "cluster-beyond": (*_PROCESSES, *faults.POWER_CUTS, *faults.POWER_CUTS, *faults.POWER_CUTS, *faults.DISKS),
}
# Where the power fails whatever that costs.
BEYOND_BUDGET = frozenset({"cluster-beyond"})


class Cluster:
    """See the module."""

    faults_until_ms = FAULTS_UNTIL_MS
    served_within_ms = SERVED_WITHIN_MS
    topics = (("article-topic", 2), ("comment-topic", 1))

    def __init__(self, simulation: Simulation, kind: str) -> None:
        self.simulation = simulation
        self.kind = kind
        self.nodes = {one: simulation.add_host(f"broker-{one}", one, SETTINGS) for one in IDS}
        self.hosts = list(self.nodes.values())
        self.brokers: str | tuple[str, ...] = tuple(host.name for host in self.hosts)
        self.audit = Audit(simulation, self.nodes)
        self.ledger = ClusterLedger(simulation.note, self.audit, OFFSETS_PARTITIONS)
        simulation.watchers.append(self.ledger)

    def plan(self) -> ClusterFaultPlan:
        beyond = self.kind in BEYOND_BUDGET
        return ClusterFaultPlan(self.simulation, self.audit, KINDS[self.kind], FAULTS_UNTIL_MS, beyond_budget=beyond)

    def start(self) -> None:
        for host in self.hosts:
            host.start()
        self.simulation.later(LOOK_EVERY_MS, self._look)

    def _look(self) -> None:
        self.audit.look()
        self.simulation.later(LOOK_EVERY_MS, self._look)

    # The end.

    def waits_for(self) -> str | None:
        """What is not done yet: every broker, every replica, everybody with the same high watermark."""
        for host in self.hosts:
            if not host.ready:
                return f"{host.name} is not ready"
        self.audit.look()
        for key, partition in self.audit.view.partitions.items():
            if len(partition.isr) < len(partition.replicas) or partition.leader < 0:
                return f"{partition.topic}-{key[1]} has leader {partition.leader} and ISR {list(partition.isr)}"
            if len(ends := self._ends(key)) > 1:
                return f"the replicas of {partition.topic}-{key[1]} end at {sorted(ends)}"
            if (marks := self.audit.high_watermarks(key)) != ends:
                return f"the replicas of {partition.topic}-{key[1]} end at {ends}, and have noted high watermarks {sorted(marks)}"
        return None

    def _ends(self, key: Key) -> set[int]:
        """Where the replicas end."""
        logs = [self.audit.disks[one].logs.get(key) for one in self.audit.view.partitions[key].replicas]
        return {log.end if log is not None else -1 for log in logs}

    def check_end(self) -> None:
        """In peace everything fits together."""
        for host in self.hosts:
            if host.fatal:
                raise InvariantBroken(f"{host.name} gave up: {host.fatal[0]}")
            if host.not_started and not set(faults.DISKS) & set(KINDS[self.kind]):
                raise InvariantBroken(f"{host.name} did not start: {host.not_started[0]}")
        self.simulation.run_until(max(RUN_MS, self.simulation.clock.now_ms + 1000))
        deadline_ms = self.simulation.clock.now_ms + PEACE_MS
        while (missing := self.waits_for()) is not None:
            if self.simulation.clock.now_ms >= deadline_ms:
                raise InvariantBroken(f"in peace, {missing}")
            self.simulation.run_until(self.simulation.clock.now_ms + LOOK_EVERY_MS)
        self.ledger.finish()

    def occurrences(self) -> dict[str, int]:
        found = self.audit.occurred + self.audit.view.occurred
        return {**found, "acks=1 record lost": self.ledger.weak_lost()}

    @property
    def beyond_budget(self) -> bool:
        return self.audit.budget.exceeded > 0
