"""What a follower has not been told yet: a fetch looks at what has changed, and a quiet follower is no slow one."""

import pytest
from broker.metadata.image import TOPIC_RESOURCE
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.fetch import FetchRequest, FetchResponse
from broker.protocol.messages.metadata_records import ConfigRecord, PartitionRecord, TopicRecord
from broker.replication.news import News

from .cluster import Cluster
from .node import batch, topic_id

LAG_MAX_MS = 10_000
PARTITIONS = 20


@pytest.fixture
def cluster() -> Cluster:
    """Two brokers; 1 leads all partitions of one topic, and 2 knows all about them."""
    made = Cluster((1, 2), max_wait_ms=500, replica_lag_time_max_ms=str(LAG_MAX_MS))
    partitions = [
        PartitionRecord(
            partition_id=index,
            topic_id=topic_id(1),
            replicas=[1, 2],
            isr=[1, 2],
            leader=1,
            leader_epoch=0,
            partition_epoch=0,
        )
        for index in range(PARTITIONS)
    ]
    made.agree(TopicRecord(name="t", topic_id=topic_id(1)), *partitions)
    rounds(made, 3)
    assert news(made).changed == {}
    return made


def rounds(cluster: Cluster, times: int) -> None:
    """Whole rounds of fetches: each is answered, if only because its time is over."""
    for _ in range(times):
        cluster.fetch(2)
        cluster.tick(500)


def news(cluster: Cluster) -> News:
    return cluster[1].partition().news[2]


def append(cluster: Cluster, index: int = 0, acks: int = 1) -> None:
    replicas = cluster[1].replicas
    replicas.append(replicas.find("t", index), batch(), acks)


def said(carried: tuple[FetchRequest, FetchResponse | None] | None) -> tuple[list[int], list[int]]:
    """The partitions that are named in the request, and in the answer."""
    assert carried is not None
    request, response = carried
    asked = [data.partition for topic in request.topics for data in topic.partitions]
    answers = response.responses if response is not None else []
    return asked, [data.partition_index for topic in answers for data in topic.partitions]


