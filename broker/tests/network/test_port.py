"""What the network port promises, held against both twins: the same calls, the same outcomes, in the same order."""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Iterator

import pytest
import uvloop
from broker.clock.simulated import SimulatedClock
from broker.network.port import Network
from broker.network.real import RealNetwork
from broker.network.simulated import SimulatedNetwork, Wires

HOST = "127.0.0.1"
TIMEOUT_S = 30.0
# More than sockets and transports hold between them.
MUCH = 32 * 2**20


class Twin:
    """A network, and a way to run until something holds."""

    def __init__(self, network: Network, run_until: Callable[[Callable[[], bool]], None], settle: Callable[[], None]) -> None:
        self.network = network
        self.run_until = run_until
        # Runs for a while in which anything that may happen does.
        self.settle = settle


def real_twin() -> Iterator[Twin]:
    loop = uvloop.new_event_loop()

    async def until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < deadline, "it does not come about"
            await asyncio.sleep(0.001)

    try:
        yield Twin(
            RealNetwork(loop),
            lambda condition: loop.run_until_complete(until(condition)),
            lambda: loop.run_until_complete(asyncio.sleep(0.1)),
        )
        loop.run_until_complete(asyncio.sleep(0.01))
    finally:
        loop.close()


def simulated_twin(seed: int) -> Iterator[Twin]:
    clock = SimulatedClock()

    def run_until(condition: Callable[[], bool]) -> None:
        while not condition():
            assert clock.step(), "nothing is due, and it has not come about"

    yield Twin(SimulatedNetwork(Wires(clock, random.Random(seed)), HOST), run_until, lambda: clock.run_until(clock.now_ms + 1000))


@pytest.fixture(params=["real", *(f"simulated-{seed}" for seed in range(10))])
def twin(request: pytest.FixtureRequest) -> Iterator[Twin]:
    kind, _, seed = request.param.partition("-")
    yield from real_twin() if kind == "real" else simulated_twin(int(seed))


class End(asyncio.BufferedProtocol):
    """One end: notes what happens to it."""

    def __init__(self, buffer_bytes: int = 64 * 1024) -> None:
        self.events: list[str] = []
        self.received = bytearray()
        self.keep_open_at_eof = False
        self._buffer = memoryview(bytearray(buffer_bytes))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.events.append("made")
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.received += self._buffer[:nbytes]

    def eof_received(self) -> bool:
        self.events.append("eof")
        return self.keep_open_at_eof

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append("lost")

    @property
    def is_lost(self) -> bool:
        return "lost" in self.events


class Pair:
    """A listener and both ends of a connection to it."""

    def __init__(self, twin: Twin, buffer_bytes: int = 64 * 1024) -> None:
        self.accepted: list[End] = []

        def accept() -> End:
            self.accepted.append(End(buffer_bytes))
            return self.accepted[-1]

        self.listener = twin.network.listen(HOST, 0, accept)
        self.listener.accept()
        self.client = End(buffer_bytes)
        twin.network.connect(HOST, self.listener.port, lambda: self.client, _unexpected)
        twin.run_until(lambda: bool(self.client.events) and bool(self.accepted) and bool(self.accepted[0].events))
        self.server = self.accepted[0]


def _unexpected(error: OSError) -> None:
    raise AssertionError(f"no failure was expected: {error}")


@pytest.fixture
def pair(twin: Twin) -> Iterator[Pair]:
    made = Pair(twin)
    yield made
    made.listener.close()
    for end in (made.client, made.server):
        with contextlib.suppress(AttributeError):
            end.transport.abort()
    twin.run_until(lambda: made.client.is_lost and made.server.is_lost)


def test_both_ends_are_told_and_know_each_other(twin: Twin, pair: Pair) -> None:
    assert pair.client.events == pair.server.events == ["made"]
    assert (pair.listener.host, pair.client.transport.get_extra_info("peername")[1]) == (HOST, pair.listener.port)
    for this, other in ((pair.client, pair.server), (pair.server, pair.client)):
        assert this.transport.get_extra_info("sockname")[:2] == other.transport.get_extra_info("peername")[:2]
    assert pair.client.transport.get_extra_info("nothing of the kind") is None
    assert not pair.client.transport.is_closing()
    assert pair.client.transport.is_reading()


