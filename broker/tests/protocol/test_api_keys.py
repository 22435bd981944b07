"""Versions and listeners of every API that is declared: those of Apache Kafka 4.3 (its message definitions), as a table."""

import pytest
from broker.protocol.api_keys import ApiKey
from broker.protocol.message import Request, Response
from sample_messages import message_classes

# Name: key, first and last version, first flexible version, listeners (b: broker, c: controller). InitProducerId has a
# version 6, which 4.3 marks as unstable.
KAFKA_4_3 = {
    "Produce": (0, 3, 13, 9, "b"),
    "Fetch": (1, 4, 18, 12, "bc"),
    "ListOffsets": (2, 1, 11, 6, "b"),
    "Metadata": (3, 0, 13, 9, "b"),
    "OffsetCommit": (8, 2, 10, 8, "b"),
    "OffsetFetch": (9, 1, 10, 6, "b"),
    "FindCoordinator": (10, 0, 6, 3, "b"),
    "JoinGroup": (11, 0, 9, 6, "b"),
    "Heartbeat": (12, 0, 4, 4, "b"),
    "LeaveGroup": (13, 0, 5, 4, "b"),
    "SyncGroup": (14, 0, 5, 4, "b"),
    "DescribeGroups": (15, 0, 6, 5, "b"),
    "ListGroups": (16, 0, 5, 3, "b"),
    "ApiVersions": (18, 0, 4, 3, "bc"),
    "CreateTopics": (19, 2, 7, 5, "bc"),
    "DeleteTopics": (20, 1, 6, 4, "bc"),
    "InitProducerId": (22, 0, 5, 2, "b"),
    "OffsetForLeaderEpoch": (23, 2, 4, 4, "b"),
    "DescribeConfigs": (32, 1, 4, 4, "bc"),
    "DescribeLogDirs": (35, 1, 5, 2, "b"),
    "CreatePartitions": (37, 0, 3, 2, "bc"),
    "DeleteGroups": (42, 0, 2, 2, "b"),
    "IncrementalAlterConfigs": (44, 0, 1, 1, "bc"),
    "ListPartitionReassignments": (46, 0, 0, 0, "bc"),
    "OffsetDelete": (47, 0, 0, None, "b"),
    "Vote": (52, 0, 2, 0, "c"),
    "BeginQuorumEpoch": (53, 0, 1, 1, "c"),
    "EndQuorumEpoch": (54, 0, 1, 1, "c"),
    "ElectLeaders": (43, 0, 2, 2, "bc"),
    "UnregisterBroker": (64, 0, 0, 0, "bc"),
    "DescribeQuorum": (55, 0, 2, 0, "bc"),
    "AlterPartition": (56, 2, 3, 0, "c"),
    "Envelope": (58, 0, 0, 0, "c"),
    "FetchSnapshot": (59, 0, 1, 0, "c"),
    "DescribeCluster": (60, 0, 2, 0, "bc"),
    "BrokerRegistration": (62, 0, 4, 0, "c"),
    "BrokerHeartbeat": (63, 0, 2, 0, "c"),
    "AllocateProducerIds": (67, 0, 0, 0, "c"),
    "ControllerRegistration": (70, 0, 0, 0, "c"),
    "DescribeTopicPartitions": (75, 0, 0, 0, "b"),
}
REQUESTS = {cls.__name__.removesuffix("Request"): cls for cls in message_classes() if issubclass(cls, Request)}
RESPONSES = {cls.__name__.removesuffix("Response"): cls for cls in message_classes() if issubclass(cls, Response)}


def test_every_declared_api_is_in_the_table() -> None:
    assert sorted(REQUESTS) == sorted(KAFKA_4_3)
    assert sorted(RESPONSES) == sorted(KAFKA_4_3)


@pytest.mark.parametrize("name", sorted(KAFKA_4_3))
def test_versions_and_listeners_are_kafkas(name: str) -> None:
    request, response = REQUESTS[name], RESPONSES[name]
    listeners = "".join(listener[0] for listener in sorted(request.LISTENERS))
    assert (request.API_KEY, *request.VERSIONS, request.FLEXIBLE_FROM, listeners) == KAFKA_4_3[name]
    assert (response.API_KEY, *response.VERSIONS, response.FLEXIBLE_FROM) == KAFKA_4_3[name][:4]


@pytest.mark.parametrize("name", sorted(KAFKA_4_3))
def test_the_enumeration_has_the_same_names(name: str) -> None:
    key = ApiKey(KAFKA_4_3[name][0])
    assert key.name.replace("_", "").lower() == name.lower()


def test_keys_are_dense_but_for_those_that_kafka_4_removed() -> None:
    assert set(range(max(ApiKey) + 1)) - set(ApiKey) == {4, 5, 6, 7}
