"""Clients as scripts: generators that yield what they wait for, run on the virtual clock without an event loop.

A `Step` is a function that takes a callback and calls it once, later, with the outcome. `yield step` gives the outcome.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Any
from uuid import UUID

from broker.client.connection import ClientConnection
from broker.client.exchange import RequestFailed
from broker.client.retriable import RETRIABLE, error_of
from broker.network.simulated import SimulatedNetwork
from broker.protocol.errors import ErrorCode
from broker.protocol.message import Request, Response
from broker.protocol.messages.find_coordinator import FindCoordinatorRequest, FindCoordinatorResponse
from broker.protocol.messages.metadata import MetadataRequest, MetadataResponse
from simulation.ledger import Ledger, broken
from simulation.routes import Leader, Routes
from simulation.world import PORT, Simulation

Step = Callable[[Callable[[Any], None]], None]
Script = Generator[Step, Any, Any]
REQUEST_TIMEOUT_MS = 15_000
# Where another broker may do.
CLUSTER_TIMEOUT_MS = 4_000
CONNECT_MS = 10_000
RETRY_MS = (20, 200)


def all_of(steps: Sequence[Step]) -> Step:
    """The outcomes of all, in their order."""

    def start(resume: Callable[[Any], None]) -> None:
        outcomes: list[Any] = [None] * len(steps)
        left = len(steps)

        def done(number: int, outcome: Any) -> None:
            nonlocal left
            outcomes[number] = outcome
            left -= 1
            if not left:
                resume(outcomes)

        for number, step in enumerate(steps):
            step(lambda outcome, number=number: done(number, outcome))  # type: ignore[misc]

    return start


class Client:
    """One client on a host of its own, with connections to brokers and a source of randomness.

    `brokers`: the one broker there is, or those of a cluster, any of which may be asked where the others are.
    """

    def __init__(self, simulation: Simulation, ledger: Ledger, name: str, brokers: str | Sequence[str]) -> None:
        self.simulation = simulation
        self.ledger = ledger
        self.name = name
        self.brokers = (brokers,) if isinstance(brokers, str) else tuple(brokers)
        self.rng = simulation.rng(name)
        self.network = SimulatedNetwork(simulation.wires, name)
        self.request_timeout_ms = REQUEST_TIMEOUT_MS if len(self.brokers) == 1 else CLUSTER_TIMEOUT_MS
        # Who is asked what every broker can answer, or pass on.
        self.host = self.brokers[0] if len(self.brokers) == 1 else self.rng.choice(self.brokers)
        self.routes = Routes(ledger)
        self._connections: dict[tuple[str, str], ClientConnection] = {}
        self._refreshing = False
        # What it waits for, for whoever asks why it is not done.
        self.doing = "nothing"

    @property
    def is_alone(self) -> bool:
        """Whether there is one broker, which leads everything."""
        return len(self.brokers) == 1

    def to(self, host: str, purpose: str = "") -> ClientConnection:
        """The connection to a broker; another one for each purpose."""
        found = self._connections.get((host, purpose))
        if found is None:
            found = ClientConnection(self.network, self.simulation.clock, host, PORT, self.name, connect_ms=CONNECT_MS)
            self._connections[host, purpose] = found
        return found

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()

    def ask_another(self) -> None:
        """The broker that was asked does not answer, or cannot."""
        if not self.is_alone:
            self.host = self.rng.choice([host for host in self.brokers if host != self.host])

    def note(self, what: str) -> None:
        self.simulation.note(self.name, what)

    @property
    def wall_ms(self) -> int:
        return self.simulation.clock.wall_ms()

    def spawn(self, script: Script) -> None:
        """Run a script to its end."""
        clock = self.simulation.clock

        def advance(outcome: Any) -> None:
            try:
                step = script.send(outcome)
            except StopIteration:
                return
            step(lambda result: clock.call_soon(lambda: advance(result)))

        clock.call_soon(lambda: advance(None))

    # Steps.

    def sleep(self, first_ms: int, last_ms: int | None = None) -> Step:
        """A seeded time between the two."""
        duration = self.rng.randint(first_ms, last_ms if last_ms is not None else first_ms)
        return lambda resume: self.simulation.later(duration, lambda: resume(None))

    def asked(self, request: Request, *, version_max: int | None = None, host: str | None = None, purpose: str = "") -> Step:
        """The response of a broker, or a RequestFailed.

        An answer that was still under way when the machine died says nothing of what it kept, and counts as none.
        """
        through = self.to(host or self.host, purpose)

        def start(resume: Callable[[Any], None]) -> None:
            deaths = self.ledger.machine_deaths

            def done(outcome: Any) -> None:
                late = self.ledger.machine_deaths != deaths
                if host is None and isinstance(outcome, RequestFailed):
                    self.ask_another()
                resume(RequestFailed("the answer of a machine that has died since") if late else outcome)

            through.submit(request, self.request_timeout_ms, done, version_max=version_max)

        return start

    # Scripts.

    def retried(
        self,
        what: str,
        request: Callable[[], Request],
        code_of: Callable[[Any], int],
        *,
        also: frozenset[ErrorCode] = frozenset(),
    ) -> Generator[Step, Any, tuple[Any, ErrorCode]]:
        """Ask until there is an answer that is no passing error: the response and its error."""
        while True:
            self.doing = what
            outcome = yield self.asked(request())
            if isinstance(outcome, Response):
                code = error_of(code_of(outcome))
                if code not in RETRIABLE | also:
                    self.doing = "nothing"
                    return outcome, code
                self.note(f"{what}: {code.name}")
                self.ask_another()
            elif not isinstance(outcome, RequestFailed):
                raise broken(f"{what}: the outcome is {outcome!r}")
            yield self.sleep(*RETRY_MS)

    def leader_of(self, topic_id: UUID, index: int) -> Generator[Step, Any, Leader | None]:
        """Who leads a partition, as far as can be found out now."""
        if self.is_alone:
            return Leader(self.host)
        found = self.routes.leader(topic_id, index)
        if found is None:
            yield from self.refresh()
            found = self.routes.leader(topic_id, index)
        return found

    def refresh(self) -> Generator[Step, Any, None]:
        """Ask any broker who leads what; one question at a time."""
        if self._refreshing:
            yield self.sleep(*RETRY_MS)
            return
        self._refreshing = True
        answer = yield self.asked(MetadataRequest(topics=None), host=self.rng.choice(self.brokers))
        self._refreshing = False
        if isinstance(answer, MetadataResponse):
            self.routes.learn(answer)

    def coordinator_of(self, group: str) -> Generator[Step, Any, str | None]:
        """Where the coordinator of a group is, as far as that can be found out now."""
        request = FindCoordinatorRequest(key_type=0, coordinator_keys=[group])
        answer = yield self.asked(request)
        if not isinstance(answer, FindCoordinatorResponse):
            return None
        found = answer.coordinators[0]
        if found.error_code != ErrorCode.NONE:
            self.note(f"the coordinator of {group}: {error_of(found.error_code).name}")
            self.ask_another()
            return None
        return found.host
