"""The conversation without its socket: each request gets its one outcome, in order, whatever the other side does."""

import random
from collections.abc import Callable

import pytest
from broker.client.exchange import (
    HANDSHAKE_MS,
    SOFTWARE_NAME,
    WAITING_MAX,
    ConnectionFailed,
    Exchange,
    Outcome,
    RequestFailed,
    RequestUnsupported,
    response_class,
)
from broker.protocol.message import Response
from broker.protocol.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from broker.protocol.messages.find_coordinator import FindCoordinatorRequest
from broker.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from broker.protocol.messages.metadata import MetadataRequest, MetadataResponse
from broker.protocol.messages.produce import ProduceRequest, ProduceResponse

from .broker_side import REQUESTS, Received, answer, frame, joined, read_requests, refusal_of_version, versions

FAR_MS = 1_000_000


class Asker:
    """An exchange, and what came of each request by its group id."""

    def __init__(self, in_flight_max: int = 5) -> None:
        self.exchange = Exchange("tests", in_flight_max=in_flight_max)
        self.outcomes: list[tuple[str, Outcome]] = []

    def ask(self, name: str, deadline_ms: int = FAR_MS) -> None:
        request = HeartbeatRequest(group_id=name, generation_id=1, member_id="m")
        self.exchange.submit(request, deadline_ms, self.noting(name))

    def noting(self, name: str) -> Callable[[Outcome], None]:
        return lambda outcome: self.outcomes.append((name, outcome))

    def sent(self) -> list[Received]:
        return read_requests(joined(self.exchange.take_output()))

    def shake_hands(self, **ranges: tuple[int, int]) -> None:
        self.exchange.start(0)
        (hello,) = self.sent()
        self.exchange.receive(answer(hello, versions(**ranges)))
        assert self.exchange.ready

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.outcomes]


def beat(received: Received, code: int = 0) -> bytes:
    return answer(received, HeartbeatResponse(error_code=code))


# The handshake.


def test_the_first_request_asks_for_versions_and_says_who_asks() -> None:
    asker = Asker()
    asker.ask("early")
    assert asker.sent() == []
    asker.exchange.start(0)
    ((header, request),) = asker.sent()
    assert isinstance(request, ApiVersionsRequest)
    assert header.api_version == ApiVersionsRequest.VERSIONS[1]
    assert header.client_id == "tests"
    assert request.client_software_name == SOFTWARE_NAME
    assert not asker.exchange.ready


def test_what_was_asked_before_the_versions_came_goes_out_then() -> None:
    asker = Asker()
    asker.ask("first")
    asker.ask("second")
    asker.shake_hands()
    assert [received.request.group_id for received in asker.sent()] == ["first", "second"]  # type: ignore[attr-defined]


def test_a_broker_that_does_not_know_the_version_is_asked_again_in_its_own() -> None:
    asker = Asker()
    asker.exchange.start(0)
    (hello,) = asker.sent()
    asker.exchange.receive(refusal_of_version(hello, 2))
    (again,) = asker.sent()
    assert again.header.api_version == 2
    asker.exchange.receive(answer(again, versions()))
    assert asker.exchange.ready


def test_a_broker_that_refuses_every_version_ends_it() -> None:
    asker = Asker()
    asker.ask("waits")
    asker.exchange.start(0)
    for _ in range(ApiVersionsRequest.VERSIONS[1] + 2):
        sent = asker.sent()
        if not sent:
            break
        asker.exchange.receive(refusal_of_version(sent[0], 10))
    assert asker.exchange.failure is not None
    assert [type(outcome) for _, outcome in asker.outcomes] == [ConnectionFailed]


def test_an_error_for_an_answer_ends_it() -> None:
    asker = Asker()
    asker.exchange.start(0)
    asker.exchange.receive(answer(asker.sent()[0], ApiVersionsResponse(error_code=-1)))
    assert "error -1" in str(asker.exchange.failure)


def test_a_broker_that_says_nothing_is_given_up() -> None:
    asker = Asker()
    asker.ask("waits")
    asker.exchange.start(5)
    assert asker.exchange.next_deadline() == 5 + HANDSHAKE_MS
    asker.exchange.on_deadline(5 + HANDSHAKE_MS)
    assert "no answer in time" in str(asker.exchange.failure)
    assert asker.names == ["waits"]


# Versions.


@pytest.mark.parametrize(("theirs", "expected"), [((0, 4), 4), ((0, 2), 2), ((3, 9), 4), ((4, 4), 4)])
def test_the_newest_version_that_both_know(theirs: tuple[int, int], expected: int) -> None:
    asker = Asker()
    asker.shake_hands(Heartbeat=theirs)
    asker.ask("one")
    (received,) = asker.sent()
    assert received.header.api_version == expected
    asker.exchange.receive(beat(received))
    assert asker.names == ["one"]


