"""Leaders that are asked for, or due: preferred ones, unclean ones, and those that are given back."""

from typing import Any

import pytest
from broker.controller.elections import RECOVERING
from broker.controller.leaders import balance, elect_leaders, elect_unclean
from broker.metadata.image import NO_LEADER, TOPIC_RESOURCE, PartitionImage
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.elect_leaders import ElectLeadersRequest, TopicPartitions
from broker.protocol.messages.metadata_records import ConfigRecord, PartitionRecord, TopicRecord
from broker.protocol.types import UUID

from .cluster import Cluster

PREFERRED, UNCLEAN = 0, 1


def cluster(*partitions: tuple[int, list[int]], fenced: tuple[int, ...] = ()) -> Cluster:
    """Topic t, with the leader and the ISR of each partition; replicas are 1, 2, 3 in this order."""
    made = Cluster((1, 2, 3), fenced)
    made.replay([TopicRecord(name="t", topic_id=UUID(int=7))])
    for index, (leader, isr) in enumerate(partitions):
        record = PartitionRecord(
            partition_id=index,
            topic_id=UUID(int=7),
            replicas=[1, 2, 3],
            isr=isr,
            leader=leader,
            leader_epoch=4,
            partition_epoch=8,
        )
        made.replay([record])
    return made


def partition(made: Cluster, index: int = 0) -> PartitionImage:
    return made.image.topics["t"].partitions[index]


def elect(made: Cluster, kind: int, *indexes: int, topic: str = "t") -> dict[int, str]:
    """Partition -> code. Without partitions: all that need it."""
    named = [TopicPartitions(topic=topic, partitions=list(indexes))] if indexes else None
    response = made.decide(elect_leaders, ElectLeadersRequest(election_type=kind, topic_partitions=named))
    assert response.error_code == 0
    results: list[Any] = response.replica_election_results
    return {one.partition_id: ErrorCode(one.error_code).name for topic in results for one in topic.partition_result}


def test_the_preferred_leader_leads_again() -> None:
    made = cluster((2, [2, 1]), (2, [2]), (1, [1, 2]))
    expected = {0: "NONE", 1: "PREFERRED_LEADER_NOT_AVAILABLE", 2: "ELECTION_NOT_NEEDED"}
    assert elect(made, PREFERRED, 0, 1, 2) == expected
    assert [partition(made, index).leader for index in range(3)] == [1, 2, 1]
    assert (partition(made).leader_epoch, partition(made).isr) == (5, (2, 1))


def test_of_all_partitions_only_those_are_told_that_needed_it() -> None:
    made = cluster((2, [2, 1]), (2, [2]), (1, [1, 2]))
    assert elect(made, PREFERRED) == {0: "NONE", 1: "PREFERRED_LEADER_NOT_AVAILABLE"}


def test_a_fenced_one_does_not_lead() -> None:
    made = cluster((2, [2, 1]), fenced=(1,))
    assert elect(made, PREFERRED, 0) == {0: "PREFERRED_LEADER_NOT_AVAILABLE"}


def test_an_unclean_election_is_for_partitions_without_a_leader() -> None:
    made = cluster((NO_LEADER, [1]), (2, [2]), fenced=(1,))
    assert elect(made, UNCLEAN, 0, 1) == {0: "NONE", 1: "ELECTION_NOT_NEEDED"}
    found = partition(made)
    assert (found.leader, found.isr, found.leader_recovery_state) == (2, (2,), RECOVERING)


def test_nobody_is_there() -> None:
    made = cluster((NO_LEADER, [1]), fenced=(1, 2, 3))
    assert elect(made, UNCLEAN, 0) == {0: "ELIGIBLE_LEADERS_NOT_AVAILABLE"}


@pytest.mark.parametrize(("topic", "index"), [("no", 0), ("t", 9)])
def test_what_does_not_exist(topic: str, index: int) -> None:
    assert elect(cluster((1, [1])), PREFERRED, index, topic=topic) == {index: "UNKNOWN_TOPIC_OR_PARTITION"}


def test_a_kind_of_election_that_nobody_knows() -> None:
    response = cluster((1, [1])).decide(elect_leaders, ElectLeadersRequest(election_type=7, topic_partitions=None))
    assert response.error_code == ErrorCode.INVALID_REQUEST


def test_leaders_are_given_back_when_they_are_in_sync() -> None:
    made = cluster((2, [2, 1]), (2, [2]), (1, [1, 2]), (NO_LEADER, [1]))
    made.replay(balance(made.context))
    assert [partition(made, index).leader for index in range(4)] == [1, 2, 1, 1]
    assert balance(made.context) == []


def test_leaders_are_not_given_back_to_the_fenced() -> None:
    assert balance(cluster((2, [2, 1]), fenced=(1,)).context) == []


def test_unclean_elections_happen_where_the_topic_allows_them() -> None:
    made = cluster((NO_LEADER, [1]), (2, [2, 1]), fenced=(1,))
    assert elect_unclean(made.context) == []
    setting = ConfigRecord(resource_type=TOPIC_RESOURCE, resource_name="t", name="unclean.leader.election.enable", value="true")
    made.replay([setting])
    made.replay(elect_unclean(made.context))
    assert [partition(made, index).leader for index in range(2)] == [2, 2]
    assert elect_unclean(made.context) == []