def test_only_what_changed_is_looked_at(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    append(cluster, 3)
    assert [key[2] for key in news(cluster).changed] == [3]
    looked_at: list[int] = []
    read = cluster[1].replicas.read_as_follower

    def watch(partition, *args, **settings):  # type: ignore[no-untyped-def]
        looked_at.append(partition.index)
        return read(partition, *args, **settings)

    monkeypatch.setattr(cluster[1].replicas, "read_as_follower", watch)
    assert said(cluster.fetch(2)) == ([], [3])
    assert said(cluster.fetch(2))[0] == [3]
    cluster.tick(500)
    rounds(cluster, 3)
    assert set(looked_at) == {3}
    assert news(cluster).changed == {}
    assert cluster[2].partition(index=3).high_watermark == 1


def test_a_waiting_fetch_is_woken(cluster: Cluster) -> None:
    cluster.fetch(2)
    assert news(cluster).wake is not None
    append(cluster, 5)
    cluster.turn()
    assert cluster[2].partition(index=5).log.log_end_offset == 1
    assert news(cluster).wake is None


def test_many_appends_of_one_turn_wake_once(cluster: Cluster) -> None:
    cluster.fetch(2)
    for index in (5, 6, 7):
        append(cluster, index)
    cluster.turn()
    assert [cluster[2].partition(index=index).log.log_end_offset for index in (4, 5, 6, 7)] == [0, 1, 1, 1]


def test_a_quiet_follower_is_caught_up_as_long_as_it_fetches(cluster: Cluster) -> None:
    """The partition is idle for long; the first record that comes then throws nobody out of the ISR."""
    rounds(cluster, 10 * LAG_MAX_MS // 500)
    append(cluster)
    leader = cluster[1].partition().leader
    assert leader is not None
    assert leader.shrunk_isr(1, cluster.clock.now_ms) is None
    rounds(cluster, 3)
    assert cluster[1].partition().high_watermark == 1
    assert leader.pending_isr is None


def test_a_quiet_follower_that_has_died_falls_behind(cluster: Cluster) -> None:
    cluster.tick(LAG_MAX_MS // 2)
    append(cluster)
    leader = cluster[1].partition().leader
    assert leader is not None
    assert leader.shrunk_isr(1, cluster.clock.now_ms) is None
    cluster.tick(LAG_MAX_MS)
    assert leader.pending_isr == (1,)


def test_what_does_not_fit_is_not_forgotten() -> None:
    """Each answer takes one batch; the others have their turn, none is lost."""
    made = Cluster((1, 2), replica_fetch_response_max_bytes="1")
    for number in (1, 2, 3):
        partition = PartitionRecord(
            partition_id=0, topic_id=topic_id(number), replicas=[1, 2], isr=[1, 2], leader=1, leader_epoch=0, partition_epoch=0
        )
        made.agree(TopicRecord(name=f"t{number}", topic_id=topic_id(number)), partition)
    made.catch_up(2)
    replicas = made[1].replicas
    for _ in range(4):
        for number in (1, 2, 3):
            replicas.append(replicas.find(f"t{number}", 0), batch(), 1)
    ends = []
    for _ in range(12):
        made.fetch(2)
        ends.append(sum(made[2].partition(f"t{number}").log.log_end_offset for number in (1, 2, 3)))
    assert ends == list(range(1, 13))
    assert [made[2].partition(f"t{number}").log.log_end_offset for number in (1, 2, 3)] == [4, 4, 4]


def test_the_start_of_the_log_is_news(cluster: Cluster) -> None:
    append(cluster)
    rounds(cluster, 3)
    cluster.agree(ConfigRecord(resource_type=TOPIC_RESOURCE, resource_name="t", name="retention.ms", value="1"))
    cluster.tick(1000)
    cluster[1].replicas.apply_retention()
    rounds(cluster, 2)
    assert cluster[2].partition().log.log_start_offset == 1


def test_a_follower_outside_the_isr_is_never_quiet(cluster: Cluster) -> None:
    """Whether it may join depends on what the metadata says of it, and on what else is asked of the controller."""
    cluster.fence(2)
    rounds(cluster, 3)
    assert len(news(cluster).changed) == PARTITIONS
    assert cluster.decide(1) is None
    cluster.unfence(2)
    rounds(cluster, 1)
    cluster.decide(1)
    rounds(cluster, 3)
    assert all(cluster[1].partition(index=index).image.isr == (1, 2) for index in range(PARTITIONS))  # type: ignore[union-attr]
    assert news(cluster).changed == {}


def test_a_new_leader_epoch_is_news(cluster: Cluster) -> None:
    cluster.deaf.add(2)
    cluster.fence(2)
    cluster.fence(1)
    response = cluster.fetch(2)
    assert response is not None
    assert response[1] is not None
    assert len(said(response)[1]) == PARTITIONS


def test_a_session_that_another_one_has_replaced_is_lost(cluster: Cluster) -> None:
    """A follower that lost its connection begins a new one; the old one would hear of nothing any more."""
    old = cluster[1].partition().news[2]
    cluster.fetch(2, drop="request")
    cluster.tick(1000)
    rounds(cluster, 3)
    assert news(cluster) is not old
    assert not cluster[1].replicas.is_told(2, old)
    append(cluster, 2)
    rounds(cluster, 2)
    assert cluster[2].partition(index=2).log.log_end_offset == 1


def test_a_fetch_of_a_life_that_is_over_says_nothing(cluster: Cluster) -> None:
    """It lay in a connection while its broker lost the end of its log and registered anew (KIP-903)."""
    append(cluster, acks=-1)
    cluster.fetch(2)
    old = cluster[2].fetches.pop()
    cluster[2].fetches.clear()
    assert cluster[1].partition().high_watermark == 0
    cluster.register(2, clean=False)
    cluster[2].fetches.append(old)
    carried = cluster.fetch(2)
    assert carried is not None
    assert carried[1] is not None
    found = [data.error_code for topic in carried[1].responses for data in topic.partitions]
    assert found
    assert set(found) == {ErrorCode.NOT_LEADER_OR_FOLLOWER}
    leader = cluster[1].partition().leader
    assert leader is not None
    assert leader.followers[2].log_end_offset == 0


def add_topic(cluster: Cluster) -> None:
    """Another topic, led by 1 and followed by 2."""
    placed = {"replicas": [1, 2], "isr": [1, 2], "leader": 1, "leader_epoch": 0, "partition_epoch": 0}
    cluster.agree(TopicRecord(name="u", topic_id=topic_id(2)), PartitionRecord(partition_id=0, topic_id=topic_id(2), **placed))


def append_to_new(cluster: Cluster) -> None:
    replicas = cluster[1].replicas
    replicas.append(replicas.find("u", 0), batch(), -1)
    cluster.turn()


def test_a_fetch_that_waits_without_a_new_partition_is_answered(cluster: Cluster) -> None:
    cluster.fetch(2)
    add_topic(cluster)
    assert said(cluster.fetch(2))[0] == [0], "without waiting for the end of the fetch before"


def test_a_partition_that_is_not_quiet_yet_wakes_as_well(cluster: Cluster) -> None:
    """The first record of a partition, or of a new leader, does not wait for the end of a fetch."""
    cluster.fetch(2)
    add_topic(cluster)
    cluster.fetch(2)
    append_to_new(cluster)
    assert cluster[2].partition("u").log.log_end_offset == 1


def test_a_follower_that_hears_of_it_later_is_hurried_by_the_first_record(cluster: Cluster) -> None:
    cluster.deaf.add(2)
    cluster.fetch(2)
    add_topic(cluster)
    assert said(cluster.fetch(2))[0] == []
    cluster.hear(2)
    append_to_new(cluster)
    cluster.fetch(2)
    assert cluster[2].partition("u").log.log_end_offset == 1


def test_a_fetch_is_answered_once_however_it_is_hurried(cluster: Cluster) -> None:
    """Time and news come in the same turn."""
    cluster.fetch(2)
    append(cluster, 3)
    add_topic(cluster)
    cluster.turn()
    assert len(cluster[2].fetches) == 1
