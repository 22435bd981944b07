"""Envelope: what a broker forwards for a client is decided here and answered in an envelope."""

from typing import Any

import pytest
from broker.protocol import codec
from broker.protocol.errors import ErrorCode
from broker.protocol.headers import RequestHeader, encode_request_header, response_header_size
from broker.protocol.message import Request
from broker.protocol.messages.create_topics import CreatableTopic, CreateTopicsRequest, CreateTopicsResponse
from broker.protocol.messages.elect_leaders import ElectLeadersRequest, ElectLeadersResponse
from broker.protocol.messages.envelope import EnvelopeRequest
from broker.protocol.messages.metadata import MetadataRequest
from broker.protocol.messages.unregister_broker import UnregisterBrokerRequest, UnregisterBrokerResponse

from ..world import Node


def enveloped(request: Request, version: int) -> EnvelopeRequest:
    cls = type(request)
    header = encode_request_header(RequestHeader(cls.API_KEY, version, 77, "client"), flexible=cls.is_flexible(version))
    body = b"".join(bytes(part) for part in codec.encode(request, version))
    return EnvelopeRequest(request_data=bytes(header) + body, request_principal=None, client_host_address=b"\x7f\0\0\1")


def ask(node: Node, envelope: EnvelopeRequest) -> Any:
    return node.ask(envelope, 0, listener="CONTROLLER")


def opened(answer: Any, request: type[Request], response: Any, version: int) -> Any:
    assert answer.error_code == ErrorCode.NONE
    assert int.from_bytes(answer.response_data[:4], "big") == 77, "the correlation id of the client's request"
    start = response_header_size(request.API_KEY, flexible=request.is_flexible(version))
    return codec.decode(response, version, answer.response_data, start)


@pytest.mark.parametrize("version", [2, 4, 5, 7])
def test_a_forwarded_request_is_decided_in_its_version(node: Node, version: int) -> None:
    topic = CreatableTopic(name="t", num_partitions=2, replication_factor=1)
    answer = ask(node, enveloped(CreateTopicsRequest(topics=[topic], timeout_ms=1000), version))
    response = opened(answer, CreateTopicsRequest, CreateTopicsResponse, version)
    assert [(one.name, one.error_code) for one in response.topics] == [("t", ErrorCode.NONE)]
    assert len(node.services.metadata.image.topics["t"].partitions) == 2


def test_refusals_of_the_request_itself_are_inside(node: Node) -> None:
    answer = ask(node, enveloped(UnregisterBrokerRequest(broker_id=9), 0))
    response = opened(answer, UnregisterBrokerRequest, UnregisterBrokerResponse, 0)
    assert response.error_code == ErrorCode.BROKER_ID_NOT_REGISTERED
    answer = ask(node, enveloped(ElectLeadersRequest(election_type=0, topic_partitions=None), 2))
    assert opened(answer, ElectLeadersRequest, ElectLeadersResponse, 2).error_code == ErrorCode.NONE


def test_what_is_no_business_of_the_controller(node: Node) -> None:
    assert ask(node, enveloped(MetadataRequest(topics=None), 12)).error_code == ErrorCode.INVALID_REQUEST


def test_a_version_that_nobody_speaks(node: Node) -> None:
    envelope = enveloped(CreateTopicsRequest(), 7)
    data = bytearray(envelope.request_data)
    data[2:4] = (99).to_bytes(2, "big")
    envelope.request_data = bytes(data)
    assert ask(node, envelope).error_code == ErrorCode.UNSUPPORTED_VERSION


@pytest.mark.parametrize("length", [0, 3, 8, 9, 12, 20])
def test_what_is_cut_off(node: Node, length: int) -> None:
    topic = CreatableTopic(name="t", num_partitions=2, replication_factor=1)
    envelope = enveloped(CreateTopicsRequest(topics=[topic]), 7)
    envelope.request_data = envelope.request_data[:length]
    assert ask(node, envelope).error_code == ErrorCode.INVALID_REQUEST
    assert node.services.metadata.image.topics == {}
