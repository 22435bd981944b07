"""A group's offsets."""

import pytest
from broker.cli.cluster import Cluster
from broker.cli.failures import Unavailable
from broker.cli.group_offsets import asking_coordinator, commit, committed
from broker.protocol.errors import ErrorCode, KafkaError

from .conftest import Fresh, MakeTopic


def test_committed_is_read_back(cluster: Cluster, make_topic: MakeTopic, fresh: Fresh) -> None:
    topic, group = make_topic(2), fresh("group")
    assert committed(cluster, group) == {}
    commit(cluster, group, {})
    assert committed(cluster, group) == {}
    commit(cluster, group, {(topic, 0): 3, (topic, 1): 0})
    commit(cluster, group, {(topic, 0): 7})
    found = committed(cluster, group)
    assert {partition: one.offset for partition, one in found.items()} == {(topic, 0): 7, (topic, 1): 0}
    assert found[topic, 0].leader_epoch == -1


def test_a_refused_partition_is_named(cluster: Cluster, fresh: Fresh) -> None:
    group = fresh("group")
    with pytest.raises(KafkaError, match=f"group '{group}', nowhere-0: This server does not host"):
        commit(cluster, group, {("nowhere", 0): 1})


def test_a_member_that_is_none_is_refused(cluster: Cluster, make_topic: MakeTopic, fresh: Fresh) -> None:
    topic, group = make_topic(), fresh("group")
    for expected in (ErrorCode.GROUP_ID_NOT_FOUND, ErrorCode.UNKNOWN_MEMBER_ID):
        with pytest.raises(KafkaError) as raised:
            commit(cluster, group, {(topic, 0): 1}, generation_id=5, member_id="nobody")
        assert raised.value.code is expected
        commit(cluster, group, {(topic, 0): 0})


def test_the_coordinator_is_looked_for_again(cluster: Cluster, fresh: Fresh) -> None:
    group = fresh("group")
    first = cluster.coordinator(group)
    errors = [ErrorCode.NOT_COORDINATOR, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS]

    def ask() -> bool:
        if errors:
            raise KafkaError(errors.pop(0))
        return cluster.coordinator(group) is first

    assert asking_coordinator(cluster, group, ask) is False


def test_a_coordinator_that_does_not_answer_is_asked_once_more(cluster: Cluster, fresh: Fresh) -> None:
    group = fresh("group")
    cluster.coordinator(group).close()
    assert committed(cluster, group) == {}
    asked = []

    def silent() -> None:
        asked.append(group)
        raise Unavailable("no answer in time")

    with pytest.raises(Unavailable):
        asking_coordinator(cluster, group, silent)
    assert len(asked) == 2