def test_no_newer_version_than_the_caller_wants() -> None:
    asker = Asker()
    asker.shake_hands()
    asker.exchange.submit(MetadataRequest(topics=[]), FAR_MS, asker.noting("old"), version_max=4)
    assert asker.sent()[0].header.api_version == 4


@pytest.mark.parametrize(("theirs", "words"), [((0, -1), "does not support Heartbeat"), ((7, 9), "from version 7 to 9")])
def test_an_api_that_the_broker_lacks(theirs: tuple[int, int], words: str) -> None:
    asker = Asker()
    asker.ask("early")
    asker.shake_hands(Heartbeat=theirs)
    asker.ask("late")
    assert asker.sent() == []
    assert asker.names == ["early", "late"]
    for _, outcome in asker.outcomes:
        assert isinstance(outcome, RequestUnsupported)
        assert words in str(outcome)
    assert asker.exchange.failure is None


def test_a_field_that_the_common_version_cannot_say() -> None:
    asker = Asker()
    asker.shake_hands(FindCoordinator=(0, 3))
    asker.exchange.submit(FindCoordinatorRequest(coordinator_keys=["g"]), FAR_MS, asker.noting("keys"))
    ((_, outcome),) = asker.outcomes
    assert isinstance(outcome, RequestUnsupported)
    assert "coordinator_keys" in str(outcome)


def test_supports() -> None:
    asker = Asker()
    assert not asker.exchange.supports(HeartbeatRequest)
    asker.shake_hands(Heartbeat=(0, 2), Produce=(0, -1))
    assert asker.exchange.supports(HeartbeatRequest, 2)
    assert not asker.exchange.supports(HeartbeatRequest, 3)
    assert not asker.exchange.supports(ProduceRequest)


def test_every_request_has_its_response_beside_it() -> None:
    for cls in REQUESTS.values():
        assert issubclass(response_class(cls), Response)
        assert response_class(cls).API_KEY == cls.API_KEY


# Order, bounds, outcomes.


def test_answers_come_to_those_who_asked_in_order() -> None:
    asker = Asker()
    asker.shake_hands()
    for name in "abc":
        asker.ask(name)
    data = b"".join(beat(received, code) for code, received in enumerate(asker.sent()))
    for start in range(len(data)):
        asker.exchange.receive(data[start : start + 1])
    assert [(name, outcome.error_code) for name, outcome in asker.outcomes] == [("a", 0), ("b", 1), ("c", 2)]  # type: ignore[union-attr]


def test_at_most_so_many_are_on_the_wire() -> None:
    asker = Asker(in_flight_max=2)
    asker.shake_hands()
    for name in "abcd":
        asker.ask(name)
    first = asker.sent()
    assert [received.request.group_id for received in first] == ["a", "b"]  # type: ignore[attr-defined]
    asker.exchange.receive(beat(first[0]))
    assert [received.request.group_id for received in asker.sent()] == ["c"]  # type: ignore[attr-defined]


def test_at_most_so_many_wait() -> None:
    asker = Asker()
    for number in range(WAITING_MAX + 1):
        asker.ask(str(number))
    ((name, outcome),) = asker.outcomes
    assert name == str(WAITING_MAX)
    assert isinstance(outcome, RequestFailed)
    assert not isinstance(outcome, ConnectionFailed)


def test_a_callback_may_ask_again() -> None:
    asker = Asker()
    asker.shake_hands()
    request = HeartbeatRequest(group_id="g", generation_id=1, member_id="m")
    asker.exchange.submit(request, FAR_MS, lambda outcome: asker.ask("again"))
    (received,) = asker.sent()
    asker.exchange.receive(beat(received))
    (again,) = asker.sent()
    asker.exchange.receive(beat(again))
    assert asker.names == ["again"]


def test_what_a_callback_raises_is_its_own_matter() -> None:
    asker = Asker()
    asker.shake_hands()

    def bad(outcome: Outcome) -> None:
        asker.outcomes.append(("bad", outcome))
        raise KeyError("mine")

    asker.exchange.submit(HeartbeatRequest(group_id="g", generation_id=1, member_id="m"), FAR_MS, bad)
    (received,) = asker.sent()
    with pytest.raises(KeyError, match="mine"):
        asker.exchange.receive(beat(received))
    assert asker.exchange.failure is None
    asker.ask("next")
    asker.exchange.receive(beat(asker.sent()[0]))
    assert asker.names == ["bad", "next"]


def test_a_produce_without_acknowledgement_has_its_outcome_when_it_is_written() -> None:
    asker = Asker()
    produce = ProduceRequest(transactional_id=None, acks=0, timeout_ms=1, topic_data=[])
    asker.exchange.submit(produce, FAR_MS, asker.noting("unanswered"), answered=False)
    assert asker.outcomes == []
    asker.shake_hands()
    ((_, outcome),) = asker.outcomes
    assert isinstance(outcome, ProduceResponse)
    asker.ask("answered")
    sent = asker.sent()
    assert [type(received.request) for received in sent] == [ProduceRequest, HeartbeatRequest]
    asker.exchange.receive(beat(sent[1]))
    assert asker.names == ["unanswered", "answered"]


