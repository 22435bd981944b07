"""Where replicas go: spread over all brokers, each once per partition, and led by one that is not fenced."""

import pytest
from broker.controller.placement import check_assignment, elect, new_partition, place
from broker.metadata.image import PartitionImage
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.metadata_records import RegisterBrokerRecord
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


@pytest.mark.parametrize(
    ("leader", "isr", "elected"),
    [(1, (1, 2), 1), (-1, (1,), 1), (2, (1, 2), None), (-1, (2,), None)],
    ids=["led before", "nobody leads", "another leads", "not in sync"],
)
def test_who_leads_after_a_broker_came_back(leader: int, isr: tuple[int, ...], elected: int | None) -> None:
    assert elect(PartitionImage((1, 2), isr, leader, 0, 0), 1) == elected
