"""One run: a broker or a cluster, clients, faults from a seed, then peace, and at last the question whether everything fits.

`run(seed, kind)` raises InvariantBroken, with the command that replays it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from simulation import alone, cluster, faults
from simulation.admin import Admin, Observer
from simulation.alone import Alone
from simulation.cluster import Cluster
from simulation.consumer import Consumer
from simulation.ledger import InvariantBroken
from simulation.producer import Producer
from simulation.script import Script
from simulation.trace import replay_command
from simulation.world import Simulation

LOOK_EVERY_MS = 200
# How long bytes are on their way at most: in one house, between two towns, between countries.
DELAYS_MS = (2, 20, 60)
# Faults by the kind of a run.
KINDS = alone.KINDS | cluster.KINDS
PIPELINED = frozenset({"pipelined", "cluster-pipelined"})


@dataclass
class Outcome:
    """What a run came to.

    `occurrences`: how often something happened that a suite must have seen, by its name (a refusal by that of its error).
    `beyond_budget`: more un-synced data was taken at a time than replication promises to bear; such runs are counted apart.
    """

    digest: str
    lines: int = 0
    simulated_ms: int = 0
    lives: int = 0
    acknowledged: int = 0
    lost: int = 0
    struck: dict[str, int] = field(default_factory=dict)
    commits: int = 0
    looks: int = 0
    topics: int = 0
    occurrences: dict[str, int] = field(default_factory=dict)
    beyond_budget: bool = False


class Scenario:
    """See the module."""

    def __init__(self, seed: int | str, kind: str = "process") -> None:
        self.seed = seed
        self.kind = kind
        self.simulation = Simulation(f"{kind} {seed}")
        self.house = Cluster(self.simulation, kind) if kind in cluster.KINDS else Alone(self.simulation, kind)
        self.hosts = self.house.hosts
        self.ledger = self.house.ledger
        self._rng = self.simulation.rng("scenario")
        self.simulation.wires.delay_ms_max = self._rng.choice(DELAYS_MS)
        self.producers: list[Producer] = []
        self.consumers: list[Consumer] = []
        self.topics: dict[str, tuple[UUID, int]] = {}
        self.groups = {"mail": ("article-topic", "comment-topic"), "search": ("article-topic",)}
        self.admin = Admin(self.simulation, self.ledger, "admin", self.house.brokers)
        self.observer = Observer(self.simulation, self.ledger, "observer", self.house.brokers, list(self.groups))
        self.admin_is_done = False
        self.plan = self.house.plan()
        self.house.start()
        self.admin.spawn(self._set_up())

    # Who there is.

    def _set_up(self) -> Script:
        for name, count in self.house.topics:
            # Pipelined batches of one producer are recognised again only within a segment (Kafka's snapshots keep one each).
            settings = {} if self.kind in PIPELINED else {"segment.ms": str(self._rng.choice((1500, 5000, 10**9)))}
            self.topics[name] = ((yield from self.admin.create_topic(name, count, settings)), count)
        for number, (name, (topic_id, count)) in enumerate(self.topics.items()):
            self._add_producer(f"p{number}-idem", name, topic_id, count, idempotent=True)
            self._add_producer(f"p{number}-plain", name, topic_id, count, idempotent=False)
        for group in self.groups:
            for _ in range(2):
                self._add_consumer(group)
        self._churn_members()
        yield from self.admin.churn(self._use_brief_topic, lambda: self.plan.over)
        self.admin_is_done = True

    def _add_producer(self, name: str, topic: str, topic_id: UUID, partitions: int, *, idempotent: bool) -> None:
        self.producers.append(
            Producer(
                self.simulation,
                self.ledger,
                name,
                self.house.brokers,
                topic=topic,
                topic_id=topic_id,
                partitions=partitions,
                idempotent=idempotent,
                depth=5 if self.kind in PIPELINED else 1,
            )
        )

    def _use_brief_topic(self, name: str, topic_id: UUID, partitions: int) -> None:
        self._add_producer(f"{name}.{len(self.producers)}", name, topic_id, partitions, idempotent=len(self.producers) % 2 == 0)

    def _add_consumer(self, group: str) -> None:
        name = f"{group}-{sum(consumer.group == group for consumer in self.consumers)}"
        topics = {topic: self.topics[topic] for topic in self.groups[group]}
        self.consumers.append(Consumer(self.simulation, self.ledger, name, self.house.brokers, group=group, topics=topics))

    def _churn_members(self) -> None:
        """Now and then a member leaves and another comes."""

        def strike() -> None:
            if self.plan.over:
                return
            member = self._rng.choice([consumer for consumer in self.consumers if not consumer.leaving])
            member.leaving = True
            self._add_consumer(member.group)
            self.simulation.later(self._rng.randint(2000, 8000), strike)

        self.simulation.later(self._rng.randint(2000, 8000), strike)

    # The run.

    def run(self) -> Outcome:
        """InvariantBroken when something does not fit."""
        try:
            self._run()
        except InvariantBroken as error:
            replay = f"replay it: {replay_command(self.kind, self.seed)}"
            raise InvariantBroken(f"{error}\n{self.simulation.trace.tail}\n\n{replay}") from error
        known = self.ledger.partitions.values()
        occurrences = self.house.occurrences()
        occurrences["duplicate answered as one"] = sum(producer.duplicates for producer in self.producers)
        for producer in self.producers:
            for code, count in producer.refused.items():
                occurrences[code.name] = occurrences.get(code.name, 0) + count
        return Outcome(
            digest=self.simulation.trace.digest,
            lines=self.simulation.trace.count,
            simulated_ms=self.simulation.clock.now_ms,
            lives=sum(host.lives for host in self.hosts),
            acknowledged=sum(len(partition.acknowledged) for partition in known),
            lost=sum(len(partition.lost) for partition in known),
            struck=self.plan.struck,
            commits=sum(len(commits.sent) for commits in self.ledger.commits.values()),
            looks=self.observer.looks,
            topics=len(self.ledger.topics),
            occurrences=occurrences,
            beyond_budget=self.house.beyond_budget,
        )

    def _run(self) -> None:
        simulation = self.simulation
        simulation.run_until(self.house.faults_until_ms + faults.PAUSE_MS[1], lambda: self.plan.over)
        for producer in self.producers:
            producer.stopping = True
        deadline_ms = simulation.clock.now_ms + self.house.served_within_ms
        while (missing := self.waits_for()) is not None:
            if simulation.clock.now_ms >= deadline_ms:
                raise InvariantBroken(f"{self.house.served_within_ms} ms after the last fault, {missing}")
            simulation.run_until(simulation.clock.now_ms + LOOK_EVERY_MS)
        # A last look.
        looks = self.observer.looks
        simulation.run_until(deadline_ms, lambda: self.observer.looks > looks + 1)
        self.house.check_end()

    def waits_for(self) -> str | None:
        """What is not done yet."""
        if (missing := self.house.waits_for()) is not None:
            return missing
        if not self.admin_is_done:
            return f"the admin waits for {self.admin.doing}"
        for producer in self.producers:
            if producer.unanswered and producer.topic_id not in self.ledger.doomed:
                return f"{producer.name} has {producer.unanswered} batches without an answer"
        for group, topics in self.groups.items():
            missed = self.ledger.missed(group, [self.topics[topic][0] for topic in topics])
            if missed:
                doing = {consumer.name: consumer.doing for consumer in self.consumers if consumer.group == group}
                return f"group {group} has not got {missed[0]} and {len(missed) - 1} more; its members wait for {doing}"
        return None


def run(seed: int | str, kind: str = "process", prepare: Callable[[Scenario], None] = lambda scenario: None) -> Outcome:
    """One run; `prepare` may change the world before it begins."""
    scenario = Scenario(seed, kind)
    prepare(scenario)
    return scenario.run()
