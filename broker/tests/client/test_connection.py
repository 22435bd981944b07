"""The exchange on the ports: opens when it is needed, once more after a loss, and never leaves a request without an outcome."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from broker.client.connection import ClientConnection
from broker.client.exchange import ConnectionFailed, Outcome
from broker.clock.simulated import SimulatedClock
from broker.network.port import Listener, ProtocolFactory
from broker.protocol.messages.api_versions import ApiVersionsRequest
from broker.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from broker.protocol.types import Buffer

from .broker_side import Received, answer, read_requests, versions


class FakeTransport:
    """Keeps what is written; the test plays the other side."""

    def __init__(self, protocol: asyncio.BufferedProtocol) -> None:
        self.protocol = protocol
        self.written = b""
        self.closed = False

    def writelines(self, parts: Iterable[Buffer]) -> None:
        assert not self.closed
        self.written += b"".join(bytes(part) for part in parts)

    def close(self) -> None:
        self.closed = True

    abort = close

    def take(self) -> list[Received]:
        written, self.written = self.written, b""
        return read_requests(written)

    def deliver(self, data: bytes, piece: int = 1 << 20) -> None:
        """In pieces no larger than the protocol's buffer."""
        while data:
            buffer = self.protocol.get_buffer(len(data))
            part = data[: min(len(buffer), piece)]
            buffer[: len(part)] = part  # type: ignore[index]
            self.protocol.buffer_updated(len(part))
            data = data[len(part) :]


class FakeNetwork:
    """Connections that the test opens or refuses when it likes."""

    def __init__(self) -> None:
        self.pending: list[tuple[ProtocolFactory, Callable[[OSError], None]]] = []
        self.addresses: list[tuple[str, int]] = []
        self.refuse_at_once = False

    def connect(self, host: str, port: int, protocol_factory: ProtocolFactory, on_failure: Callable[[OSError], None]) -> None:
        self.addresses.append((host, port))
        if self.refuse_at_once:
            on_failure(ConnectionRefusedError("refused"))
        else:
            self.pending.append((protocol_factory, on_failure))

    def listen(self, host: str, port: int, protocol_factory: ProtocolFactory) -> Listener:
        raise NotImplementedError

    def open(self) -> FakeTransport:
        protocol = self.pending.pop(0)[0]()
        transport = FakeTransport(protocol)
        protocol.connection_made(transport)  # type: ignore[arg-type]
        return transport

    def refuse(self) -> None:
        self.pending.pop(0)[1](ConnectionRefusedError("refused"))


class World:
    """A connection with all that is around it."""

    def __init__(self) -> None:
        self.network, self.clock = FakeNetwork(), SimulatedClock()
        self.lost: list[str] = []
        self.outcomes: list[tuple[str, Outcome]] = []
        self.connection = ClientConnection(self.network, self.clock, "peer", 9093, "tests", on_lost=self.lost.append)

    def ask(self, name: str, timeout_ms: int = 1000) -> None:
        request = HeartbeatRequest(group_id=name, generation_id=1, member_id="m")
        self.connection.submit(request, timeout_ms, lambda outcome: self.outcomes.append((name, outcome)))

    def open(self) -> FakeTransport:
        """A connection whose handshake is done."""
        transport = self.network.open()
        (hello,) = transport.take()
        assert isinstance(hello.request, ApiVersionsRequest)
        transport.deliver(answer(hello, versions()))
        return transport

    def run_for(self, milliseconds: int) -> None:
        self.clock.run_until(self.clock.monotonic_ms() + milliseconds)

    @property
    def results(self) -> list[tuple[str, Any]]:
        """An error code, or the words of a failure."""
        return [(name, str(one) if isinstance(one, Exception) else one.error_code) for name, one in self.outcomes]  # type: ignore[attr-defined]


@pytest.fixture
def world() -> World:
    return World()


def beat(received: Received, code: int = 0) -> bytes:
    return answer(received, HeartbeatResponse(error_code=code))


def test_it_opens_on_the_first_request(world: World) -> None:
    assert world.network.addresses == []
    world.ask("a")
    world.ask("b")
    assert world.network.addresses == [("peer", 9093)]
    assert not world.connection.connected
    transport = world.open()
    assert world.connection.connected
    first, second = transport.take()
    transport.deliver(beat(first, 3) + beat(second, 4))
    assert world.results == [("a", 3), ("b", 4)]