def test_bytes_arrive_in_order_in_both_directions(twin: Twin, pair: Pair) -> None:
    rng = random.Random(5)
    sent = [rng.randbytes(rng.randrange(1, 5000)) for _ in range(200)]
    for data in sent:
        pair.client.transport.write(data)
    pair.server.transport.writelines([sent[0], bytearray(sent[1]), memoryview(sent[2])])
    pair.server.transport.writelines([])
    pair.server.transport.write(b"")
    twin.run_until(lambda: len(pair.server.received) == sum(map(len, sent)))
    assert pair.server.received == b"".join(sent)
    twin.run_until(lambda: len(pair.client.received) == sum(map(len, sent[:3])))
    assert pair.client.received == b"".join(sent[:3])


def test_a_small_buffer_gets_everything_piece_by_piece(twin: Twin) -> None:
    pair = Pair(twin, buffer_bytes=7)
    data = random.Random(6).randbytes(10_000)
    pair.client.transport.write(data)
    twin.run_until(lambda: len(pair.server.received) == len(data))
    assert pair.server.received == data
    pair.listener.close()
    pair.client.transport.abort()
    twin.run_until(lambda: pair.server.is_lost and pair.client.is_lost)


def test_who_does_not_read_gets_nothing_until_he_does(twin: Twin, pair: Pair) -> None:
    pair.server.transport.pause_reading()
    pair.server.transport.pause_reading()
    assert not pair.server.transport.is_reading()
    twin.settle()
    pair.client.transport.write(b"late")
    twin.settle()
    assert pair.server.received == b""
    pair.server.transport.resume_reading()
    pair.server.transport.resume_reading()
    assert pair.server.transport.is_reading()
    twin.run_until(lambda: pair.server.received == b"late")


def test_a_writer_is_paused_while_the_other_does_not_read(twin: Twin, pair: Pair) -> None:
    pair.server.transport.pause_reading()
    data = random.Random(7).randbytes(MUCH)
    pair.client.transport.write(data)
    twin.settle()
    assert pair.client.events == ["made", "pause"]
    waiting = pair.client.transport.get_write_buffer_size()
    assert 0 < waiting < MUCH
    pair.client.transport.write(b"!")
    assert pair.client.events == ["made", "pause"], "it is told once"
    pair.server.transport.resume_reading()
    twin.run_until(lambda: len(pair.server.received) == MUCH + 1)
    assert pair.client.events == ["made", "pause", "resume"]
    assert pair.client.transport.get_write_buffer_size() == 0
    assert pair.server.received == data + b"!"


def test_write_buffer_limits(twin: Twin, pair: Pair) -> None:
    pair.client.transport.set_write_buffer_limits(high=MUCH * 2, low=1)
    pair.server.transport.pause_reading()
    pair.client.transport.write(bytes(MUCH))
    twin.settle()
    assert pair.client.events == ["made"]
    with pytest.raises(ValueError, match="high"):
        pair.client.transport.set_write_buffer_limits(high=1, low=2)


def test_closing_sends_what_was_written_first(twin: Twin, pair: Pair) -> None:
    data = random.Random(8).randbytes(MUCH)
    pair.server.transport.pause_reading()
    pair.client.transport.write(data)
    pair.client.transport.close()
    pair.client.transport.close()
    assert pair.client.transport.is_closing()
    twin.settle()
    assert not pair.client.is_lost, "not everything was sent"
    pair.server.transport.resume_reading()
    twin.run_until(lambda: pair.client.is_lost and pair.server.is_lost)
    assert pair.server.received == data
    assert pair.server.events == ["made", "eof", "lost"]
    assert pair.client.events[-1] == "lost"


def test_nothing_arrives_at_an_end_that_closed(twin: Twin, pair: Pair) -> None:
    pair.client.transport.close()
    pair.server.transport.write(b"too late")
    twin.run_until(lambda: pair.client.is_lost and pair.server.is_lost)
    assert pair.client.received == b""
    pair.client.transport.resume_reading()
    pair.client.transport.pause_reading()
    twin.settle()
    assert pair.client.events == ["made", "lost"]


