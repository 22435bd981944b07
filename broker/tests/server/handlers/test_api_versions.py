"""ApiVersions: the table of the listener, features, and what is said to versions and names that cannot be."""

import pytest
from broker.protocol.api_keys import ApiKey
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from broker.server.api_table import BROKER, CONTROLLER, served_on
from broker.server.handlers.api_versions import handle
from broker.server.services import RequestContext

from ..world import Node

ASKED = ApiVersionsRequest(client_software_name="apache-kafka-java", client_software_version="4.3.1")


@pytest.mark.parametrize("version", range(5))
def test_the_table_is_what_is_served(node: Node, version: int) -> None:
    response = node.ask(ASKED if version >= 3 else ApiVersionsRequest(), version)
    assert response.error_code == ErrorCode.NONE
    told = {one.api_key: (one.min_version, one.max_version) for one in response.api_keys}
    served = {api.key.value: (api.first, api.last) for api in served_on(BROKER)}
    # librdkafka wants to see Produce from 0 on (KAFKA-18659).
    assert told == served | {ApiKey.PRODUCE.value: (0, 13)}


def test_features(node: Node) -> None:
    """metadata.version is finalised at 4.3-IV0; what is not built is not promised."""
    response = node.ask(ASKED, 4)
    supported = {one.name: (one.min_version, one.max_version) for one in response.supported_features}
    elr = "eligible.leader.replicas.version"
    assert supported == {"metadata.version": (7, 30), "kraft.version": (0, 0), elr: (0, 1)}
    finalized = {one.name: (one.min_version_level, one.max_version_level) for one in response.finalized_features}
    assert finalized == {"metadata.version": (30, 30), elr: (1, 1)}
    assert response.finalized_features_epoch == node.services.metadata.image.offset > 0
    # Version 3 cannot say a minimum of 0.
    assert [one.name for one in node.ask(ASKED, 3).supported_features] == ["metadata.version"]
    assert node.ask(ApiVersionsRequest(), 2).finalized_features == []


def test_a_version_of_the_future_is_answered_in_version_0(node: Node) -> None:
    context = RequestContext(99, None, "127.0.0.1", "PLAINTEXT", print)
    response = handle(ApiVersionsRequest(), context, node.services)
    assert isinstance(response, ApiVersionsResponse)
    assert response.error_code == ErrorCode.UNSUPPORTED_VERSION
    assert [(one.api_key, one.min_version, one.max_version) for one in response.api_keys] == [(18, 0, 4)]


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize(("name", "release"), [("", "1"), ("a", ""), ("a b", "1"), ("-a", "1"), ("a.", "1"), ("a", "1\n")])
def test_names_that_cannot_be(node: Node, version: int, name: str, release: str) -> None:
    request = ApiVersionsRequest(client_software_name=name, client_software_version=release)
    assert node.ask(request, version).error_code == ErrorCode.INVALID_REQUEST


def test_a_controllers_listener(node: Node) -> None:
    keys = {one.api_key for one in node.ask(ASKED, 4, listener="CONTROLLER").api_keys}
    assert keys == {api.key.value for api in served_on(CONTROLLER)}
