"""Clients as scripts: generators that yield what they wait for, run on the virtual clock without an event loop.

A `Step` is a function that takes a callback and calls it once, later, with the outcome. `yield step` gives the outcome.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Any

from broker.client.connection import ClientConnection
from broker.client.exchange import RequestFailed
from broker.client.retriable import RETRIABLE, error_of
from broker.network.simulated import SimulatedNetwork
from broker.protocol.errors import ErrorCode
from broker.protocol.message import Request, Response
from simulation.ledger import Ledger, broken
from simulation.world import PORT, Simulation

Step = Callable[[Callable[[Any], None]], None]
Script = Generator[Step, Any, Any]
REQUEST_TIMEOUT_MS = 15_000
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
    """One client on a host of its own, with a connection to one broker and a source of randomness."""

    def __init__(self, simulation: Simulation, ledger: Ledger, name: str, broker_host: str) -> None:
        self.simulation = simulation
        self.ledger = ledger
        self.name = name
        self.broker_host = broker_host
        self.rng = simulation.rng(name)
        self.network = SimulatedNetwork(simulation.wires, name)
        self.connection = self.connect()
        # What it waits for, for whoever asks why it is not done.
        self.doing = "nothing"

    def connect(self) -> ClientConnection:
        """One more connection."""
        return ClientConnection(self.network, self.simulation.clock, self.broker_host, PORT, self.name)

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

    def asked(self, request: Request, *, version_max: int | None = None, connection: ClientConnection | None = None) -> Step:
        """The response, or a RequestFailed.

        An answer that was still under way when the machine died says nothing of what it kept, and counts as none.
        """
        through = connection or self.connection

        def start(resume: Callable[[Any], None]) -> None:
            deaths = self.ledger.machine_deaths

            def done(outcome: Any) -> None:
                late = self.ledger.machine_deaths != deaths
                resume(RequestFailed("the answer of a machine that has died since") if late else outcome)

            through.submit(request, REQUEST_TIMEOUT_MS, done, version_max=version_max)

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
            elif not isinstance(outcome, RequestFailed):
                raise broken(f"{what}: the outcome is {outcome!r}")
            yield self.sleep(*RETRY_MS)
