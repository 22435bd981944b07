"""Faults of a cluster of real processes. Each is made, seen to have happened, and mended again.

Owns: the kinds of faults, and the evidence of each: the process is gone or stopped, its leaders or its place in the ISR are
taken away as another broker tells it. A fault that was not seen is an AssertionError: it would prove nothing.
"""

import random
import time
from collections import Counter
from pathlib import Path

from broker.cli.cluster import Cluster as Connections
from broker.cli.failures import Failure
from broker.protocol.errors import KafkaError
from broker.protocol.messages.metadata import MetadataResponse
from broker.testing.cluster import Cluster
from crash.chaos_load import PARTITIONS, TOPIC
from waiting import wait_until

OFFSETS_TOPIC = "__consumer_offsets"
ASK_TIMEOUT_SECONDS = 3.0
# A silent broker is fenced after its session of 9 s; the rest is for a slow machine.
FENCED_TIMEOUT_SECONDS = 60.0


class Faults:
    """`make` one of `KINDS`; what was made is counted in `made`. The choices are those of `rng`."""

    KINDS = (
        "kill the leader",
        "kill the controller",
        "kill the coordinator",
        "kill two",
        "kill all",
        "pause shortly",
        "pause past the session",
        "cut off",
        "restart one by one",
    )
    # In longer sequences only: each is a variation of those, or two of them at once.
    MORE_KINDS = ("cut one way", "kill during a cut", "kill during a pause", "kill after a start")

    def __init__(self, cluster: Cluster, rng: random.Random) -> None:
        self._cluster = cluster
        self._rng = rng
        self.made: Counter[str] = Counter()
        self.history: list[str] = []

    def plan(self, count: int) -> list[str]:
        """Every kind once in some order, and then all kinds over and over, until there are enough."""
        planned = self._rng.sample(self.KINDS, len(self.KINDS))
        while len(planned) < count:
            planned += self._rng.sample(self.KINDS + self.MORE_KINDS, len(self.KINDS + self.MORE_KINDS))
        return planned[:count]

    def make(self, kind: str) -> str:
        """What was done and what was seen of it."""
        seen = getattr(self, "_" + kind.replace(" ", "_"))()
        self.made[kind] += 1
        self.history.append(f"{time.strftime('%H:%M:%S')} {kind}: {seen}")
        return self.history[-1]

    # Killing.

    def _kill_the_leader(self) -> str:
        victim = self._some_leader()
        return self._kill(victim, wait_for_fence=True)

    def _kill_the_controller(self) -> str:
        victim = self._cluster.controller_id()
        seen = self._kill(victim, wait_for_fence=self._rng.random() < 0.3)
        return f"{seen}, the controller is {self._cluster.controller_id()}"

    def _kill_the_coordinator(self) -> str:
        return self._kill(self._cluster.leader_of(OFFSETS_TOPIC, 0), wait_for_fence=self._rng.random() < 0.3)

    def _kill_two(self) -> str:
        return self._kill(*self._rng.sample(self._cluster.ids, 2))

    def _kill_all(self) -> str:
        return self._kill(*self._cluster.ids)

    def _kill(self, *victims: int, wait_for_fence: bool = False) -> str:
        seen = self._kill_only(*victims)
        if wait_for_fence:
            self._wait_until_fenced(victims[0])
            seen += ", leads nothing and is in no ISR"
        else:
            time.sleep(2 * self._rng.random())
        self._cluster.start(*victims)
        return seen

    def _kill_only(self, *victims: int) -> str:
        pids = [self._cluster.brokers[one].pid for one in victims]
        self._cluster.kill(*victims)
        for pid in pids:
            assert not Path(f"/proc/{pid}").exists(), f"process {pid} is still there"
        return f"{_names(victims)} gone"

    # Pausing, cutting, restarting.

    def _pause_shortly(self) -> str:
        victim = self._rng.choice(self._cluster.ids)
        self._pause(victim)
        time.sleep(1 + 3 * self._rng.random())
        self._cluster.resume(victim)
        return f"{_names([victim])} stood still"

    def _pause_past_the_session(self) -> str:
        victim = self._some_leader()
        self._pause(victim)
        try:
            self._wait_until_fenced(victim)
        finally:
            self._cluster.resume(victim)
        return f"{_names([victim])} stood still and lost its leaders"

    def _pause(self, victim: int) -> None:
        self._cluster.pause(victim)
        stat = Path(f"/proc/{self._cluster.brokers[victim].pid}/stat")
        wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", f"{stat} says stopped")

    def _cut_off(self) -> str:
        victim = self._some_leader()
        self._cluster.partition([victim], [one for one in self._cluster.ids if one != victim])
        try:
            self._wait_until_fenced(victim)
        finally:
            self._cluster.heal()
        return f"{_names([victim])} was cut off and lost its leaders"

    def _cut_one_way(self) -> str:
        """What the victim sends on its own connections is lost: it cannot fetch, nor tell the controller that it lives."""
        controller = self._cluster.controller_id()
        victim = self._rng.choice([one for one in self._cluster.ids if one != controller])
        for other in self._cluster.ids:
            if other != victim:
                self._cluster.cut(victim, other)
        try:
            self._wait_until_fenced(victim)
        finally:
            self._cluster.heal()
        return f"{_names([victim])} could ask nobody and lost its leaders"

    def _kill_during_a_cut(self) -> str:
        """With one cut off and one killed there is no majority; both come back."""
        cut, killed, _ = self._rng.sample(self._cluster.ids, 3)
        self._cluster.partition([cut], [one for one in self._cluster.ids if one != cut])
        try:
            time.sleep(self._rng.random())
            seen = self._kill_only(killed)
            time.sleep(3 * self._rng.random())
        finally:
            self._cluster.heal()
        self._cluster.start(killed)
        return f"{_names([cut])} was cut off, {seen}"

    def _kill_during_a_pause(self) -> str:
        paused, killed, _ = self._rng.sample(self._cluster.ids, 3)
        self._pause(paused)
        try:
            time.sleep(self._rng.random())
            seen = self._kill_only(killed)
            time.sleep(2 * self._rng.random())
        finally:
            self._cluster.resume(paused)
        self._cluster.start(killed)
        return f"{_names([paused])} stood still, {seen}"

    def _kill_after_a_start(self) -> str:
        """One is killed, and as soon as it serves again the leader that took over is killed."""
        partition = self._rng.randrange(PARTITIONS)
        first = self._cluster.leader_of(TOPIC, partition)
        seen = self._kill(first, wait_for_fence=True)
        second = self._cluster.leader_of(TOPIC, partition)
        return f"{seen}; {self._kill(second)}"

    def _restart_one_by_one(self) -> str:
        for one in self._rng.sample(self._cluster.ids, len(self._cluster.ids)):
            pid = self._cluster.brokers[one].pid
            self._cluster.stop(one)
            assert not Path(f"/proc/{pid}").exists()
            self._wait_until_fenced(one)
            self._cluster.start(one)
        return "each was gone and led nothing meanwhile"

    # Looking.

    def _some_leader(self) -> int:
        return self._cluster.leader_of(TOPIC, self._rng.randrange(PARTITIONS))

    def _wait_until_fenced(self, victim: int) -> None:
        """Another broker says that `victim` leads nothing and is out of every ISR."""

        def look() -> bool:
            for other in self._cluster.ids:
                told = None if other == victim else self.view(other)
                if told is not None:
                    states = [state for topic in told.topics for state in topic.partitions]
                    if states and all(state.leader_id not in (-1, victim) and victim not in state.isr_nodes for state in states):
                        return True
            return False

        wait_until(look, f"broker {victim} is out of all ISRs", FENCED_TIMEOUT_SECONDS)

    def view(self, node_id: int) -> MetadataResponse | None:
        """The metadata as this broker has it; None when it does not answer."""
        broker = self._cluster.brokers[node_id]
        try:
            with Connections(broker.bootstrap_servers, "chaos", ASK_TIMEOUT_SECONDS) as connections:
                return connections.metadata([TOPIC, OFFSETS_TOPIC])
        except (Failure, KafkaError, OSError):
            return None

    def diagnosis(self) -> str:
        """What every broker says of itself and of the partitions: for the message of a failure."""
        lines = [*self.history]
        for one in self._cluster.ids:
            told = self.view(one)
            if told is None:
                lines.append(f"broker {one} does not answer; running: {self._cluster.brokers[one].running}")
                continue
            lines.append(f"broker {one}: controller {told.controller_id}, brokers {[each.node_id for each in told.brokers]}")
            for topic in told.topics:
                for state in topic.partitions:
                    where = f"{topic.name}-{state.partition_index}"
                    lines.append(f"  {where}: leader {state.leader_id} epoch {state.leader_epoch} ISR {state.isr_nodes}")
        for one in self._cluster.ids:
            lines.append(f"--- the log of broker {one}, {self._cluster.brokers[one].log_path}")
            lines.append(self._cluster.brokers[one].log_tail())
        return "\n".join(lines)


def _names(ids: tuple[int, ...] | list[int]) -> str:
    return "broker " + ", ".join(str(one) for one in ids)