def test_answers_in_the_smallest_pieces(world: World) -> None:
    world.ask("a")
    transport = world.open()
    (received,) = transport.take()
    transport.deliver(beat(received), piece=1)
    assert world.results == [("a", 0)]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_refused_connection_fails_what_waits_and_is_tried_again(world: World, at_once: bool) -> None:
    world.network.refuse_at_once = at_once
    world.ask("a")
    if not at_once:
        world.network.refuse()
    assert world.results == [("a", "cannot connect to peer:9093: refused")]
    assert world.lost == ["cannot connect to peer:9093: refused"]
    world.network.refuse_at_once = False
    world.ask("b")
    transport = world.open()
    transport.deliver(beat(transport.take()[0]))
    assert world.results[-1] == ("b", 0)


def test_a_connection_that_never_opens_is_given_up_with_its_last_request(world: World) -> None:
    world.ask("hasty", 100)
    world.ask("patient", 300)
    world.run_for(100)
    assert [name for name, _ in world.results] == ["hasty"]
    assert world.lost == []
    world.run_for(200)
    assert [name for name, _ in world.results] == ["hasty", "patient"]
    assert world.lost == ["cannot connect to peer:9093 in time"]
    world.ask("next")
    assert len(world.network.addresses) == 2
    late = world.network.open()
    assert late.closed
    transport = world.open()
    transport.deliver(beat(transport.take()[0]))
    assert world.results[-1] == ("next", 0)


def test_a_connection_attempt_does_not_last_for_ever(world: World) -> None:
    """However many requests wait for it, and come meanwhile: what blocked it may be gone, and nobody would notice."""
    for number in range(21):
        world.ask(f"{number}", 5000)
        world.run_for(500)
    assert world.lost == ["cannot connect to peer:9093 in time"]
    assert [name for name, _ in world.results] == [f"{number}" for number in range(20)]
    assert len(world.network.addresses) == 2


@pytest.mark.parametrize("error", [None, OSError("reset")])
def test_a_lost_connection_fails_what_is_open_and_opens_again(world: World, error: OSError | None) -> None:
    world.ask("a")
    transport = world.open()
    transport.protocol.connection_lost(error)
    assert [name for name, _ in world.results] == ["a"]
    assert len(world.lost) == 1
    assert ("reset" in world.lost[0]) == (error is not None)
    assert not world.connection.connected
    world.ask("b")
    transport = world.open()
    transport.deliver(beat(transport.take()[0]))
    assert world.results[-1] == ("b", 0)
    assert len(world.lost) == 1


def test_an_answer_that_does_not_come_ends_the_connection(world: World) -> None:
    world.ask("a", 500)
    transport = world.open()
    world.run_for(499)
    assert world.results == []
    world.run_for(1)
    assert world.results == [("a", "no answer in time")]
    assert transport.closed
    assert world.lost == ["no answer in time"]
    # What its transport says later is nobody's business.
    transport.protocol.connection_lost(None)
    assert len(world.lost) == 1


def test_deadlines_move_with_the_requests(world: World) -> None:
    world.ask("a", 500)
    transport = world.open()
    (first,) = transport.take()
    world.run_for(400)
    transport.deliver(beat(first))
    world.ask("b", 500)
    (second,) = transport.take()
    world.run_for(400)
    transport.deliver(beat(second))
    world.run_for(10_000)
    assert world.results == [("a", 0), ("b", 0)]
    assert world.connection.connected


def test_garbage_ends_the_connection(world: World) -> None:
    world.ask("a")
    transport = world.open()
    transport.deliver(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert transport.closed
    assert "does not speak Kafka's protocol" in world.lost[0]
    assert [type(outcome) for _, outcome in world.outcomes] == [ConnectionFailed]


def test_a_callback_may_ask_again_after_a_loss(world: World) -> None:
    request = HeartbeatRequest(group_id="g", generation_id=1, member_id="m")
    world.connection.submit(request, 1000, lambda outcome: world.ask("again"))
    world.network.refuse()
    assert len(world.network.addresses) == 2
    transport = world.open()
    transport.deliver(beat(transport.take()[0]))
    assert world.results == [("again", 0)]


def test_closing_fails_what_is_open_and_takes_nothing_more(world: World) -> None:
    world.ask("a")
    transport = world.open()
    world.connection.close()
    world.connection.close()
    assert world.results == [("a", "this side closed the connection")]
    assert transport.closed
    with pytest.raises(RuntimeError, match="peer:9093 is closed"):
        world.ask("late")


def test_closing_before_it_is_open(world: World) -> None:
    world.ask("a")
    world.connection.close()
    assert [name for name, _ in world.results] == ["a"]
    assert world.network.open().closed
