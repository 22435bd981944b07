"""A simulated world: one virtual clock, the wires, and hosts that run brokers. One thread, one seed.

A `Host` is a machine: its own disk, its own end of the network, its own wall clock, which outlive the broker that runs on
it. Nothing here knows what is checked; `watchers` hear of starts and ends.
"""

import random
from collections.abc import Callable, Mapping
from typing import Protocol

from broker.clock.randomness import Randomness
from broker.clock.simulated import NodeClock, SimulatedClock
from broker.config import BrokerConfig
from broker.config.sources import SHIPPED
from broker.network.simulated import SimulatedNetwork, Wires
from broker.node.broker import Broker, World
from broker.node.runtime import START_ERRORS
from broker.storage.simulated import CrashMode, NodeDied, SimulatedStorage
from simulation.trace import Trace

CLUSTER_ID = "5L6g3nShT-eMCtK--X86sw"
DATA = "/data"
PORT = 9092


class Watcher(Protocol):
    """Whoever looks at hosts from outside."""

    def started(self, host: "Host") -> None:
        """Its broker is ready; no client has reached it yet."""

    def stopped(self, host: "Host") -> None:
        """Its broker has stopped cleanly."""

    def crashes(self, host: "Host", mode: CrashMode) -> None:
        """It is about to crash; the disk is still as it was."""


class Simulation:
    """See the module."""

    def __init__(self, seed: int | str) -> None:
        self.seed = seed
        self.clock = SimulatedClock()
        self.trace = Trace()
        self.wires = Wires(self.clock, self.rng("wires"), watch=lambda line: self.note("wires", line))
        self.hosts: dict[str, Host] = {}
        self.watchers: list[Watcher] = []
        # Whether the power of a host may fail now; if not, only its process dies.
        self.may_tear: Callable[[Host], bool] = lambda host: True

    def rng(self, purpose: str) -> random.Random:
        """A source of its own for each purpose, so that one more draw here changes nothing there."""
        return random.Random(f"{self.seed} {purpose}")

    def note(self, who: str, what: str) -> None:
        self.trace.add(self.clock.now_ms, who, what)

    def add_host(self, name: str, node_id: int, settings: Mapping[str, str]) -> "Host":
        host = self.hosts[name] = Host(self, name, node_id, settings)
        return host

    def later(self, delay_ms: int, callback: Callable[[], None]) -> None:
        self.clock.call_at(self.clock.now_ms + delay_ms, callback)

    def run_until(self, deadline_ms: int, condition: Callable[[], bool] = lambda: False) -> bool:
        """Run until a time, or until the condition holds; whether it does."""
        while not condition():
            due = self.clock.next_ms()
            if due is None or due > deadline_ms:
                self.clock.run_until(deadline_ms)
                return condition()
            try:
                self.clock.step()
            except NodeDied as death:
                next(host for host in self.hosts.values() if host.storage is death.storage).crash()
        return True


class Host:
    """One machine. `restart_after_ms`: how long after a death its broker is started again, None for never."""

    def __init__(self, simulation: Simulation, name: str, node_id: int, settings: Mapping[str, str]) -> None:
        self.simulation = simulation
        self.name = name
        self.clock = NodeClock(simulation.clock)
        self.storage = SimulatedStorage(self.clock)
        self.network = SimulatedNetwork(simulation.wires, name)
        self.config = BrokerConfig(
            SHIPPED
            | {
                "node.id": str(node_id),
                "listeners": f"PLAINTEXT://{name}:{PORT},CONTROLLER://{name}:{PORT + 1}",
                "controller.quorum.voters": f"{node_id}@{name}:{PORT + 1}",
                "log.dirs": DATA,
            }
            | dict(settings)
        )
        self.broker: Broker | None = None
        self.ready = False
        self.paused = False
        # Whether its log directory is open: what an earlier life has left of the metadata log was recovered.
        self.opened = False
        self.lives = 0
        self.restart_after_ms: int | None = 500
        # How the next death within an operation counts: of the process, or of the machine.
        self.death: CrashMode = "process"
        # Why the broker gave up, each time it did: while it started, and while it served.
        self.not_started: list[str] = []
        self.fatal: list[str] = []
        self._rng = simulation.rng(name)

    def start(self) -> None:
        if self.broker is not None:
            return
        self.lives += 1
        self.ready = False
        self._note(f"starts, life {self.lives}")
        randomness = Randomness(f"{self.simulation.seed} {self.name} {self.lives}")
        self.broker = Broker(self.config, World(self.clock, randomness, self.storage, self.network), self._gave_up, CLUSTER_ID)
        try:
            self.broker.start(self._is_ready)
            self.opened = True
        except START_ERRORS as error:
            self._gave_up(str(error))

    def _is_ready(self) -> None:
        self.ready = True
        self._note("is ready")
        for watcher in self.simulation.watchers:
            watcher.started(self)

    def _gave_up(self, reason: str) -> None:
        """The process ends with an error, as soon as the loop comes to it."""
        self._note(f"gave up: {reason}")
        (self.fatal if self.ready else self.not_started).append(reason)
        self.clock.call_soon(self.crash)

    def crash(self, mode: CrashMode | None = None) -> None:
        """The process dies, or the machine."""
        mode, self.death = mode or self.death, "process"
        if mode == "torn" and not self.simulation.may_tear(self):
            mode = "process"
        for watcher in self.simulation.watchers:
            watcher.crashes(self, mode)
        self._note(f"crashes ({mode})")
        self.clock.crash()
        self.network.crash(silently=mode == "torn")
        self.storage.crash(self._rng, mode)
        self._is_down()

    def die_within(self, operations: int, mode: CrashMode = "process") -> None:
        """Crash in the midst of a disk operation, after so many others."""
        self.death = mode
        self.storage.die_after(operations, self._rng)

    def stop(self, *, then: CrashMode = "process") -> None:
        """Stop cleanly; the process ends, or the power goes as soon as it has."""
        if self.broker is None or not self.ready or self.paused:
            return
        self.ready = False
        self._note("stops")
        self.broker.stop(lambda: self._has_stopped(then))

    def _has_stopped(self, then: CrashMode) -> None:
        self._note("has stopped")
        for watcher in self.simulation.watchers:
            watcher.stopped(self)
        self.crash(then)

    def pause(self) -> None:
        """The process does nothing, while time goes on and its sockets take what comes."""
        self._note("pauses")
        self.paused = True
        self.clock.pause()
        self.network.pause()

    def resume(self) -> None:
        if not self.paused:
            return
        self._note("goes on")
        self.paused = False
        self.clock.resume()
        self.network.resume()

    def _is_down(self) -> None:
        self.broker = None
        self.ready = self.paused = self.opened = False
        if self.restart_after_ms is not None:
            self.simulation.later(self.restart_after_ms, self.start)

    def _note(self, what: str) -> None:
        self.simulation.note(self.name, what)
