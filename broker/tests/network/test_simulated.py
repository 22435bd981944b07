"""The simulated twin: what its faults do, and that everything follows from the seed."""

import asyncio
import random

import pytest
from broker.clock.simulated import SimulatedClock
from broker.network.simulated import (
    CONNECT_TIMEOUT_MS,
    RETRANSMIT_MS,
    SOCKET_BYTES,
    SimulatedListener,
    SimulatedNetwork,
    SimulatedTransport,
    Wires,
)

SEEDS = range(50)
PORT = 9092


class End(asyncio.BufferedProtocol):
    """Notes what arrives and how it ended."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.pieces: list[int] = []
        self.lost: list[Exception | None] = []
        self._buffer = memoryview(bytearray(1 << 20))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, SimulatedTransport)
        self.transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.received += self._buffer[:nbytes]
        self.pieces.append(nbytes)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)


class Lab:
    """Two nodes, one of them a server."""

    def __init__(self, seed: int) -> None:
        self.clock = SimulatedClock()
        self.lines: list[str] = []
        self.wires = Wires(self.clock, random.Random(seed), watch=lambda line: self.lines.append(f"{self.clock.now_ms} {line}"))
        self.one, self.two = SimulatedNetwork(self.wires, "one"), SimulatedNetwork(self.wires, "two")
        self.failures: list[OSError] = []
        self.accepted: list[End] = []
        self.listener = self.listen()

    def listen(self) -> SimulatedListener:
        listener = self.two.listen("two", PORT, self._accept)
        listener.accept()
        return listener

    def _accept(self) -> End:
        self.accepted.append(End())
        return self.accepted[-1]

    def connect(self) -> End:
        end = End()
        self.one.connect("two", PORT, lambda: end, self.failures.append)
        return end

    def connected(self) -> tuple[End, End]:
        client = self.connect()
        self.run()
        return client, self.accepted[-1]

    def run(self, duration_ms: int = 1000) -> None:
        self.clock.run_until(self.clock.now_ms + duration_ms)


@pytest.fixture(params=SEEDS)
def lab(request: pytest.FixtureRequest) -> Lab:
    return Lab(request.param)


def reset(end: End) -> bool:
    return [type(error) for error in end.lost] == [ConnectionResetError]


def test_the_death_of_a_process_ends_its_connections(lab: Lab) -> None:
    """What its socket had taken still arrives, what it had not is lost; nothing of it is called any more."""
    client, server = lab.connected()
    client.transport.pause_reading()
    lab.run()
    server.transport.write(bytes(10 * SOCKET_BYTES))
    lab.two.crash()
    client.transport.resume_reading()
    lab.run()
    assert len(client.received) == SOCKET_BYTES
    assert client.lost == [None]
    assert server.lost == []
    assert lab.wires.transports == {}
    lab.connect()
    lab.run()
    assert [type(error) for error in lab.failures] == [ConnectionRefusedError]


def test_bytes_that_a_dead_process_did_not_read_reset_the_connection(lab: Lab) -> None:
    client, server = lab.connected()
    server.transport.pause_reading()
    client.transport.write(b"unread")
    lab.run()
    lab.two.crash()
    lab.run()
    assert reset(client)


def test_the_death_of_a_machine_is_silent_until_it_is_back(lab: Lab) -> None:
    client, _ = lab.connected()
    lab.two.crash(silently=True)
    client.transport.write(b"hello?")
    lab.run(60_000)
    assert client.lost == []
    lab.listen()
    lab.run()
    assert reset(client)


def test_connections_that_wait_in_the_backlog_die_with_it(lab: Lab) -> None:
    lab.listener.close()
    lab.two.listen("", PORT, End)
    client = lab.connect()
    lab.run()
    lab.two.crash()
    lab.run()
    assert len(client.lost) == 1


def test_a_cut_resets_both_sides_and_loses_what_was_under_way(lab: Lab) -> None:
    client, server = lab.connected()
    client.transport.write(b"x" * 1000)
    assert lab.wires.cut_connections("one", "two") == 1
    lab.run()
    assert reset(client)
    assert reset(server)
    assert server.received == b""
    again, _ = lab.connected()
    assert again.lost == []


def test_who_is_cut_off_while_connecting_is_told_once(lab: Lab) -> None:
    outcomes = set()
    for duration_ms in range(8):
        client = lab.connect()
        lab.failures.clear()
        lab.run(duration_ms)
        lab.wires.cut_connections("one", "two")
        lab.run()
        assert len(lab.failures) + len(client.lost) == 1
        assert all(type(error) is ConnectionResetError for error in [*lab.failures, *client.lost])
        outcomes.add(len(lab.failures))
    assert outcomes == {0, 1}


def test_parted_nodes_hear_each_other_again_when_healed(lab: Lab) -> None:
    client, server = lab.connected()
    lab.wires.part("one", "two")
    client.transport.write(b"question")
    server.transport.write(b"the other direction")
    lab.run(20 * RETRANSMIT_MS)
    assert server.received == b""
    assert client.received == b"the other direction"
    lab.wires.heal()
    lab.run()
    assert server.received == b"question"
    assert client.lost == server.lost == []


def test_nobody_connects_to_a_parted_node(lab: Lab) -> None:
    lab.wires.part("two", "one")
    lab.connect()
    lab.run(CONNECT_TIMEOUT_MS - 1)
    assert lab.failures == []
    lab.run()
    assert [type(error) for error in lab.failures] == [TimeoutError]


def test_who_died_while_connecting_hears_nothing(lab: Lab) -> None:
    lab.connect()
    lab.one.crash()
    lab.listener.close()
    lab.connect().transport = None  # type: ignore[assignment]
    lab.one.crash()
    lab.run(CONNECT_TIMEOUT_MS * 2)
    assert lab.failures == []


def test_bytes_for_an_end_that_is_closed_reset_the_sender(lab: Lab) -> None:
    client, server = lab.connected()
    server.transport.close()
    client.transport.write(b"x")
    lab.run()
    assert len(client.lost) == 1
    assert server.lost == [None]


def test_pieces_and_delays_differ_and_follow_from_the_seed() -> None:
    def story(seed: int) -> tuple[list[str], list[int]]:
        lab = Lab(seed)
        client, server = lab.connected()
        for _ in range(20):
            client.transport.write(bytes(1000))
            lab.run(2)
        lab.run()
        return lab.lines, server.pieces

    stories = [story(seed) for seed in SEEDS]
    assert stories == [story(seed) for seed in SEEDS]
    assert len({str(lines) for lines, _ in stories}) == len(SEEDS)
    pieces = [piece for _, some in stories for piece in some]
    assert {1000} < set(pieces), "whole writes, parts of them, and several in one"
    assert min(pieces) < 100
    assert max(pieces) > 1000


def test_an_error_in_a_protocol_reaches_whoever_runs_the_simulation(lab: Lab) -> None:
    class Broken(End):
        def buffer_updated(self, nbytes: int) -> None:
            raise LookupError("a defect")

    lab.listener.close()
    lab.two.listen("", PORT, Broken).accept()
    client = lab.connect()
    lab.run()
    client.transport.write(b"x")
    with pytest.raises(LookupError, match="a defect"):
        lab.run()


def test_a_paused_node_takes_what_comes_and_hears_of_it_later(lab: Lab) -> None:
    client, server = lab.connected()
    lab.two.pause()
    client.transport.write(b"while it sleeps")
    late = lab.connect()
    lab.run()
    assert (server.received, len(lab.accepted)) == (b"", 1)
    assert late.transport is not None, "its kernel takes connections"
    client.transport.close()
    lab.run()
    assert server.lost == []
    lab.two.resume()
    lab.run()
    assert (server.received, server.lost, len(lab.accepted)) == (b"while it sleeps", [None], 2)


def test_a_node_that_dies_while_it_is_paused_hears_nothing(lab: Lab) -> None:
    client, server = lab.connected()
    lab.two.pause()
    client.transport.write(b"x")
    lab.run()
    lab.two.crash()
    lab.run()
    assert (server.received, server.lost) == (b"", [])
    assert len(client.lost) == 1


def test_one_way_can_be_mended_alone(lab: Lab) -> None:
    lab.wires.part("one", "two")
    lab.wires.part("two", "one")
    lab.wires.mend("one", "two")
    assert (lab.wires.passes("one", "two"), lab.wires.passes("two", "one")) == (True, False)
    lab.wires.mend("one", "two")
