"""All partitions of a node: made, changed and deleted as the metadata says, and waiters woken once per turn."""

import errno
import random

import pytest
from broker.clock.simulated import SimulatedClock
from broker.log.file_names import PARTITION_METADATA
from broker.metadata.image import BROKER_RESOURCE
from broker.metadata.records import encode_record
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.metadata_records import (
    ConfigRecord,
    PartitionChangeRecord,
    ProducerIdsRecord,
    RemoveTopicRecord,
    TopicRecord,
)
from broker.replication.manager import MAKING_MS, dynamic_broker_settings
from broker.storage.simulated import SimulatedStorage

from .node import ROOT, Node, batch, partition_record, topic_id


def code(node: Node, topic: str = "t", index: int = 0) -> ErrorCode:
    with pytest.raises(KafkaError) as caught:
        node.replicas.find(topic, index)
    return caught.value.code


def test_a_topic_has_its_logs() -> None:
    node = Node()
    node.create(partitions=2)
    assert node.names() == ["t-0", "t-1"]
    assert [node.replicas.find("t", index).index for index in (0, 1)] == [0, 1]
    assert node.replicas.name_of(topic_id(1)) == "t"
    assert code(node, "t", 2) is code(node, "u") is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert node.replicas.name_of(topic_id(2)) is None


def test_more_partitions() -> None:
    node = Node()
    node.create()
    first = node.replicas.find("t", 0)
    node.agree(partition_record(1, 1))
    assert node.replicas.find("t", 0) is first
    assert node.replicas.find("t", 1).log.log_end_offset == 0


MANY, AT_ONCE = 15, 5


class SlowDisk(SimulatedStorage):
    """Making a directory takes so long that a turn has time for five."""

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__(clock)
        self._time = clock

    def make_directory(self, path: str) -> None:
        super().make_directory(path)
        self._time.now_ms += MAKING_MS // AT_ONCE


def many(topic: str) -> Node:
    """A node that has just heard of more partitions than it makes at once."""
    node = Node(SlowDisk)
    node.create()
    node.turn()
    node.agree(TopicRecord(name=topic, topic_id=topic_id(2)), *(partition_record(2, index) for index in range(MANY)))
    return node


def test_many_partitions_are_made_some_at_a_time() -> None:
    node = many("many")
    assert len(node.replicas.partitions) == 1 + AT_ONCE
    assert code(node, "many", AT_ONCE) is ErrorCode.NOT_LEADER_OR_FOLLOWER, "its turn comes"
    assert node.clock.step()
    assert len(node.replicas.partitions) == 1 + 2 * AT_ONCE
    node.settle(100)
    assert len(node.replicas.partitions) == 1 + MANY
    assert node.replicas.find("many", MANY - 1).is_leader


def test_those_of_the_coordinators_and_of_the_start_do_not_wait() -> None:
    node = many("__consumer_offsets")
    assert len(node.replicas.partitions) == 1 + MANY
    node.crash()
    assert len(node.replicas.partitions) == 1 + MANY


def test_a_topic_that_is_deleted_meanwhile() -> None:
    node = many("many")
    node.remove(2)
    node.settle(100)
    assert [key for key in node.replicas.partitions if key[0] == "many"] == []


def test_nothing_is_made_after_a_stop() -> None:
    node = many("many")
    node.replicas.stop()
    node.settle(100)
    assert len(node.replicas.partitions) == 1 + AT_ONCE


def test_what_others_hold_is_not_here() -> None:
    node = Node()
    node.create(replicas=[2], isr=[2], leader=2)
    assert node.names() == []
    assert code(node) is ErrorCode.NOT_LEADER_OR_FOLLOWER


def test_records_survive_a_restart() -> None:
    node = Node()
    node.create()
    node.replicas.append(node.replicas.find("t", 0), batch(3), 1)
    node.crash()
    partition = node.replicas.find("t", 0)
    assert (partition.log.log_end_offset, partition.high_watermark) == (3, 3)


def test_a_deleted_topic_is_gone_at_once_and_from_the_disk_later() -> None:
    node = Node()
    node.create()
    node.remove()
    assert code(node) is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert node.replicas.name_of(topic_id(1)) is None
    assert node.names() == [f"t-0.{topic_id(1).hex}-delete"]
    node.settle(60_000)
    assert node.names() == []


