"""What a node says of itself as a broker and as a controller: endpoints as others reach them, features, its directory."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from broker.clock.simulated import SimulatedClock
from broker.config import BrokerConfig
from broker.config.sources import SHIPPED
from broker.log.properties import MetaProperties
from broker.metadata.image import ControllerImage, MetadataImage
from broker.metadata.records import ELR_VERSION, METADATA_VERSION, SUPPORTED_FEATURES
from broker.node.registration import (
    RETRY_MS,
    ControllerRegistration,
    controller_registration_request,
    registration_request,
)
from broker.protocol.codec import decode, encode
from broker.protocol.errors import ErrorCode
from broker.protocol.message import Request
from broker.protocol.messages.broker_registration import BrokerRegistrationRequest
from broker.protocol.messages.controller_registration import ControllerRegistrationRequest, ControllerRegistrationResponse

INCARNATION = uuid.UUID(int=5)
META = MetaProperties("5L6g3nShT-eMCtK--X86sw", 1, uuid.UUID(int=9))
PORTS = {"PLAINTEXT": 40_001, "INTERNAL": 40_002, "CONTROLLER": 40_003}


def register(previous_broker_epoch: int = -1, **settings: str) -> BrokerRegistrationRequest:
    config = BrokerConfig(SHIPPED | {name.replace("_", "."): value for name, value in settings.items()})
    return registration_request(config, PORTS, META, INCARNATION, previous_broker_epoch)


def endpoints(request: BrokerRegistrationRequest) -> list[tuple[str, str, int]]:
    return [(listener.name, listener.host, listener.port) for listener in request.listeners]


def test_controller_listeners_are_not_advertised() -> None:
    request = register(listeners="PLAINTEXT://10.0.0.1:9092,CONTROLLER://10.0.0.1:9093")
    assert endpoints(request) == [("PLAINTEXT", "10.0.0.1", 9092)]


@pytest.mark.parametrize("host", ["", "0.0.0.0", "[::]"])
def test_every_address_is_advertised_as_this_machine(host: str) -> None:
    assert endpoints(register(listeners=f"PLAINTEXT://{host}:9092,CONTROLLER://:9093")) == [("PLAINTEXT", "localhost", 9092)]


def test_any_free_port_is_advertised_as_the_one_that_was_got() -> None:
    request = register(listeners="PLAINTEXT://127.0.0.1:0,CONTROLLER://:0")
    assert endpoints(request) == [("PLAINTEXT", "127.0.0.1", 40_001)]


def test_what_is_advertised_wins_over_what_is_bound() -> None:
    request = register(
        listeners="PLAINTEXT://:9092,INTERNAL://127.0.0.1:0,CONTROLLER://:9093",
        listener_security_protocol_map="PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        advertised_listeners="PLAINTEXT://broker.example:19092,INTERNAL://inside.example:0",
    )
    assert endpoints(request) == [("PLAINTEXT", "broker.example", 19_092), ("INTERNAL", "inside.example", 40_002)]


def test_who_it_is() -> None:
    request = register(listeners="PLAINTEXT://h:9092,CONTROLLER://:9093", broker_rack="r1")
    assert (request.broker_id, request.cluster_id, request.incarnation_id) == (1, META.cluster_id, INCARNATION)
    assert (request.rack, request.log_dirs) == ("r1", [META.directory_id])
    ranges = {one.name: (one.min_supported_version, one.max_supported_version) for one in request.features}
    assert ranges == SUPPORTED_FEATURES
    assert ranges["metadata.version"] == (7, METADATA_VERSION)
    assert ranges["eligible.leader.replicas.version"] == (0, ELR_VERSION)
    assert register(listeners="PLAINTEXT://h:9092,CONTROLLER://:9093").rack is None


def test_which_life_ended_cleanly_before() -> None:
    assert register(listeners="PLAINTEXT://h:9092,CONTROLLER://:9093").previous_broker_epoch == -1
    assert register(77, listeners="PLAINTEXT://h:9092,CONTROLLER://:9093").previous_broker_epoch == 77


def test_it_can_be_sent() -> None:
    request = register(listeners="PLAINTEXT://h:9092,CONTROLLER://:9093")
    for version in range(2, BrokerRegistrationRequest.VERSIONS[1] + 1):
        assert decode(BrokerRegistrationRequest, version, b"".join(encode(request, version))) == request


# Controllers.


def controller(**settings: str) -> ControllerRegistrationRequest:
    config = BrokerConfig(SHIPPED | {name.replace("_", "."): value for name, value in settings.items()})
    return controller_registration_request(config, PORTS, INCARNATION)


def test_a_controller_tells_of_its_controller_listeners_alone() -> None:
    request = controller(listeners="PLAINTEXT://10.0.0.1:9092,CONTROLLER://10.0.0.1:9093")
    assert (request.controller_id, request.incarnation_id) == (1, INCARNATION)
    assert [(one.name, one.host, one.port) for one in request.listeners] == [("CONTROLLER", "10.0.0.1", 9093)]
    assert {one.name: (one.min_supported_version, one.max_supported_version) for one in request.features} == SUPPORTED_FEATURES


def test_a_controller_on_every_address_is_where_the_voters_say_it_is() -> None:
    request = controller(
        controller_quorum_voters="1@broker-1:29093,2@broker-2:29093", listeners="PLAINTEXT://:9092,CONTROLLER://:0"
    )
    assert [(one.host, one.port) for one in request.listeners] == [("broker-1", 40_003)]
    named = controller(advertised_listeners="PLAINTEXT://b.example:9092,CONTROLLER://c.example:19093")
    assert [(one.host, one.port) for one in named.listeners] == [("c.example", 19_093)]


class Asking:
    """A controller that keeps what it is asked."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.asked: list[tuple[Any, Callable[[Any], None]]] = []
        self.registration = ControllerRegistration(self.clock, self, controller)

    def submit(self, request: Request, version: int, on_done: Callable[[Any], None]) -> None:
        self.asked.append((request, on_done))

    def answer(self, code: ErrorCode = ErrorCode.NONE, message: str | None = None) -> None:
        ((_, on_done),) = self.asked
        self.asked.clear()
        on_done(ControllerRegistrationResponse(error_code=code, error_message=message))


