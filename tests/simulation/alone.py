"""One broker alone: its settings, the kinds of runs there are, and when everything is served again."""

from simulation import faults
from simulation.faults import FaultPlan
from simulation.ledger import InvariantBroken, Ledger
from simulation.world import Simulation

BROKER = "broker-1"
FAULTS_UNTIL_MS = 18_000
# A member that is gone is noticed after 6 s, a rebalance takes 5, a lost answer 15: all of it twice.
SERVED_WITHIN_MS = 60_000
SETTINGS = {
    "offsets.topic.num.partitions": "2",
    "group.initial.rebalance.delay.ms": "100",
    "log.flush.offset.checkpoint.interval.ms": "3000",
    "replica.high.watermark.checkpoint.interval.ms": "1000",
    "auto.create.topics.enable": "false",
}
# Faults by the kind of a run.
KINDS = {
    "process": (*faults.PROCESS_DEATHS, *faults.CLEAN_STOPS, *faults.NETWORK_FAULTS),
    "pipelined": (*faults.PROCESS_DEATHS, *faults.NETWORK_FAULTS),
    "machine": (*faults.PROCESS_DEATHS, *faults.MACHINE_DEATHS, *faults.CLEAN_STOPS, *faults.NETWORK_FAULTS),
    "disk": (*faults.PROCESS_DEATHS, *faults.CLEAN_STOPS, *faults.DISK_FAULTS, *faults.DISK_FAULTS),
    "everything": (
        *faults.PROCESS_DEATHS,
        *faults.MACHINE_DEATHS,
        *faults.CLEAN_STOPS,
        *faults.NETWORK_FAULTS,
        *faults.DISK_FAULTS,
    ),
}


class Alone:
    """See the module."""

    faults_until_ms = FAULTS_UNTIL_MS
    served_within_ms = SERVED_WITHIN_MS
    topics = (("article-topic", 3), ("comment-topic", 2))
    beyond_budget = False

    def __init__(self, simulation: Simulation, kind: str) -> None:
        self.simulation = simulation
        self.kind = kind
        self.host = simulation.add_host(BROKER, 1, SETTINGS)
        self.hosts = [self.host]
        self.brokers: str | tuple[str, ...] = BROKER
        self.ledger = Ledger(simulation.note)
        simulation.watchers.append(self.ledger)

    def plan(self) -> FaultPlan:
        return FaultPlan(self.simulation, self.hosts, KINDS[self.kind], FAULTS_UNTIL_MS)

    def start(self) -> None:
        self.host.start()

    def waits_for(self) -> str | None:
        """What is not done yet."""
        return None if self.host.ready else "the broker is not ready"

    def check_end(self) -> None:
        """Nothing went wrong that must not, and it stops and starts in peace."""
        if self.host.fatal:
            raise InvariantBroken(f"the broker gave up: {self.host.fatal[0]}")
        if self.host.not_started and not set(faults.DISK_FAULTS) & set(KINDS[self.kind]):
            raise InvariantBroken(f"the broker did not start: {self.host.not_started[0]}")
        self.host.stop()
        simulation, lives = self.simulation, self.host.lives
        simulation.run_until(simulation.clock.now_ms + SERVED_WITHIN_MS, lambda: self.host.ready and self.host.lives > lives)
        if not self.host.ready:
            raise InvariantBroken("the broker did not come back from a clean stop")

    def occurrences(self) -> dict[str, int]:
        return {}
