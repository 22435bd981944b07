"""What goes wrong in a cluster: everything that can happen to one broker (`faults`), to several at once, and in dangerous orders.

A fault that the disk budget does not allow now is not left out of the plan: another one strikes in its place, and in kinds
beyond the budget all of them strike. TCP hides loss and duplication of packets but for the delay; what an application sees of
them are connections that end with requests or answers under way, so that a client asks again for what was done already (`cut`).
"""

from collections.abc import Callable, Sequence

from broker.storage.simulated import CrashMode
from simulation.audit import Audit, is_clean
from simulation.faults import OPERATIONS_MAX, USUAL_FSYNC_MS, FaultPlan
from simulation.world import Host, Simulation

# Of one broker.
DEATHS = ("kill", "cut-kill", "kill-within", "kill-within", "kill-long")
POWER_CUTS = ("tear", "tear-within", "stop-tear")
RESTARTS = ("stop", "roll")
NETWORK = ("cut", "isolate", "isolate-one-way", "part", "lag")
DISKS = ("slow-fsync", "disk-full")
PAUSES = ("pause-short", "pause-long")
# Of several, or in an order that is dangerous.
TOGETHER = ("kill-two", "kill-all", "pause-two")
ORDERS = (
    "back-while-fenced",
    "controller-cannot-reach-it",
    "controller-dies",
    "controller-pauses",
    "controller-dies-while-fencing",
    "last-of-the-ISR",
    "followers-lag",
    "leader-dies-while-one-lags",
    "ISR-grows-unheard",
)
RESTART_MS = (20, 2500)
PAUSE_MS = (800, 4500)
LONG_AWAY_MS = 7000


