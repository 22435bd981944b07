"""A hostile client for tests of a running broker: frames as bytes on connections of their own, many at a time.

Each frame is sent whole, the sending side is closed, and what comes back until the broker closes is kept: a frame that the
broker takes but answers later (a JoinGroup, a Fetch) therefore holds nobody up.
"""

import asyncio
import socket
import struct
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from broker.protocol.codec import decode
from broker.protocol.headers import response_header_size
from broker.protocol.message import Request, Response
from broker.protocol.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from broker.protocol.messages.create_topics import CreatableTopic, CreateTopicsRequest, CreateTopicsResponse
from broker.protocol.messages.metadata import MetadataRequest, MetadataResponse
from broker.testing import BrokerProcess
from sample_messages import message_classes, request_frame
from waiting import wait_until

HOST = "127.0.0.1"
CONCURRENT = 64
# How long anything may take on a busy machine before it counts as hung.
HANG_S = 60.0
RESPONSES = {cls.API_KEY: cls for cls in message_classes() if issubclass(cls, Response)}


def framed(body: bytes, length: int | None = None) -> bytes:
    """With the length in front: the right one, or another."""
    return struct.pack(">i", len(body) if length is None else length) + body


async def _exchange(port: int, payload: bytes, gate: asyncio.Semaphore) -> bytes:
    async with gate:
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            writer.write(payload)
            writer.write_eof()
            return await asyncio.wait_for(reader.read(-1), HANG_S)
        except ConnectionError:
            return b""
        finally:
            writer.transport.abort()


def send_each(port: int, payloads: Sequence[bytes]) -> list[bytes]:
    """Every payload on a connection of its own; what the broker sent before it closed. TimeoutError when it does not."""

    async def run() -> list[bytes]:
        gate = asyncio.Semaphore(CONCURRENT)
        return await asyncio.gather(*(_exchange(port, payload, gate) for payload in payloads))

    return asyncio.run(run())


def answers_in(data: bytes) -> list[bytes]:
    """The frames in what came back; an incomplete one is an error, for the broker closes between answers."""
    found = []
    while data:
        (length,) = struct.unpack_from(">i", data)
        assert len(data) >= 4 + length, "the broker closed in the middle of an answer"
        found.append(data[4 : 4 + length])
        data = data[4 + length :]
    return found


def decode_answer(request: type[Request], version: int, answer: bytes) -> Response:
    """An answer to the (undamaged) header of this API and version, read to its last byte."""
    start = response_header_size(request.API_KEY, flexible=request.is_flexible(version))
    return decode(RESPONSES[request.API_KEY], version, answer, start)


def ask(connection: socket.socket, request: Request, version: int) -> Response:
    """One honest request on an open connection."""
    connection.sendall(framed(request_frame(request, version)))
    return decode_answer(type(request), version, read_answer(connection))


def read_answer(connection: socket.socket) -> bytes:
    (length,) = struct.unpack(">i", _read_exactly(connection, 4))
    return _read_exactly(connection, length)


def _read_exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        assert part, "the broker closed the connection"
        data += part
    return data


def assert_serves(broker: BrokerProcess) -> None:
    """A newcomer gets the versions and the metadata."""
    with socket.create_connection((HOST, broker.port), HANG_S) as connection:
        versions = ask(connection, ApiVersionsRequest(client_software_name="tests", client_software_version="1"), 3)
        assert isinstance(versions, ApiVersionsResponse)
        assert versions.error_code == 0
        assert len(versions.api_keys) > 10
        # One that was unregistered, as UnregisterBroker does, registers anew with its next heartbeat.
        wait_until(lambda: ports_in_metadata(connection) == [broker.port], "the broker to be registered")


def ports_in_metadata(connection: socket.socket) -> list[int]:
    metadata = ask(connection, MetadataRequest(topics=[]), 12)
    assert isinstance(metadata, MetadataResponse)
    return [member.port for member in metadata.brokers]


def create_topics(broker: BrokerProcess, *names: str) -> dict[str, UUID]:
    """Topics of one partition, and their ids."""
    with socket.create_connection((HOST, broker.port), HANG_S) as connection:
        wanted = [CreatableTopic(name=name, num_partitions=1, replication_factor=1) for name in names]
        made = ask(connection, CreateTopicsRequest(topics=wanted, timeout_ms=30_000), 7)
        assert isinstance(made, CreateTopicsResponse)
        assert [topic.error_code for topic in made.topics] == [0] * len(names)
        return {topic.name: topic.topic_id for topic in made.topics}


def resident_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} has no resident size")


def processor_seconds(pid: int) -> float:
    """What the process has used so far, in user and kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
