"""A connection: frames however they come, answers in order, bounds, and how it ends."""

import gc
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from broker.protocol.api_keys import ApiKey
from broker.protocol.codec import MalformedMessage
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from broker.protocol.messages.create_topics import CreatableTopic, CreateTopicsRequest, CreateTopicsResponse
from broker.protocol.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from broker.protocol.messages.find_coordinator import FindCoordinatorRequest
from broker.protocol.messages.metadata import MetadataRequest, MetadataResponse
from broker.protocol.messages.produce import ProduceResponse
from broker.server.api_table import BY_KEY, CLIENTS, NODES, TABLE, Api
from broker.server.connection import FRAME_MS, FRAME_ROOM_BYTES, OTHER_REQUEST_BYTES_MAX, SMALL_FRAME_BYTES, WRITE_STALL_MS, Slot
from broker.server.services import DEFERRED, NO_RESPONSE, CloseConnection, RequestContext

from .wire import Client, frame
from .world import Node, batch, produce_request, running

Handler = Callable[..., Any]


@pytest.fixture
def client(node: Node) -> Client:
    node.topic("t")
    return Client(node)


@pytest.fixture
def deferred(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[RequestContext]]:
    """Produces that are answered when the test says so."""
    contexts: list[RequestContext] = []

    def handle(request: Any, context: RequestContext, broker: Any) -> Any:
        contexts.append(context)
        return DEFERRED

    use(monkeypatch, ApiKey.PRODUCE, handle)
    return contexts


def use(monkeypatch: pytest.MonkeyPatch, key: ApiKey, handler: Handler) -> None:
    """Let another handler answer an API."""
    row = replace(BY_KEY[key])
    row.__dict__["handler"] = handler
    monkeypatch.setitem(BY_KEY, key.value, row)


def metadata(correlation_id: int = 1) -> bytes:
    return frame(MetadataRequest(topics=[]), 9, correlation_id)


def produce(correlation_id: int = 1, value: bytes = b"v", acks: int = -1) -> bytes:
    return frame(produce_request("t", batch(value), acks=acks), 9, correlation_id)


def waiting_fetch(correlation_id: int = 1, max_wait_ms: int = 1000) -> bytes:
    topic = FetchTopic(topic="t", partitions=[FetchPartition(partition=0, partition_max_bytes=1000)])
    return frame(FetchRequest(max_wait_ms=max_wait_ms, min_bytes=10_000, topics=[topic]), 12, correlation_id)


# Frames.


def test_a_request_is_answered(client: Client) -> None:
    client.send(ApiVersionsRequest(client_software_name="test", client_software_version="1"), 3, correlation_id=7)
    assert client.correlation_ids == [7]
    (answer,) = client.answers((ApiVersionsResponse, 3))
    assert answer.error_code == ErrorCode.NONE


def test_requests_may_be_cut_anywhere(node: Node) -> None:
    node.topic("t")
    data = metadata(1) + produce(2) + metadata(3)
    for cut in range(1, len(data)):
        client = Client(node)
        client.feed(data[:cut])
        client.feed(data[cut:])
        assert client.correlation_ids == [1, 2, 3], cut
    client = Client(node)
    for position in range(len(data)):
        client.feed(data[position : position + 1])
    assert client.correlation_ids == [1, 2, 3]
    assert node.broker.acceptor.budget.used_bytes == 0


def test_many_requests_may_come_at_once(client: Client) -> None:
    client.feed(b"".join(metadata(number) for number in range(100)))
    assert client.correlation_ids == list(range(100))


def test_a_large_request_takes_of_the_budget_until_it_is_run(node: Node, client: Client) -> None:
    budget = node.broker.acceptor.budget
    data = produce(1, b"x" * 500_000)
    client.feed(data[:400_000])
    assert budget.used_bytes == len(data) - 4
    client.feed(data[400_000:])
    assert (client.correlation_ids, budget.used_bytes) == ([1], 0)
    assert node.partition("t").log.log_end_offset == 1


