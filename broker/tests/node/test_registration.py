"""What a broker says of itself: endpoints as others reach them, features, its directory."""

import uuid

import pytest
from broker.config import BrokerConfig
from broker.config.sources import SHIPPED
from broker.log.properties import MetaProperties
from broker.metadata.records import ELR_VERSION, METADATA_VERSION
from broker.node.registration import registration_request
from broker.protocol.codec import decode, encode
from broker.protocol.messages.broker_registration import BrokerRegistrationRequest

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
    metadata, elr = request.features
    assert metadata.name == "metadata.version"
    assert metadata.min_supported_version <= metadata.max_supported_version == METADATA_VERSION
    assert elr.name == "eligible.leader.replicas.version"
    assert (elr.min_supported_version, elr.max_supported_version) == (0, ELR_VERSION)
    assert register(listeners="PLAINTEXT://h:9092,CONTROLLER://:9093").rack is None


def test_which_life_ended_cleanly_before() -> None:
    assert register(listeners="PLAINTEXT://h:9092,CONTROLLER://:9093").previous_broker_epoch == -1
    assert register(77, listeners="PLAINTEXT://h:9092,CONTROLLER://:9093").previous_broker_epoch == 77


def test_it_can_be_sent() -> None:
    request = register(listeners="PLAINTEXT://h:9092,CONTROLLER://:9093")
    for version in range(2, BrokerRegistrationRequest.VERSIONS[1] + 1):
        assert decode(BrokerRegistrationRequest, version, b"".join(encode(request, version))) == request