def test_the_topics_own_delay_counts() -> None:
    node = Node()
    node.create()
    node.set("file.delete.delay.ms", "5")
    node.remove()
    node.settle(5)
    assert node.names() == []


@pytest.mark.parametrize("together", [True, False])
def test_a_topic_made_again_is_another_one(together: bool) -> None:
    node = Node()
    node.create()
    old = node.replicas.find("t", 0)
    node.replicas.append(old, batch(3), 1)
    steps = [RemoveTopicRecord(topic_id=topic_id(1))], [TopicRecord(name="t", topic_id=topic_id(2)), partition_record(2)]
    if together:
        node.agree(*steps[0], *steps[1])
    else:
        node.agree(*steps[0])
        node.agree(*steps[1])
    new = node.replicas.find("t", 0)
    assert new is not old
    assert (new.topic_id, new.log.log_end_offset, new.high_watermark) == (topic_id(2), 0, 0)
    assert sorted(node.names()) == ["t-0", f"t-0.{topic_id(1).hex}-delete"]
    node.crash()
    assert node.replicas.find("t", 0).log.log_end_offset == 0
    assert node.names() == ["t-0"]


def test_a_deletion_that_the_node_missed() -> None:
    """Agreed on while it was down: what is on its disk belongs to nobody and is set aside."""
    node = Node()
    node.create()
    node.replicas.append(node.replicas.find("t", 0), batch(), 1)
    node.agreed.clear()
    node.crash()
    assert node.names() == [f"t-0.{topic_id(1).hex}-stray"]


def test_a_topic_made_again_while_the_node_was_down() -> None:
    node = Node()
    node.create()
    node.replicas.append(node.replicas.find("t", 0), batch(), 1)
    node.agreed = [encode_record(record) for record in (TopicRecord(name="t", topic_id=topic_id(2)), partition_record(2))]
    node.crash()
    assert node.replicas.find("t", 0).log.log_end_offset == 0
    assert sorted(node.names()) == ["t-0", f"t-0.{topic_id(1).hex}-stray"]


def test_settings_reach_the_logs() -> None:
    node = Node()
    node.create()
    log = node.replicas.find("t", 0).log
    assert log.config.retention_ms == 7 * 86_400_000
    node.set("retention.ms", "5")
    assert log.config.retention_ms == 5
    node.set("retention.ms", None)
    assert log.config.retention_ms == 7 * 86_400_000


def test_settings_of_brokers_reach_the_logs() -> None:
    """The cluster's, then this broker's own, then the topic's."""
    node = Node()
    node.create()
    log = node.replicas.find("t", 0).log

    def set_broker(name: str, value: str | None) -> None:
        node.agree(ConfigRecord(resource_type=BROKER_RESOURCE, resource_name=name, name="log.retention.ms", value=value))

    for name, value in (("", "10"), ("1", "20"), ("2", "99")):
        set_broker(name, value)
    assert log.config.retention_ms == 20
    assert dynamic_broker_settings(node.metadata.image, 3) == {"log.retention.ms": "10"}
    node.set("retention.ms", "30")
    set_broker("1", None)
    assert log.config.retention_ms == 30
    node.set("retention.ms", None)
    assert log.config.retention_ms == 10


def test_other_topics_are_not_touched() -> None:
    """A thousand topics are not looked through for the change of one, and for no change of producer ids."""
    node = Node()
    for number in (1, 2):
        node.create(f"t{number}", number)
    configs = dict(node.replicas.topic_configs)
    node.agree(ProducerIdsRecord(broker_id=1, broker_epoch=1, next_producer_id=1000))
    node.set("retention.ms", "5", "t1")
    assert node.replicas.topic_configs["t2"] is configs["t2"]
    assert node.replicas.topic_configs["t1"] is not configs["t1"]


def test_waiters_are_woken_once_per_turn() -> None:
    node = Node()
    node.create()
    partition = node.replicas.find("t", 0)
    woken: list[int] = []
    partition.consumers[lambda: woken.append(partition.high_watermark)] = None
    for _ in range(3):
        node.replicas.append(partition, batch(), 1)
    assert woken == []
    node.turn()
    assert woken == [3]
    node.replicas.append(partition, batch(), 1)
    node.turn()
    assert woken == [3], "a waiter is told once"