def test_a_large_request_that_waits_takes_of_the_budget_too(node: Node, client: Client) -> None:
    budget = node.broker.acceptor.budget
    client.feed(waiting_fetch(1))
    data = produce(2, b"x" * 500_000)
    client.feed(data)
    assert (client.correlation_ids, budget.used_bytes) == ([], len(data) - 4)
    assert not client.transport.reading
    node.pass_time(1000)
    assert (client.correlation_ids, budget.used_bytes) == ([1, 2], 0)
    assert client.transport.reading


@pytest.mark.parametrize("end", ["go", "abort"])
def test_the_budget_gets_back_what_a_dead_connection_held(node: Node, client: Client, end: str) -> None:
    budget = node.broker.acceptor.budget
    client.feed(waiting_fetch(1))
    client.feed(produce(2, b"x" * 500_000))
    client.feed(produce(3, b"x" * 500_000)[:300_000])
    assert budget.used_bytes > 900_000
    if end == "go":
        client.go()
    else:
        client.connection.abort("for the test")
        node.pass_time(0)
    assert budget.used_bytes == 0
    assert client.connection not in node.broker.acceptor.connections


def test_no_room_in_the_budget(caplog: pytest.LogCaptureFixture) -> None:
    with running(queued_max_request_bytes="600000") as node:
        node.topic("t")
        first, second = Client(node), Client(node)
        first.feed(produce(1, b"x" * 500_000)[:300_000])
        second.feed(produce(1, b"x" * 400_000)[:300_000])
        assert (first.transport.aborted, second.transport.aborted) == (False, True)
        assert "queued.max.request.bytes" in caplog.text
        first.feed(produce(1, b"x" * 500_000)[300_000:])
        assert first.correlation_ids == [1]
        # Alone, a frame larger than the whole budget may come.
        first.feed(produce(2, b"x" * 700_000))
        assert first.correlation_ids == [1, 2]


def test_a_length_is_believed_as_far_as_its_bytes_come(node: Node, client: Client) -> None:
    """A claim costs a client nothing, so it takes little of the budget; what does come gets room in steps."""
    budget = node.broker.acceptor.budget
    other = Client(node)
    other.feed((100 * 2**20).to_bytes(4, "big") + bytes(1000))
    assert budget.used_bytes == FRAME_ROOM_BYTES
    other.feed(bytes(FRAME_ROOM_BYTES - 1000))
    assert budget.used_bytes == 2 * FRAME_ROOM_BYTES
    other.go()
    node.topic("large", max_message_bytes=str(10 * 2**20))
    expected = bytes(range(256)) * 20_000
    large = frame(produce_request("large", batch(expected)), 9, 3)
    for position in range(0, len(large), 100_000):
        client.feed(large[position : position + 100_000])
    assert (client.correlation_ids, budget.used_bytes) == ([3], 0)
    assert expected in b"".join(map(bytes, node.partition("large").log.read(0, 10**8, 1)))


def test_small_requests_need_no_room_in_the_budget(caplog: pytest.LogCaptureFixture) -> None:
    with running(queued_max_request_bytes="600000") as node:
        node.topic("t")
        greedy, modest = Client(node), Client(node)
        greedy.feed(produce(1, b"x" * 590_000)[:1000])
        data = produce(1, b"x" * (SMALL_FRAME_BYTES - 500))
        modest.feed(data[:1000])
        modest.feed(data[1000:])
        assert modest.correlation_ids == [1]
        assert "queued.max.request.bytes" not in caplog.text
        modest.feed(produce(2, b"x" * SMALL_FRAME_BYTES)[:1000])
        assert modest.transport.aborted