def test_aborting_ends_both_sides_and_does_not_wait(twin: Twin, pair: Pair) -> None:
    pair.server.transport.pause_reading()
    pair.client.transport.write(bytes(MUCH))
    pair.client.transport.abort()
    pair.client.transport.abort()
    assert pair.client.transport.is_closing()
    assert not pair.client.is_lost, "it is told at the next turn of the loop"
    twin.run_until(lambda: pair.client.is_lost)
    pair.server.transport.resume_reading()
    twin.run_until(lambda: pair.server.is_lost)
    assert len(pair.server.received) < MUCH
    assert pair.client.events.count("lost") == pair.server.events.count("lost") == 1


def test_aborting_a_close_that_does_not_come_to_its_end(twin: Twin, pair: Pair) -> None:
    pair.server.transport.pause_reading()
    pair.client.transport.write(bytes(MUCH))
    pair.client.transport.close()
    twin.settle()
    assert not pair.client.is_lost
    pair.client.transport.abort()
    twin.run_until(lambda: pair.client.is_lost)


def test_one_side_may_end_and_still_be_answered(twin: Twin, pair: Pair) -> None:
    pair.server.keep_open_at_eof = True
    pair.client.transport.write(b"question")
    assert pair.client.transport.can_write_eof()
    pair.client.transport.write_eof()
    twin.run_until(lambda: pair.server.events == ["made", "eof"])
    assert pair.server.received == b"question"
    pair.server.transport.write(b"answer")
    pair.server.transport.close()
    twin.run_until(lambda: pair.client.is_lost and pair.server.is_lost)
    assert pair.client.received == b"answer"


def test_an_end_closes_itself_when_the_other_has_ended(twin: Twin, pair: Pair) -> None:
    pair.client.transport.write_eof()
    twin.run_until(lambda: pair.client.is_lost and pair.server.is_lost)
    assert pair.server.events == ["made", "eof", "lost"]


def test_connections_wait_until_the_listener_accepts(twin: Twin) -> None:
    server, client = End(), End()
    listener = twin.network.listen(HOST, 0, lambda: server)
    twin.network.connect(HOST, listener.port, lambda: client, _unexpected)
    twin.run_until(lambda: client.events == ["made"])
    client.transport.write(b"early")
    twin.settle()
    assert server.events == []
    listener.accept()
    twin.run_until(lambda: server.received == b"early")
    listener.close()
    client.transport.close()
    twin.run_until(lambda: client.is_lost and server.is_lost)


def test_a_refused_connection(twin: Twin) -> None:
    listener = twin.network.listen(HOST, 0, End)
    port = listener.port
    listener.close()
    client = End()
    failures: list[OSError] = []
    twin.network.connect(HOST, port, lambda: client, failures.append)
    assert failures == [], "it is told at a later turn of the loop"
    twin.run_until(lambda: bool(failures))
    twin.settle()
    assert [type(failure) for failure in failures] == [ConnectionRefusedError]
    assert client.events == []


def test_a_closed_listener_leaves_its_connections_alone(twin: Twin, pair: Pair) -> None:
    pair.listener.close()
    pair.client.transport.write(b"still here")
    twin.run_until(lambda: pair.server.received == b"still here")
    failures: list[OSError] = []
    twin.network.connect(HOST, pair.listener.port, End, failures.append)
    twin.run_until(lambda: bool(failures))


def test_an_address_is_bound_once(twin: Twin) -> None:
    first = twin.network.listen(HOST, 0, End)
    with pytest.raises(OSError, match=f"cannot listen on {HOST}:{first.port}: Address already in use"):
        twin.network.listen(HOST, first.port, End)
    second = twin.network.listen(HOST, 0, End)
    assert first.port != second.port
    first.close()
    second.close()
    again = twin.network.listen(HOST, first.port, End)
    again.close()


def test_an_address_of_another_machine(twin: Twin) -> None:
    with pytest.raises(OSError, match=r"cannot listen on 192\.0\.2\.1:1234: "):
        twin.network.listen("192.0.2.1", 1234, End)