# Endings.


@pytest.mark.parametrize("when", ["before the start", "in the handshake", "with open requests"])
def test_a_failure_gives_every_request_its_outcome_once(when: str) -> None:
    asker = Asker(in_flight_max=1)
    asker.ask("a")
    asker.ask("b")
    if when == "in the handshake":
        asker.exchange.start(0)
    if when == "with open requests":
        asker.shake_hands()
    asker.exchange.fail("cut")
    asker.exchange.fail("cut again")
    asker.ask("late")
    assert asker.names == ["a", "b", "late"]
    assert {str(outcome) for _, outcome in asker.outcomes} == {"cut"}
    assert asker.exchange.take_output() == []
    assert asker.exchange.next_deadline() is None


def test_nothing_is_taken_in_after_the_end() -> None:
    asker = Asker()
    asker.shake_hands()
    asker.ask("a")
    (received,) = asker.sent()
    asker.exchange.fail("cut")
    asker.exchange.receive(beat(received))
    assert asker.names == ["a"]


def test_an_overdue_answer_holds_up_the_others_and_ends_it() -> None:
    asker = Asker()
    asker.shake_hands()
    asker.ask("patient", 500)
    asker.ask("hasty", 100)
    asker.sent()
    assert asker.exchange.next_deadline() == 100
    asker.exchange.on_deadline(99)
    assert asker.outcomes == []
    asker.exchange.on_deadline(100)
    assert asker.names == ["patient", "hasty"]
    assert isinstance(asker.exchange.failure, ConnectionFailed)


def test_a_request_that_is_overdue_before_it_was_written_ends_alone() -> None:
    asker = Asker(in_flight_max=1)
    asker.shake_hands()
    asker.ask("on the wire", 500)
    asker.ask("waits", 100)
    asker.ask("waits longer", 400)
    (received,) = asker.sent()
    asker.exchange.on_deadline(200)
    assert asker.names == ["waits"]
    assert asker.exchange.failure is None
    asker.exchange.receive(beat(received))
    assert asker.names == ["waits", "on the wire"]
    assert [one.request.group_id for one in asker.sent()] == ["waits longer"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "garbage",
    [
        frame(b"\0\0\0\x63"),  # an id that nobody asked with
        b"\xff\xff\xff\xff",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        frame(b"\0\0\0\x02"),  # the right id and no body
        frame(b"\0\0\0\x02\0\0\0\0\0\0\0\0" + b"more than the message has"),
    ],
)
def test_bytes_that_are_no_answer_end_it(garbage: bytes) -> None:
    asker = Asker()
    asker.shake_hands()
    asker.ask("a")
    asker.exchange.receive(garbage)
    assert asker.names == ["a"]
    assert "does not speak Kafka's protocol" in str(asker.exchange.failure)


def test_answers_in_another_order_end_it() -> None:
    asker = Asker()
    asker.shake_hands()
    asker.ask("a")
    asker.ask("b")
    first, second = asker.sent()
    asker.exchange.receive(beat(second) + beat(first))
    assert [type(outcome) for _, outcome in asker.outcomes] == [ConnectionFailed] * 2


@pytest.mark.parametrize("seed", range(25))
def test_whatever_comes_every_request_gets_one_outcome(seed: int) -> None:
    """Right answers, damaged ones, cuts and deadlines at random."""
    rng = random.Random(seed)
    asker = Asker(in_flight_max=rng.randint(1, 4))
    asker.exchange.start(0)
    asked, now = [], 0
    for number in range(60):
        now += rng.randint(0, 30)
        if rng.random() < 0.5:
            asked.append(str(number))
            asker.ask(str(number), now + rng.randint(50, 2000))
        for received in asker.sent():
            data = bytearray(answer(received, versions()) if isinstance(received.request, ApiVersionsRequest) else beat(received))
            if rng.random() < 0.03:
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            cut = rng.randrange(len(data))
            asker.exchange.receive(data[:cut])
            asker.exchange.receive(data[cut:])
        if rng.random() < 0.05:
            asker.exchange.on_deadline(now)
    asker.exchange.fail("the end")
    assert sorted(asker.names) == sorted(asked)


def test_a_metadata_answer_arrives_whole() -> None:
    asker = Asker()
    asker.shake_hands()
    asker.exchange.submit(MetadataRequest(topics=None), FAR_MS, asker.noting("metadata"))
    (received,) = asker.sent()
    asker.exchange.receive(answer(received, MetadataResponse(cluster_id="하나", controller_id=3)))
    ((_, outcome),) = asker.outcomes
    assert isinstance(outcome, MetadataResponse)
    assert (outcome.cluster_id, outcome.controller_id) == ("하나", 3)