@pytest.mark.parametrize("length", [-1, 0, 7, 104_857_601, 2**31 - 1, -(2**31)])
def test_impossible_lengths_end_the_connection(client: Client, length: int, caplog: pytest.LogCaptureFixture) -> None:
    client.feed(length.to_bytes(4, "big", signed=True) + bytes(100))
    assert client.transport.aborted
    assert f"a frame claims {length} bytes" in caplog.text
    assert "10.1.2.3" in caplog.text


# Order.


def test_produces_run_at_once_and_are_answered_in_order(client: Client, deferred: list[RequestContext]) -> None:
    client.feed(produce(1) + produce(2) + produce(3))
    assert len(deferred) == 3
    deferred[2].respond(ProduceResponse())
    deferred[1].respond(ProduceResponse())
    assert client.correlation_ids == []
    deferred[0].respond(ProduceResponse())
    assert client.correlation_ids == [1, 2, 3]


def test_anything_else_waits_for_those_before_it(client: Client, deferred: list[RequestContext]) -> None:
    client.feed(produce(1) + metadata(2) + produce(3))
    assert len(deferred) == 1
    assert not client.transport.reading
    deferred[0].respond(ProduceResponse())
    assert client.correlation_ids == [1, 2]
    assert len(deferred) == 2
    assert client.transport.reading
    deferred[1].respond(ProduceResponse())
    assert client.correlation_ids == [1, 2, 3]


def test_a_produce_waits_for_what_is_no_produce(node: Node, client: Client) -> None:
    topic = CreatableTopic(name="u", num_partitions=1, replication_factor=1)
    client.feed(frame(CreateTopicsRequest(topics=[topic], timeout_ms=1000), 7, 1) + produce(2) + metadata(3))
    assert client.correlation_ids == []
    assert node.partition("t").log.log_end_offset == 0
    node.until(lambda: client.correlation_ids == [1, 2, 3])
    created, produced, _ = client.answers((CreateTopicsResponse, 7), (ProduceResponse, 9), (MetadataResponse, 9))
    assert created.topics[0].error_code == produced.responses[0].partition_responses[0].error_code == ErrorCode.NONE


def test_nothing_is_sent_for_acks_0_and_the_order_holds(client: Client, deferred: list[RequestContext]) -> None:
    client.feed(produce(1))
    BY_KEY[0].__dict__["handler"] = lambda request, context, broker: NO_RESPONSE
    client.feed(produce(2, acks=0) + metadata(3))
    assert client.correlation_ids == []
    deferred[0].respond(ProduceResponse())
    assert client.correlation_ids == [1, 3]


def test_so_many_requests_may_wait_for_their_answers(deferred: list[RequestContext]) -> None:
    with running(queued_max_requests="3") as node:
        client = Client(node)
        client.feed(b"".join(produce(number) for number in range(5)))
        assert len(deferred) == 3
        assert not client.transport.reading
        deferred[0].respond(ProduceResponse())
        assert len(deferred) == 4
        for context in deferred[1:4]:
            context.respond(ProduceResponse())
        deferred[4].respond(ProduceResponse())
        assert client.correlation_ids == [0, 1, 2, 3, 4]
        assert client.transport.reading


def test_many_that_waited_run_one_after_another(node: Node, client: Client) -> None:
    """However many: without a deeper stack for each."""
    client.feed(waiting_fetch(0) + b"".join(metadata(number) for number in range(1, 3000)))
    node.pass_time(1000)
    assert client.correlation_ids == list(range(3000))


# Slow readers, slow senders, idle ones.


def test_nothing_is_run_for_who_does_not_read(node: Node, client: Client) -> None:
    client.connection.pause_writing()
    client.feed(metadata(1))
    assert (client.correlation_ids, client.transport.reading) == ([], False)
    client.connection.resume_writing()
    assert (client.correlation_ids, client.transport.reading) == ([1], True)


