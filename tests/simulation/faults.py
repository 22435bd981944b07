"""What goes wrong in a simulation, and when: everything drawn from one source of randomness.

`FaultPlan.run` strikes again and again until a time, then mends everything. Which faults there are is a list of names, so
that a test can choose.
"""

import random
from collections.abc import Callable, Sequence

from simulation.world import Host, Simulation

PROCESS_DEATHS = ("kill", "cut-kill", "kill-within", "kill-within", "kill-within")
CLEAN_STOPS = ("stop",)
MACHINE_DEATHS = ("tear", "stop-tear", "tear-within", "tear-within")
NETWORK_FAULTS = ("cut", "part")
DISK_FAULTS = ("slow-fsync", "disk-full")
PAUSE_MS = (200, 4000)
RESTART_MS = (50, 2000)
OPERATIONS_MAX = 60
USUAL_FSYNC_MS = 2


class FaultPlan:
    """See the module."""

    def __init__(self, simulation: Simulation, hosts: Sequence[Host], faults: Sequence[str], until_ms: int) -> None:
        self._simulation = simulation
        self._hosts = hosts
        self._faults = faults
        self._until_ms = until_ms
        self._rng: random.Random = simulation.rng("faults")
        self.struck: dict[str, int] = {}
        self.over = False
        self.pause_ms = PAUSE_MS
        self._next()

    def _next(self) -> None:
        self._simulation.later(self._rng.randint(*self.pause_ms), self._strike)

    def _strike(self) -> None:
        if self._simulation.clock.now_ms >= self._until_ms:
            self._mend()
            return
        host = self._rng.choice(self._hosts)
        host.restart_after_ms = self._rng.randint(*RESTART_MS)
        host.clock.wall_offset_ms = self._rng.randint(-500, 500)
        fault = self._rng.choice(self._faults)
        self.struck[fault] = self.struck.get(fault, 0) + 1
        self._simulation.note("faults", f"{fault} at {host.name}")
        self._strikes()[fault](host)
        self._next()

    def _strikes(self) -> dict[str, Callable[[Host], None]]:
        """What each fault does to a host."""
        return {
            "kill": self._kill,
            "cut-kill": self._cut_and_kill,
            "kill-within": lambda one: one.die_within(self._rng.randrange(OPERATIONS_MAX)),
            "stop": lambda one: one.stop(),
            "tear": lambda one: one.crash("torn") if one.broker is not None else None,
            "stop-tear": lambda one: one.stop(then="torn"),
            "tear-within": lambda one: one.die_within(self._rng.randrange(OPERATIONS_MAX), "torn"),
            "cut": self._cut,
            "part": self._part,
            "slow-fsync": self._slow,
            "disk-full": self._fill,
        }

    def _kill(self, host: Host) -> None:
        if host.broker is not None:
            host.crash("process")

    def _cut_and_kill(self, host: Host) -> None:
        """What was written is not answered, and nobody can ask again before the process is dead."""
        for other in self._others(host):
            self._simulation.wires.cut_connections(other, host.name)
        self._kill(host)

    def _others(self, host: Host) -> list[str]:
        ends = {transport.local[0] for transport in self._simulation.wires.transports.values()}
        return sorted(ends - {host.name})

    def _cut(self, host: Host) -> None:
        for other in self._others(host):
            if self._rng.randrange(2):
                self._simulation.wires.cut_connections(other, host.name)

    def _part(self, host: Host) -> None:
        for other in self._others(host):
            if self._rng.randrange(3) == 0:
                pair = (host.name, other)
                self._simulation.wires.part(*(pair if self._rng.randrange(2) else reversed(pair)))
        self._simulation.later(self._rng.randint(100, 3000), self._simulation.wires.heal)

    def _slow(self, host: Host) -> None:
        host.storage.fsync_delay_ms = self._rng.randint(50, 2000)
        self._simulation.later(self._rng.randint(500, 5000), lambda: setattr(host.storage, "fsync_delay_ms", USUAL_FSYNC_MS))

    def _fill(self, host: Host) -> None:
        """Little is left on the disk, for a while."""
        host.storage.capacity_bytes = host.storage.used_bytes + self._rng.randrange(5000)
        self._simulation.later(self._rng.randint(500, 5000), lambda: setattr(host.storage, "capacity_bytes", None))

    def _mend(self) -> None:
        """No more faults, and every broker runs."""
        self.over = True
        self._simulation.note("faults", "no more")
        self._simulation.wires.heal()
        for host in self._hosts:
            host.restart_after_ms = 100
            host.storage.fsync_delay_ms = USUAL_FSYNC_MS
            host.storage.capacity_bytes = None
            host.storage.live_on()
