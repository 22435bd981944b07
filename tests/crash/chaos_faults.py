"""Faults of a cluster of real processes. Each is made, seen to have happened, and mended again.

Owns: the kinds of faults, and the evidence of each: the process is gone or stopped; its leaders, its place in the ISR or the
controller are taken away as another broker tells it; nothing is acknowledged any more. A fault that was not seen is an
AssertionError: it would prove nothing.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from broker.cli.cluster import Cluster as Connections
from broker.cli.failures import Failure
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)
from broker.protocol.messages.metadata import MetadataResponse
from broker.testing.cluster import Cluster
from crash.chaos_load import PARTITIONS, TOPIC, Load
from waiting import wait_until

OFFSETS_TOPIC = "__consumer_offsets"
ASK_TIMEOUT_SECONDS = 3.0
# A silent broker is fenced after its session of 9 s; the rest is for a slow machine.
FENCED_TIMEOUT_SECONDS = 60.0
STILL_SECONDS = 1.0
TOPIC_RESOURCE = 2


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
        "fill a follower",
        "fill a leader",
        "fill the controller",
    )
    # In longer sequences only: each is a variation of those, or two of them at once.
    MORE_KINDS = (
        "cut one way",
        "kill during a cut",
        "kill during a pause",
        "kill after a start",
        "fill two",
        "kill the full one",
        "kill another than the full one",
    )

    def __init__(self, cluster: Cluster, rng: random.Random, load: Load) -> None:
        self._cluster = cluster
        self._rng = rng
        self._load = load
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

    # Filling disks.

    @contextmanager
    def _full(self, *victims: int) -> Iterator[None]:
        for one in victims:
            self._cluster.fill_disk(one)
        try:
            yield
        finally:
            for one in victims:
                self._cluster.free_disk(one)

    def _fill_a_follower(self) -> str:
        partition = self._rng.randrange(PARTITIONS)
        leader = self._cluster.leader_of(TOPIC, partition)
        victim = self._rng.choice([one for one in self._cluster.ids if one != leader])
        with self._full(victim):
            self._wait_until(lambda: victim not in self._cluster.isr_of(TOPIC, partition), f"{victim} is out of the ISR")
        return f"{_names([victim])} had no room and left the ISR of partition {partition}"

    def _fill_a_leader(self) -> str:
        partition = self._rng.randrange(PARTITIONS)
        victim = self._cluster.leader_of(TOPIC, partition)
        with self._full(victim):
            self._wait_until_still(partition)
            time.sleep(3 * self._rng.random())
        return f"{_names([victim])} had no room and took nothing more for partition {partition}"

    def _fill_the_controller(self) -> str:
        """Whatever has to be decided is decided by another one."""
        victim = self._cluster.controller_id()
        decided = 0
        with self._full(victim):
            deadline = time.monotonic() + FENCED_TIMEOUT_SECONDS
            while self._cluster.controller_id() == victim:
                assert time.monotonic() < deadline, f"broker {victim} has no room and is still the controller"
                decided += self._decide_something()
            now = self._cluster.controller_id()
            self._wait_until(self._decide_something, f"controller {now} decides")
        return f"{_names([victim])} had no room, the controller is {now} ({decided} more decisions before that)"

    def _decide_something(self) -> bool:
        """Change a setting of the topic that harms nobody; False when that is not possible now."""
        change = AlterableConfig(name="file.delete.delay.ms", config_operation=0, value=str(self._rng.randrange(10**5, 10**6)))
        resource = AlterConfigsResource(resource_type=TOPIC_RESOURCE, resource_name=TOPIC, configs=[change])
        try:
            with Connections(self._cluster.bootstrap_servers, "chaos", ASK_TIMEOUT_SECONDS) as connections:
                request = IncrementalAlterConfigsRequest(resources=[resource])
                response = connections.any().ask(request, IncrementalAlterConfigsResponse)
        except (Failure, KafkaError, OSError):
            return False
        return all(one.error_code == ErrorCode.NONE for one in response.responses)

    def _fill_two(self) -> str:
        """No majority can write, so nothing is acknowledged anywhere."""
        victims = self._rng.sample(self._cluster.ids, 2)
        with self._full(*victims):
            self._wait_until_still(*range(PARTITIONS))
            time.sleep(3 * self._rng.random())
        return f"{_names(victims)} had no room and nothing was acknowledged"

    def _kill_the_full_one(self) -> str:
        """It is started while there is no room: it waits for it before it serves, or ends and says why, as Kafka does."""
        victim = self._some_leader()
        with self._full(victim), ThreadPoolExecutor(1) as pool:
            time.sleep(self._rng.random())
            seen = self._kill_only(victim)
            starting = pool.submit(self._cluster.start, victim)
            time.sleep(3 * self._rng.random())
            self._cluster.free_disk(victim)
            refused = starting.exception()
        if refused is not None:
            assert "No space left" in str(refused), refused
            self._cluster.start(victim)
        return f"{seen}, started without room ({'ended and was started again' if refused else 'waited for it'})"

    def _kill_another_than_the_full_one(self) -> str:
        full, killed, _ = self._rng.sample(self._cluster.ids, 3)
        with self._full(full):
            time.sleep(self._rng.random())
            seen = self._kill_only(killed)
            time.sleep(3 * self._rng.random())
        self._cluster.start(killed)
        return f"{_names([full])} had no room, {seen}"

    def _wait_until_still(self, *partitions: int) -> None:
        """Nothing more is acknowledged in these partitions for a whole second."""

        def count() -> int:
            return sum(len(self._load.acknowledged[one]) for one in partitions)

        before, since = count(), time.monotonic()
        deadline = since + FENCED_TIMEOUT_SECONDS
        while time.monotonic() < since + STILL_SECONDS:
            assert time.monotonic() < deadline, f"partitions {partitions} still get acknowledgements"
            time.sleep(0.02)
            if count() != before:
                before, since = count(), time.monotonic()

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

        self._wait_until(look, f"broker {victim} is out of all ISRs")

    @staticmethod
    def _wait_until(look: Callable[[], object], what: str) -> None:
        wait_until(look, what, FENCED_TIMEOUT_SECONDS)

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