def test_who_takes_no_answer_is_cut_off(node: Node, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    client.connection.pause_writing()
    node.pass_time(WRITE_STALL_MS)
    assert not client.transport.aborted
    node.pass_time(2000)
    assert client.transport.aborted
    assert "it took no answer" in caplog.text


def test_who_does_not_finish_a_request_is_cut_off(node: Node, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    client.feed(metadata(1)[:10])
    for _ in range(int(FRAME_MS / 10_000) - 1):
        node.pass_time(10_000)
        client.feed(b"\0")
    assert not client.transport.aborted
    node.pass_time(12_000)
    assert client.transport.aborted
    assert "it did not finish a request" in caplog.text


def test_who_could_not_go_on_is_not_to_blame(node: Node, client: Client) -> None:
    """The broker stops reading while a request waits for the one before it; the next one is half here."""
    client.feed(waiting_fetch(1, max_wait_ms=4 * 60_000) + metadata(2) + metadata(3)[:10])
    assert not client.transport.reading
    node.pass_time(4 * 60_000)
    assert (client.correlation_ids, client.transport.reading) == ([1, 2], True)
    node.pass_time(FRAME_MS - 10_000)
    assert not client.transport.aborted
    client.feed(metadata(3)[10:])
    assert client.correlation_ids == [1, 2, 3]


def test_who_is_idle_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    with running(connections_max_idle_ms="30000") as node:
        node.topic("t")
        idle, busy, waits = Client(node), Client(node), Client(node)
        waits.feed(waiting_fetch(1, max_wait_ms=40_000))
        node.pass_time(20_000)
        busy.feed(metadata(1))
        node.pass_time(12_000)
        assert (idle.transport.aborted, busy.transport.aborted, waits.transport.aborted) == (True, False, False)
        assert "connections.max.idle.ms" in caplog.text


# What is not well-formed, and defects.


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\0\x63\0\0\0\0\0\1\xff\xff", "API key 99 is not served on listener PLAINTEXT"),
        (b"\0\3\0\x63\0\0\0\1\xff\xff", "version 99 of METADATA is not supported, 0 to 13 are"),
        (b"\0\0\0\2\0\0\0\1\xff\xff", "version 2 of PRODUCE is not supported, 3 to 13 are"),
        (b"\0\3\0\0\0\0\0\1\0\x40", "client_id"),
        (b"\0\3\0\0\0\0\0\1\xff\xff\x7f\xff\xff\xff", "MetadataRequest"),
        (b"\0\3\0\0\0\0\0\1", "the frame ends in the middle of it"),
    ],
)
def test_malformed_requests_end_the_connection(client: Client, data: bytes, why: str, caplog: pytest.LogCaptureFixture) -> None:
    client.feed(len(data).to_bytes(4, "big") + data)
    assert client.transport.aborted
    assert why in caplog.text


def test_a_controllers_listener_serves_its_own_apis(node: Node) -> None:
    client = Client(node, "CONTROLLER")
    client.send(ApiVersionsRequest(client_software_name="test", client_software_version="1"), 3)
    (answer,) = client.answers((ApiVersionsResponse, 3))
    keys = {one.api_key for one in answer.api_keys}
    assert ApiKey.DESCRIBE_QUORUM in keys
    assert ApiKey.PRODUCE not in keys
    client.feed(metadata(2))
    assert client.transport.aborted