class ClusterFaultPlan(FaultPlan):
    """See the module."""

    def __init__(
        self, simulation: Simulation, audit: Audit, faults: Sequence[str], until_ms: int, *, beyond_budget: bool = False
    ) -> None:
        super().__init__(simulation, list(audit.hosts.values()), faults, until_ms)
        self._audit = audit
        self._beyond_budget = beyond_budget
        self.pause_ms = PAUSE_MS
        self._usual_delay_ms = simulation.wires.delay_ms_max
        simulation.may_tear = lambda host: beyond_budget or is_clean(host) or audit.budget.allows(host, "torn")

    def _strikes(self) -> dict[str, Callable[[Host], None]]:
        return super()._strikes() | {
            "kill": self._die,
            "cut-kill": self._cut_and_kill,
            "kill-within": lambda one: self._die_within(one, "process"),
            "kill-long": lambda one: self._die(one, LONG_AWAY_MS),
            "tear": lambda one: self._die(one, mode="torn"),
            "tear-within": lambda one: self._die_within(one, "torn"),
            "roll": lambda one: self._roll(),
            "isolate": lambda one: self._isolate(one, both=True),
            "isolate-one-way": lambda one: self._isolate(one, both=False),
            "lag": lambda one: self._lag(),
            "pause-short": lambda one: self._pause(one, self._rng.randint(50, 1500)),
            "pause-long": lambda one: self._pause(one, self._rng.randint(3000, 6000)),
            "kill-two": lambda one: self._kill_some(2),
            "kill-all": lambda one: self._kill_some(3),
            "pause-two": self._pause_two,
            "back-while-fenced": lambda one: self._die(one, self._rng.randint(0, 450)),
            "controller-cannot-reach-it": self._hide_from_controller,
            "controller-dies": lambda one: self._die(self._controller()),
            "controller-pauses": lambda one: self._pause(self._controller(), self._rng.randint(500, 5000)),
            "controller-dies-while-fencing": self._die_while_fencing,
            "last-of-the-ISR": self._last_of_the_isr,
            "followers-lag": lambda one: self._followers_lag(),
            "leader-dies-while-one-lags": self._die_while_one_lags,
            "ISR-grows-unheard": lambda one: self._grow_unheard(),
        }

    # Who.

    def _controller(self) -> Host:
        """Where the active controller is, as far as is known."""
        return self._audit.hosts.get(self._audit.controller) or self._rng.choice(self._hosts)

    def _rest(self, *hosts: Host) -> list[Host]:
        return [host for host in self._hosts if host not in hosts]

    # Deaths.

    def _die(self, host: Host, away_ms: int | None = None, mode: CrashMode = "process") -> None:
        """Kill it now, if it is up and the budget allows it."""
        self._audit.look()
        if self.over or host.broker is None or not self._may_die(host):
            return
        if away_ms is not None:
            host.restart_after_ms = away_ms
        if mode == "torn":
            # Whoever is about to die by itself must not do so while this one is torn.
            for other in self._rest(host):
                other.storage.live_on()
        host.crash(mode)

    def _may_die(self, host: Host) -> bool:
        return self._beyond_budget or self._audit.budget.allows(host, "process")

    def _kill(self, host: Host) -> None:
        self._die(host)

    def _die_within(self, host: Host, mode: CrashMode) -> None:
        if self._beyond_budget or not self._audit.budget.torn:
            host.die_within(self._rng.randrange(OPERATIONS_MAX), mode)

    def _kill_some(self, count: int) -> None:
        """At once, or one soon after the other, each back in its own time."""
        for host in self._rng.sample(self._hosts, count):
            away_ms = self._rng.randint(*RESTART_MS)
            self._simulation.later(self._rng.choice((0, 0, 30, 300)), lambda host=host, away=away_ms: self._die(host, away))  # type: ignore[misc]

    def _die_while_fencing(self, host: Host) -> None:
        """Another one dies, and the controller while it sees to that."""
        controller = self._controller()
        self._die(self._rng.choice(self._rest(controller)), 4000)
        self._simulation.later(self._rng.randint(0, 400), lambda: self._die(controller, self._rng.randint(*RESTART_MS)))

    # Clean stops.

    def _roll(self) -> None:
        """One after the other."""
        at_ms = 0
        for host in self._hosts:
            self._simulation.later(at_ms, lambda host=host: self._stop(host, 100))  # type: ignore[misc]
            at_ms += self._rng.randint(500, 2500)

    def _stop(self, host: Host, away_ms: int) -> None:
        if not self.over:
            host.restart_after_ms = away_ms
            host.stop()

    def _last_of_the_isr(self, host: Host) -> None:
        """Two stop cleanly, so that one is left in the ISR and the others are eligible; it dies before they are back in it."""
        last, *others = self._rng.sample(self._hosts, 3)
        for other in others:
            self._stop(other, self._rng.randint(1500, 2500))
        self._simulation.later(self._rng.randint(1200, 2800), lambda: self._die(last, 3000))

    # The network.

    def _part_for(self, pairs: Sequence[tuple[str, str]], duration_ms: int) -> None:
        wires = self._simulation.wires
        for source, target in pairs:
            wires.part(source, target)
            self._simulation.later(duration_ms, lambda one=source, other=target: wires.mend(one, other))  # type: ignore[misc]

    def _isolate(self, host: Host, *, both: bool) -> None:
        """From the other brokers, or from everybody; in both directions, or in one."""
        others = self._others(host) if self._rng.randrange(2) else [one.name for one in self._rest(host)]
        outward = [(host.name, other) for other in others]
        inward = [(other, host.name) for other in others]
        pairs = outward + inward if both else self._rng.choice((outward, inward))
        self._part_for(pairs, self._rng.randint(500, 6000))

    def _part(self, host: Host) -> None:
        """Some of its ways."""
        ways = [(host.name, other) for other in self._others(host)] + [(other, host.name) for other in self._others(host)]
        self._part_for([way for way in ways if self._rng.randrange(3) == 0], self._rng.randint(200, 4000))

    def _hide_from_controller(self, host: Host) -> None:
        """Only the controller cannot reach it, or it cannot reach the controller."""
        controller = self._controller()
        one = self._rng.choice(self._rest(controller))
        ways = [(one.name, controller.name), (controller.name, one.name)]
        self._part_for(self._rng.choice((ways, ways[:1], ways[1:])), self._rng.randint(1000, 6000))

    def _followers_lag(self) -> None:
        """Whoever leads stays reachable, but no follower gets anything from it for a while: ISRs shrink while it appends."""
        leader = self._rng.choice(self._hosts)
        ways = [(other.name, leader.name) for other in self._rest(leader)]
        chosen = ways if self._rng.randrange(2) else ways[:1]
        self._part_for([*chosen, *((target, source) for source, target in chosen)], self._rng.randint(1500, 3500))

    def _die_while_one_lags(self, host: Host) -> None:
        """A follower gets nothing until it has left ISRs; then whoever leads dies: the other follower has what was committed."""
        lagging = self._rng.choice(self._rest(host))
        self._part_for([(host.name, lagging.name), (lagging.name, host.name)], 4000)
        self._simulation.later(self._rng.randint(2500, 3900), lambda: self._die(host, self._rng.randint(*RESTART_MS)))

    def _grow_unheard(self) -> None:
        """A follower comes back while everything takes long, so that leaders hear late that it was let in, and gets little."""
        leader, follower = self._rng.sample(self._hosts, 2)
        self._die(follower, 100)
        wires, usual = self._simulation.wires, self._usual_delay_ms
        wires.delay_ms_max = 200
        self._simulation.later(4500, lambda: setattr(wires, "delay_ms_max", usual))
        for at_ms in (800, 1600, 2400, 3200):
            ways = [(leader.name, follower.name)]
            self._simulation.later(at_ms + self._rng.randint(0, 200), lambda ways=ways: self._part_for(ways, 600))  # type: ignore[misc]

    def _lag(self) -> None:
        """Everything takes longer for a while."""
        wires, usual = self._simulation.wires, self._usual_delay_ms
        wires.delay_ms_max = self._rng.randint(50, 300)
        self._simulation.later(self._rng.randint(500, 3000), lambda: setattr(wires, "delay_ms_max", usual))

    # Pauses.

    def _pause(self, host: Host, duration_ms: int) -> None:
        if self.over or host.broker is None:
            return
        life = host.lives
        host.pause()
        self._simulation.later(duration_ms, lambda: host.resume() if host.lives == life and host.broker is not None else None)

    def _pause_two(self, host: Host) -> None:
        for one in self._rng.sample(self._hosts, 2):
            self._pause(one, self._rng.randint(500, 4000))

    def _mend(self) -> None:
        super()._mend()
        self._simulation.wires.delay_ms_max = self._usual_delay_ms
        for host in self._hosts:
            host.storage.fsync_delay_ms = USUAL_FSYNC_MS
            if host.broker is not None:
                host.resume()