def test_a_waiter_may_wait_again() -> None:
    node = Node()
    node.create()
    partition = node.replicas.find("t", 0)
    woken: list[int] = []

    def wake() -> None:
        woken.append(partition.high_watermark)
        partition.consumers[wake] = None

    partition.consumers[wake] = None
    for _ in range(2):
        node.replicas.append_own(partition, batch())
        node.turn()
    assert woken == [1, 2]


def test_who_waits_for_a_deleted_topic_is_woken() -> None:
    node = Node()
    node.create()
    found: list[ErrorCode] = []
    node.replicas.find("t", 0).consumers[lambda: found.append(code(node))] = None
    node.remove()
    node.turn()
    assert found == [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]


def test_high_watermarks_are_kept() -> None:
    node = Node()
    node.create()
    node.replicas.append(node.replicas.find("t", 0), batch(4), 1)
    node.replicas.checkpoint_high_watermarks()
    node.settle()
    assert node.storage.read(f"{ROOT}/replication-offset-checkpoint") == b"0\n1\nt 0 4\n"


def test_retention_goes_as_far_as_the_high_watermark() -> None:
    node = Node()
    node.create()
    node.set("retention.ms", "1")
    node.replicas.append(node.replicas.find("t", 0), batch(4), 1)
    node.settle(10_000)
    node.replicas.apply_retention()
    assert node.replicas.find("t", 0).log.log_start_offset == 4


def test_a_partition_without_room_is_made_when_there_is_some() -> None:
    node = Node()
    node.storage.capacity_bytes = node.storage.used_bytes
    node.create()
    assert code(node) is ErrorCode.KAFKA_STORAGE_ERROR
    node.replicas.checkpoint_high_watermarks()
    assert code(node) is ErrorCode.KAFKA_STORAGE_ERROR
    node.storage.capacity_bytes = None
    node.replicas.checkpoint_high_watermarks()
    assert node.replicas.append(node.replicas.find("t", 0), batch(), 1).first_offset == 0
    assert node.storage.exists(f"{ROOT}/t-0/{PARTITION_METADATA}")
    assert node.failures == []


def test_a_partition_without_room_may_be_deleted() -> None:
    node = Node()
    node.storage.capacity_bytes = node.storage.used_bytes
    node.create()
    node.remove()
    node.storage.capacity_bytes = None
    node.replicas.checkpoint_high_watermarks()
    assert code(node) is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


def test_a_disk_that_fails_is_told_of() -> None:
    node = Node()
    node.storage.fail_writes = True
    node.create()
    assert [failure.errno for failure in node.failures] == [errno.EIO]
    assert code(node) is ErrorCode.KAFKA_STORAGE_ERROR


def test_a_leader_of_before_leads_in_a_new_epoch() -> None:
    node = Node()
    node.create()
    partition = node.replicas.find("t", 0)
    node.replicas.append(partition, batch(2), 1)
    node.agree(PartitionChangeRecord(partition_id=0, topic_id=topic_id(1), leader=1))
    node.replicas.append(partition, batch(2), 1)
    assert partition.leader_epoch == 1
    assert partition.log.epochs.entries == [(0, 0), (1, 2)]


def test_a_directory_that_cannot_be_opened_is_told_of() -> None:
    node = Node()
    node.create()
    node.logs.close(clean=False)
    node.storage.open(f"{ROOT}/t-0/{0:020d}.log.swap")
    node.crash()
    assert len(node.failures) == 1
    assert "unfinished compaction; let Apache Kafka finish it" in str(node.failures[0])


def test_a_thousand_leader_changes_touch_no_file() -> None:
    """What they begin is written with the next flush; after a crash before that the batch headers say it."""
    count = 330
    node = Node()
    node.create(partitions=count)
    node.settle()
    for partition in node.replicas.partitions.values():
        node.replicas.append(partition, batch(2), 1)
    node.storage.die_after(0, random.Random(1))  # in the next operation that changes something
    node.agree(*(PartitionChangeRecord(partition_id=index, topic_id=topic_id(1), leader=1) for index in range(count)))
    assert {partition.leader_epoch for partition in node.replicas.partitions.values()} == {1}
    node.storage.live_on()
    for partition in node.replicas.partitions.values():
        node.replicas.append(partition, batch(3), 1)
    node.crash()
    entries = [partition.log.epochs.entries for partition in node.replicas.partitions.values()]
    # A new life of this node leads in the same epoch.
    assert entries == [[(0, 0), (1, 2)]] * count