@pytest.mark.parametrize(
    ("listener", "api"),
    [("PLAINTEXT", api) for api in TABLE if api.listeners == NODES]
    + [("CONTROLLER", api) for api in TABLE if api.listeners == CLIENTS],
    ids=lambda one: getattr(one, "module", one),
)
def test_the_other_listeners_apis_end_the_connection(
    node: Node, listener: str, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(node, listener)
    client.send(api.request(), api.last)
    assert client.transport.aborted
    assert f"API key {api.key.value} is not served on listener {listener}" in caplog.text


def test_bytes_after_a_message_are_passed_over(client: Client) -> None:
    data = metadata(1)[4:] + b"rest"
    client.feed(len(data).to_bytes(4, "big") + data)
    assert client.correlation_ids == [1]


def test_only_produces_may_be_large(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    data = metadata(1)[4:] + bytes(OTHER_REQUEST_BYTES_MAX)
    client.feed(len(data).to_bytes(4, "big") + data)
    assert client.transport.aborted
    assert f"{OTHER_REQUEST_BYTES_MAX} are allowed" in caplog.text


@pytest.mark.parametrize(
    "error", [CloseConnection("enough"), MalformedMessage("enough"), KafkaError(ErrorCode.INVALID_REQUEST, "enough")]
)
def test_a_handler_may_end_the_connection(
    client: Client, error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def handle(request: Any, context: Any, broker: Any) -> Any:
        raise error

    use(monkeypatch, ApiKey.METADATA, handle)
    client.feed(metadata(1) + metadata(2))
    assert client.transport.aborted
    assert "enough" in caplog.text


def test_a_defect_ends_one_connection_and_leaves_a_trace(
    node: Node, client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def handle(request: Any, context: Any, broker: Any) -> Any:
        raise ZeroDivisionError("a defect")

    with monkeypatch.context() as patch:
        use(patch, ApiKey.METADATA, handle)
        client.feed(metadata(1))
    assert client.transport.aborted
    assert "ZeroDivisionError: a defect" in caplog.text
    other = Client(node)
    other.feed(metadata(1))
    assert other.correlation_ids == [1]


def test_an_answer_that_cannot_be_written_ends_the_connection(
    client: Client, deferred: list[RequestContext], caplog: pytest.LogCaptureFixture
) -> None:
    client.feed(produce(1))
    deferred[0].respond(MetadataResponse(cluster_id=5))  # type: ignore[arg-type]
    assert client.transport.aborted
    assert "MetadataResponse could not be written" in caplog.text


# Endings.


def slots_alive() -> int:
    return sum(isinstance(one, Slot) for one in gc.get_objects())


def test_no_answer_leaves_work_for_the_garbage_collector(node: Node, client: Client) -> None:
    gc.collect()
    gc.disable()
    try:
        # Those that other tests have left.
        others = slots_alive()
        client.feed(produce(1) + metadata(2) + waiting_fetch(3, max_wait_ms=500))
        assert slots_alive() == others + 1
        node.pass_time(500)
        assert client.correlation_ids == [1, 2, 3]
        assert slots_alive() == others
        client.feed(waiting_fetch(4))
        client.go()
        assert slots_alive() == others
    finally:
        gc.enable()


def test_who_goes_takes_its_waiting_fetch_along(node: Node, client: Client) -> None:
    client.feed(waiting_fetch(1))
    partition = node.partition("t")
    assert len(partition.consumers) == 1
    client.go()
    assert len(partition.consumers) == 0
    node.produce("t", b"x" * 20_000)
    node.pass_time(5000)
    assert client.correlation_ids == []


def test_late_answers_to_who_is_gone_are_dropped(client: Client, deferred: list[RequestContext]) -> None:
    client.feed(produce(1) + produce(2) + metadata(3))
    client.go()
    for context in deferred:
        context.respond(ProduceResponse())
    assert client.transport.written == b""


def test_a_stopping_node_closes_and_says_no_reason(node: Node, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        node.stop()
    assert (client.transport.closed, client.transport.aborted) == (True, False)
    assert "closing the connection" not in caplog.text


def test_the_clients_name_and_host_reach_the_handler(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[RequestContext] = []

    def handle(request: Any, context: RequestContext, broker: Any) -> Any:
        seen.append(context)
        return DEFERRED

    use(monkeypatch, ApiKey.FIND_COORDINATOR, handle)
    client.feed(frame(FindCoordinatorRequest(key="g"), 3, 1, client_id="독자"))
    context = seen[0]
    assert (context.client_id, context.client_host, context.listener_name, context.api_version) == (
        "독자",
        "10.1.2.3",
        "PLAINTEXT",
        3,
    )
