"""Where replicas go: spread over all brokers, each once per partition, and led by one that is not fenced."""

import pytest
from broker.controller.placement import check_assignment, new_partition, place
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.metadata_records import BrokerRegistrationChangeRecord, RegisterBrokerRecord
from broker.protocol.types import UUID, ZERO_UUID

from .cluster import Cluster

TOPIC = UUID(int=1)


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_replicas_are_spread(factor: int) -> None:
    placed = place(Cluster((1, 2, 3)).context, 9, factor)
    assert all(len(set(replicas)) == factor for replicas in placed)
    for position in range(factor):
        first = [replicas[position] for replicas in placed]
        assert [first.count(broker_id) for broker_id in (1, 2, 3)] == [3, 3, 3]


def test_topics_of_one_partition_do_not_all_begin_at_the_same_broker() -> None:
    cluster = Cluster((1, 2, 3))
    assert {place(cluster.context, 1, 1)[0][0] for _ in range(50)} == {1, 2, 3}


def test_too_few_brokers() -> None:
    with pytest.raises(
        KafkaError, match=r"The target replication factor of 3 cannot be reached because only 2 broker\(s\)"
    ) as caught:
        place(Cluster((1, 2)).context, 1, 3)
    assert caught.value.code is ErrorCode.INVALID_REPLICATION_FACTOR


def test_no_broker_at_all() -> None:
    with pytest.raises(KafkaError) as caught:
        place(Cluster(()).context, 1, 1)
    assert caught.value.code is ErrorCode.INVALID_REPLICATION_FACTOR


@pytest.mark.parametrize("factor", [1, 2])
def test_while_enough_are_there_nobody_behind_the_fence_is_taken(factor: int) -> None:
    context = Cluster((1, 2, 3, 4), fenced=(2, 4)).context
    placed = place(context, 20, factor)
    assert {broker_id for replicas in placed for broker_id in replicas} == {1, 3}


def test_fenced_brokers_come_last_and_by_turns() -> None:
    placed = place(Cluster((1, 2, 3), fenced=(1, 3)).context, 4, 2)
    assert [replicas[0] for replicas in placed] == [2, 2, 2, 2]
    assert sorted(replicas[1] for replicas in placed) == [1, 1, 3, 3]


def test_partitions_that_begin_at_one_broker_do_not_all_follow_with_the_same() -> None:
    placed = place(Cluster((1, 2, 3, 4)).context, 80, 2)
    for first in (1, 2, 3, 4):
        assert len({replicas[1] for replicas in placed if replicas[0] == first}) == 3


def test_the_same_randomness_places_alike() -> None:
    assert place(Cluster((1, 2, 3)).context, 12, 2) == place(Cluster((1, 2, 3)).context, 12, 2)


def test_when_all_are_fenced_nothing_is_placed() -> None:
    context = Cluster((1, 2), fenced=(1, 2)).context
    with pytest.raises(KafkaError, match="All brokers are currently fenced") as caught:
        place(context, 1, 1)
    assert caught.value.code is ErrorCode.INVALID_REPLICATION_FACTOR
    with pytest.raises(KafkaError, match="for partition 4 are fenced or in controlled shutdown") as caught:
        new_partition(context, TOPIC, 4, [2, 1])
    assert caught.value.code is ErrorCode.INVALID_REPLICA_ASSIGNMENT


def test_who_is_about_to_stop_gets_no_replicas() -> None:
    cluster = Cluster((1, 2))
    cluster.replay([BrokerRegistrationChangeRecord(broker_id=1, broker_epoch=1, in_controlled_shutdown=1)])
    assert place(cluster.context, 3, 1) == [[2]] * 3
    with pytest.raises(KafkaError, match=r"only 1 broker\(s\) are registered"):
        place(cluster.context, 1, 2)
    record = new_partition(cluster.context, TOPIC, 0, [1, 2])
    assert (record.leader, record.isr) == (2, [2]), "where it is named, it does not lead"


def test_the_first_replica_that_is_there_leads_with_all_others_in_the_isr() -> None:
    record = new_partition(Cluster((1, 2, 3)).context, TOPIC, 0, [3, 1, 2])
    assert (record.leader, record.isr, record.replicas) == (3, [3, 1, 2], [3, 1, 2])


def test_fenced_brokers_hold_replicas_but_do_not_lead() -> None:
    context = Cluster((1, 2), fenced=(1,)).context
    record = new_partition(context, TOPIC, 4, [1, 2])
    assert (record.partition_id, record.replicas, record.isr, record.leader) == (4, [1, 2], [2], 2)
    assert (record.leader_epoch, record.partition_epoch) == (0, 0)
    assert record.directories == [UUID(int=101), UUID(int=102)]


def test_a_broker_with_another_number_of_directories_chooses_by_itself() -> None:
    cluster = Cluster()
    cluster.replay([RegisterBrokerRecord(broker_id=1, broker_epoch=9, fenced=False, log_dirs=[UUID(int=1), UUID(int=2)])])
    assert new_partition(cluster.context, TOPIC, 0, [1]).directories == [ZERO_UUID]


def test_assignments_are_checked() -> None:
    context = Cluster((1, 2)).context
    check_assignment(context, [2, 1])
    for replicas in ([], [1, 1], [1, 9]):
        with pytest.raises(KafkaError) as caught:
            check_assignment(context, replicas)
        assert caught.value.code is ErrorCode.INVALID_REPLICA_ASSIGNMENT