def image(life: uuid.UUID) -> MetadataImage:
    return MetadataImage(controllers={1: ControllerImage(1, life, ())})


def test_a_controller_registers_once_in_its_life() -> None:
    world = Asking()
    former = image(uuid.UUID(int=99))
    world.registration.follow(MetadataImage(), former)
    world.registration.follow(former, replace(former, offset=5))
    world.answer()
    world.registration.follow(former, image(INCARNATION))
    world.clock.run_until(60_000)
    assert world.asked == []


def test_a_controller_that_is_refused_asks_again_until_it_stops() -> None:
    world = Asking()
    world.registration.follow(MetadataImage(), MetadataImage())
    world.answer(ErrorCode.NOT_CONTROLLER)
    world.clock.run_until(RETRY_MS)
    world.answer(ErrorCode.NOT_CONTROLLER)
    world.registration.stop()
    world.clock.run_until(60_000)
    assert world.asked == []


def test_a_controller_with_other_voters_says_so_and_asks_no_more(caplog: pytest.LogCaptureFixture) -> None:
    world = Asking()
    world.registration.follow(MetadataImage(), MetadataImage())
    world.answer(ErrorCode.INCONSISTENT_VOTER_SET, "node 1 is not among the voters")
    world.clock.run_until(60_000)
    assert world.asked == []
    assert caplog.messages == ["the controller of this node is refused: node 1 is not among the voters"]


def test_a_controller_that_is_known_does_not_ask() -> None:
    world = Asking()
    world.registration.follow(MetadataImage(), image(INCARNATION))
    assert world.asked == []
