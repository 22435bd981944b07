"""Clients that behave badly with good bytes: half frames, slow senders, great claims, readers that never read, idle crowds.

None of them may slow others down, make the broker grow beyond a bound, or keep it busy; who is cut off is named in the log.
"""

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest
from broker.protocol.messages.api_versions import ApiVersionsRequest
from broker.protocol.messages.metadata import MetadataRequest
from broker.testing import BrokerProcess
from sample_messages import request_frame

from .hostile import HANG_S, HOST, assert_serves, decode_answer, framed, processor_seconds, read_answer, resident_bytes

pytestmark = pytest.mark.timeout(300)
MEGABYTE = 2**20
CLAIM_BYTES = 100 * MEGABYTE
IDLE_CONNECTIONS = 1000
IDLE_BYTES_EACH_MAX = 16 * 1024
# What one client that does not read may make the broker keep.
UNREAD_BYTES_MAX = 64 * MEGABYTE
HELLO = framed(request_frame(ApiVersionsRequest(client_software_name="slow", client_software_version="1"), 3))


@pytest.fixture
def broker() -> Iterator[BrokerProcess]:
    with BrokerProcess({"offsets.topic.num.partitions": "1"}) as running:
        assert_serves(running)
        yield running
        assert_serves(running)
        assert "Traceback" not in running.log_path.read_text()


@pytest.fixture
def crowd() -> Iterator[contextlib.ExitStack]:
    """Connections that are closed at the end."""
    with contextlib.ExitStack() as stack:
        yield stack


def connect(broker: BrokerProcess, crowd: contextlib.ExitStack) -> socket.socket:
    return crowd.enter_context(socket.create_connection((HOST, broker.port), HANG_S))


def is_answered(connection: socket.socket) -> bool:
    decode_answer(ApiVersionsRequest, 3, read_answer(connection))
    return True


def wait_for_log(broker: BrokerProcess, text: str) -> str:
    """The line of the log that says so."""
    deadline = time.monotonic() + HANG_S
    while time.monotonic() < deadline:
        for line in broker.log_path.read_text().splitlines():
            if text in line:
                return line
        time.sleep(0.05)
    raise AssertionError(f"the log does not say {text!r}; its end:\n{broker.log_tail()}")


def test_half_frames_are_finished_later(broker: BrokerProcess, crowd: contextlib.ExitStack) -> None:
    """Cut at every byte, on a connection each, all open at once; the second halves come in reverse order."""
    halves = []
    for end in range(1, len(HELLO)):
        connection = connect(broker, crowd)
        connection.sendall(HELLO[:end])
        halves.append((connection, HELLO[end:]))
    assert_serves(broker)
    for connection, rest in reversed(halves):
        connection.sendall(rest)
        assert is_answered(connection)


def test_half_frames_that_are_never_finished(broker: BrokerProcess, crowd: contextlib.ExitStack) -> None:
    for end in range(1, len(HELLO)):
        connection = connect(broker, crowd)
        connection.sendall(HELLO[:end])
        connection.close()
    assert_serves(broker)


def test_one_byte_at_a_time(broker: BrokerProcess, crowd: contextlib.ExitStack) -> None:
    connections = [connect(broker, crowd) for _ in range(20)]
    for connection in connections:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for position in range(len(HELLO)):
        for connection in connections:
            connection.sendall(HELLO[position : position + 1])
    assert all(is_answered(connection) for connection in connections)


def test_many_requests_in_one_piece_and_across_pieces(broker: BrokerProcess, crowd: contextlib.ExitStack) -> None:
    for size in (1, 7, 1000, 300_000):
        connection = connect(broker, crowd)
        count = 50 if size == 1 else 3000
        data = HELLO * count
        for position in range(0, len(data), size):
            connection.sendall(data[position : position + size])
        assert all(is_answered(connection) for _ in range(count))


def claim(broker: BrokerProcess, crowd: contextlib.ExitStack) -> None:
    """Clients announce frames of the largest size there may be, and of smaller and smaller ones, and send a little of each."""
    size = CLAIM_BYTES
    while size > len(HELLO):
        for _ in range(5):
            connection = connect(broker, crowd)
            connection.sendall(framed(HELLO[4:], size))
        size //= 2
    assert_serves(broker)


def test_claims_take_no_memory(broker: BrokerProcess, crowd: contextlib.ExitStack) -> None:
    before = resident_bytes(broker.pid)
    claim(broker, crowd)
    assert resident_bytes(broker.pid) - before < CLAIM_BYTES


def test_claims_take_nobody_elses_place(broker: BrokerProcess, crowd: contextlib.ExitStack) -> None:
    """Others still send in two pieces."""
    claim(broker, crowd)
    honest = connect(broker, crowd)
    honest.sendall(HELLO[:20])
    assert_serves(broker)
    honest.sendall(HELLO[20:])
    assert is_answered(honest)


