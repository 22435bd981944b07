"""Closed doors: who has died is found out at once, who is only slow or there again is not taken for dead."""

import asyncio
import logging
from collections.abc import Callable

import pytest
from broker.clock.simulated import SimulatedClock
from broker.network.port import ProtocolFactory
from broker.node.doors import KNOCK_MS, REMEMBERED_MS, STAYS_OPEN_MS, WITHIN_MS, Doors

Made = tuple[ProtocolFactory, Callable[[OSError], None]]


class Transport(asyncio.BaseTransport):
    """The knocking end of a connection."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def close(self) -> None:
        self.closed = True


class World:
    """Node 2 has an address; what becomes of each knock the test says."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.knocks: list[Made] = []
        self.addresses: list[tuple[str, int]] = []
        self.closed: list[int] = []
        self.doors = Doors(self, self.clock, {2: ("b2", 9093), 3: ("b3", 9093)}, self.closed.append)  # type: ignore[arg-type]

    def connect(self, host: str, port: int, protocol_factory: ProtocolFactory, on_failure: Callable[[OSError], None]) -> None:
        self.addresses.append((host, port))
        self.knocks.append((protocol_factory, on_failure))

    def turn(self, milliseconds: int) -> None:
        self.clock.run_until(self.clock.now_ms + milliseconds)

    def refuse(self) -> None:
        self.knocks.pop(0)[1](ConnectionRefusedError())

    def open(self) -> asyncio.BaseProtocol:
        protocol = self.knocks.pop(0)[0]()
        self.transport = Transport()
        protocol.connection_made(self.transport)
        return protocol


@pytest.fixture
def world() -> World:
    return World()


def test_two_refusals_mean_dead(world: World) -> None:
    world.doors.suspect(2)
    assert world.addresses == [("b2", 9093)]
    world.refuse()
    assert world.closed == []
    world.turn(WITHIN_MS)
    world.refuse()
    assert (world.closed, world.doors.recently_closed()) == ([2], [2])
    world.turn(60_000)
    assert world.knocks == []


def test_silence_is_an_answer(world: World) -> None:
    """A machine that is gone refuses nothing."""
    world.doors.suspect(2)
    world.turn(2 * WITHIN_MS)
    assert (len(world.knocks), world.closed) == (2, [2])
    world.refuse()
    world.open()
    assert world.closed == [2], "what comes late tells nothing more"


def test_an_open_door(world: World) -> None:
    world.doors.suspect(2)
    world.open()
    world.turn(STAYS_OPEN_MS)
    assert world.transport.closed
    world.turn(60_000)
    assert (world.closed, world.knocks, world.doors.recently_closed()) == ([], [], [])


def test_the_second_knock_may_be_answered(world: World) -> None:
    """A process that starts again is no dead one."""
    world.doors.suspect(2)
    world.refuse()
    world.turn(WITHIN_MS // 2)
    world.open()
    world.turn(60_000)
    assert world.closed == []


def test_a_connection_that_ends_at_once_is_somebody_elses(world: World) -> None:
    """A proxy, or a listener that its dying process still has."""
    world.doors.suspect(2)
    for _ in range(2):
        protocol = world.open()
        protocol.connection_lost(None)
        world.turn(KNOCK_MS)
    assert world.closed == [2]


def test_one_knocking_at_a_time(world: World) -> None:
    for _ in range(5):
        world.doors.suspect(2)
    assert len(world.knocks) == 1
    world.doors.suspect(3)
    assert world.addresses[1:] == [("b3", 9093)]
    world.doors.suspect(9)
    assert len(world.knocks) == 2, "nobody knows where 9 is"


def test_what_was_found_is_forgotten_after_a_while(world: World) -> None:
    world.doors.suspect(2)
    world.turn(2 * WITHIN_MS)
    assert world.doors.recently_closed() == [2]
    world.turn(REMEMBERED_MS + 1)
    assert world.doors.recently_closed() == []


def test_who_is_heard_is_there(world: World) -> None:
    world.doors.suspect(2)
    world.turn(2 * WITHIN_MS)
    world.doors.heard(2)
    assert world.doors.recently_closed() == []


def test_it_is_in_doubt_until_it_is_heard(world: World) -> None:
    """From the end of its connections on, and as long as nobody opens."""
    assert not world.doors.in_doubt(2)
    world.doors.suspect(2)
    assert [world.doors.in_doubt(one) for one in (2, 3)] == [True, False]
    world.turn(2 * WITHIN_MS)
    assert world.closed == [2] and world.doors.in_doubt(2)
    world.doors.heard(2)
    assert not world.doors.in_doubt(2)
    world.knocks.clear()
    world.doors.suspect(2)
    world.open()
    world.turn(STAYS_OPEN_MS)
    assert not world.doors.in_doubt(2)


def test_stopped_it_says_nothing(world: World) -> None:
    world.doors.suspect(2)
    world.doors.stop()
    world.refuse()
    world.turn(60_000)
    world.doors.suspect(2)
    assert (world.closed, world.knocks) == ([], [])


def test_a_death_is_told_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever waits for a node that is not up, or not yet, does not hear of it with every try."""
    caplog.set_level(logging.WARNING)

    def closed() -> None:
        world.doors.suspect(2)
        world.turn(2 * WITHIN_MS)

    closed()
    assert (caplog.messages, world.closed) == ([], [2]), "it has never been there"
    for _ in range(2):
        world.doors.heard(2)
        for _ in range(3):
            closed()
    assert len(world.closed) == 7, "whoever decides is told each time"
    assert caplog.messages == ["node 2 has closed its connections and does not open: it is taken for dead"] * 2
