"""ElectLeaders through its handler: over its versions, on both listeners, and what is said while nobody decides."""

import pytest
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.elect_leaders import ElectLeadersRequest, ElectLeadersResponse, TopicPartitions

from ..world import Node, codes

PREFERRED, UNCLEAN = 0, 1


def request(*partitions: tuple[str, int], election_type: int = PREFERRED, timeout_ms: int = 1000) -> ElectLeadersRequest:
    named = [TopicPartitions(topic=topic, partitions=[index]) for topic, index in partitions]
    return ElectLeadersRequest(election_type=election_type, topic_partitions=named, timeout_ms=timeout_ms)


def results(response: ElectLeadersResponse) -> list[tuple[str, int, str]]:
    return [
        (topic.topic, one.partition_id, ErrorCode(one.error_code).name)
        for topic in response.replica_election_results
        for one in topic.partition_result
    ]


@pytest.mark.parametrize("listener", ["PLAINTEXT", "CONTROLLER"])
@pytest.mark.parametrize("version", range(3))
def test_every_version(node: Node, version: int, listener: str) -> None:
    node.topic("t")
    response = node.ask(request(("t", 0), ("t", 1), ("none", 0)), version, listener=listener)
    assert response.error_code == ErrorCode.NONE
    assert results(response) == [
        ("t", 0, "ELECTION_NOT_NEEDED"),
        ("t", 1, "UNKNOWN_TOPIC_OR_PARTITION"),
        ("none", 0, "UNKNOWN_TOPIC_OR_PARTITION"),
    ]
    assert all(one.error_message for topic in response.replica_election_results for one in topic.partition_result)


@pytest.mark.parametrize("version", range(3))
def test_all_partitions_that_need_it(node: Node, version: int) -> None:
    node.topic("t", 3)
    response = node.ask(ElectLeadersRequest(topic_partitions=None, timeout_ms=1000), version)
    assert (response.error_code, results(response)) == (ErrorCode.NONE, [])


@pytest.mark.parametrize("version", [1, 2])
def test_the_kind_of_the_election(node: Node, version: int) -> None:
    node.topic("t")
    assert codes([node.ask(request(("t", 0), election_type=2), version)]) == ["INVALID_REQUEST"]
    assert results(node.ask(request(("t", 0), election_type=UNCLEAN), version)) == [("t", 0, "ELECTION_NOT_NEEDED")]


@pytest.mark.parametrize("version", range(3))
def test_nobody_decides_until_its_time_is_over(node: Node, version: int) -> None:
    """The first version has no error of the whole: each partition says it."""
    node.topic("t")
    node.broker.controller.stop()
    asked = node.send(request(("t", 0)), version)
    node.pass_time(900)
    assert asked.answers == []
    node.pass_time(200)
    (response,) = asked.answers
    assert isinstance(response, ElectLeadersResponse)
    assert response.error_code == (ErrorCode.REQUEST_TIMED_OUT if version else ErrorCode.NONE)
    assert results(response) == [("t", 0, "REQUEST_TIMED_OUT")]