def test_who_never_reads_is_not_answered_without_end(broker: BrokerProcess, crowd: contextlib.ExitStack) -> None:
    before = resident_bytes(broker.pid)
    connection = connect(broker, crowd)
    connection.setblocking(False)
    sent = 0
    quiet_since = time.monotonic()
    # Until the broker has stopped reading: nothing more can be sent for a while.
    while time.monotonic() - quiet_since < 1 and sent < 200 * MEGABYTE:
        try:
            sent += connection.send((HELLO * 1000)[sent % len(HELLO) :])
            quiet_since = time.monotonic()
        except BlockingIOError:
            time.sleep(0.01)
    assert sent < 200 * MEGABYTE, "the broker reads on, whether its answers are taken or not"
    assert_serves(broker)
    assert resident_bytes(broker.pid) - before < UNREAD_BYTES_MAX
    connection.settimeout(HANG_S)
    first = read_answer(connection)
    rest = (sent // len(HELLO) - 1) * len(framed(first))
    while rest:
        part = connection.recv(min(rest, MEGABYTE))
        assert part, "the broker closed before it had answered everything"
        rest -= len(part)


def test_a_thousand_idle_connections(broker: BrokerProcess, crowd: contextlib.ExitStack) -> None:
    before = resident_bytes(broker.pid)
    idle = [connect(broker, crowd) for _ in range(IDLE_CONNECTIONS)]
    for connection in idle:
        connection.sendall(HELLO)
    assert all(is_answered(connection) for connection in idle)
    assert_serves(broker)
    assert resident_bytes(broker.pid) - before < IDLE_CONNECTIONS * IDLE_BYTES_EACH_MAX
    used = processor_seconds(broker.pid)
    time.sleep(2)
    assert processor_seconds(broker.pid) - used < 0.5, "idle connections keep the broker busy"
    idle[0].sendall(HELLO)
    assert is_answered(idle[0])


def test_connections_that_come_and_go(broker: BrokerProcess) -> None:
    """Nothing is kept of a connection that is gone, whether it was closed or reset, before or after a request."""
    for _ in range(200):
        socket.create_connection((HOST, broker.port), HANG_S).close()
    before = resident_bytes(broker.pid)
    for number in range(4000):
        with socket.create_connection((HOST, broker.port), HANG_S) as connection:
            if number % 2:
                connection.sendall(HELLO[: number % len(HELLO)])
            if number % 3:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    assert_serves(broker)
    assert resident_bytes(broker.pid) - before < 10 * MEGABYTE


METADATA = request_frame(MetadataRequest(topics=[]), 12)


def test_bytes_behind_a_request_are_passed_over(broker: BrokerProcess, crowd: contextlib.ExitStack) -> None:
    """As Kafka does: librdkafka leaves some there."""
    connection = connect(broker, crowd)
    connection.sendall(framed(METADATA + b"!") + HELLO)
    decode_answer(MetadataRequest, 12, read_answer(connection))
    assert is_answered(connection)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (framed(METADATA[:-2]), "MetadataRequest"),
        (framed(METADATA[:2] + b"\x00\x63" + METADATA[4:]), "version 99 of METADATA is not supported, 0 to 13 are"),
        (framed(b"\x7f\xff" + METADATA[2:]), "API key 32767 is not served on listener PLAINTEXT"),
        (framed(METADATA, 2**30), "a frame claims 1073741824 bytes; socket.request.max.bytes allows"),
        (framed(METADATA[:8] + b"\x7f\x00" + METADATA[10:]), "RequestHeader.client_id: its length 32512"),
    ],
    ids=["cut", "version", "key", "length", "header"],
)
def test_the_log_says_why_a_connection_was_closed(broker: BrokerProcess, payload: bytes, reason: str) -> None:
    with socket.create_connection((HOST, broker.port), HANG_S) as connection:
        connection.sendall(payload)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(100) == b""
    line = wait_for_log(broker, reason)
    assert "WARNING closing the connection from 127.0.0.1 on PLAINTEXT: " in line


def test_many_bad_clients_do_not_fill_the_log(broker: BrokerProcess) -> None:
    for _ in range(3000):
        with socket.create_connection((HOST, broker.port), HANG_S) as connection, contextlib.suppress(ConnectionError):
            connection.sendall(b"\xff" * 20)
            connection.recv(1)
    wait_for_log(broker, "more connections were closed for such reasons")
    assert len(broker.log_path.read_text().splitlines()) < 1000


def test_idle_clients_are_cut_off() -> None:
    with BrokerProcess({"connections.max.idle.ms": "1000"}) as broker, contextlib.ExitStack() as crowd:
        connection = connect(broker, crowd)
        connection.sendall(HELLO)
        assert is_answered(connection)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""
        wait_for_log(broker, "it was idle for connections.max.idle.ms=1000")


def test_no_more_than_so_many_connections() -> None:
    with BrokerProcess({"max.connections": "20"}) as broker, contextlib.ExitStack() as crowd:
        inside = [connect(broker, crowd) for _ in range(20)]
        for connection in inside:
            connection.sendall(HELLO)
            assert is_answered(connection)
        outside = connect(broker, crowd)
        with contextlib.suppress(ConnectionResetError):
            assert outside.recv(1) == b""
        wait_for_log(broker, "there are max.connections=20 connections already")
        inside.pop().close()
        deadline = time.monotonic() + HANG_S
        while time.monotonic() < deadline:
            with contextlib.suppress(ConnectionError, AssertionError):
                late = connect(broker, crowd)
                late.sendall(HELLO)
                assert is_answered(late)
                return
        pytest.fail("a place that became free is not given to a newcomer")
