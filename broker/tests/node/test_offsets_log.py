"""`__consumer_offsets` as the group coordinator sees it: its making, its partitions, what is written and read again."""

import pytest
from broker.metadata.topic_names import CONSUMER_OFFSETS
from broker.node.broker import Broker
from broker.node.offsets_log import READ_BYTES, NodeOffsetsLog
from broker.protocol.errors import ErrorCode

from .conftest import Machine


def offsets_log(broker: Broker) -> NodeOffsetsLog:
    services = broker.services
    return NodeOffsetsLog(services.config, services.clock, services.metadata, services.replicas, services.controller)


def made(machine: Machine, **settings: str) -> tuple[Broker, NodeOffsetsLog]:
    broker = machine.start(**settings)
    log = offsets_log(broker)
    log.ensure_topic()
    machine.run()
    return broker, log


def test_a_topic_that_cannot_be_made_is_told_of_once(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    _, log = made(machine, offsets_topic_replication_factor="3")
    log.ensure_topic()
    machine.run()
    (said,) = [message for message in caplog.messages if CONSUMER_OFFSETS in message]
    assert "groups have no coordinator" in said
    assert "only 1 broker(s) are registered" in said
    assert said.endswith("(offsets.topic.replication.factor=3)")


def append(log: NodeOffsetsLog, *records: tuple[bytes, bytes | None], partition: int = 0) -> ErrorCode:
    """What becomes of it, alone in its partition: the only replica has committed it at once."""
    told: list[ErrorCode | str] = []
    log.append(partition, records, lambda: told.append("committed"), told.append)
    code = told.pop()
    assert isinstance(code, ErrorCode)
    assert told == (["committed"] if code is ErrorCode.NONE else [])
    return code


def read(log: NodeOffsetsLog, partition: int = 0) -> list[tuple[bytes | None, bytes | None]]:
    return [(record.key, record.value) for record in log.read_all(partition)]


def test_the_topic_is_made_once_with_its_settings(machine: Machine) -> None:
    broker = machine.start(offsets_topic_num_partitions="3", offsets_topic_segment_bytes="2000000")
    log = offsets_log(broker)
    assert log.partition_count() == 0
    log.ensure_topic()
    log.ensure_topic()
    assert log.partition_count() == 0, "it is not there before it is agreed on"
    machine.run()
    assert log.partition_count() == 3
    topic = broker.metadata.image.topics[CONSUMER_OFFSETS]
    config = broker.services.replicas.topic_configs[CONSUMER_OFFSETS]
    assert (config.cleanup_policy, config.segment_bytes) == ("compact", 2_000_000)
    log.ensure_topic()
    machine.run()
    assert broker.metadata.image.topics[CONSUMER_OFFSETS] is topic


def test_a_topic_that_could_not_be_made_is_asked_for_again(machine: Machine) -> None:
    broker = machine.start()
    log = offsets_log(broker)
    machine.storage.capacity_bytes = machine.storage.used_bytes
    log.ensure_topic()
    machine.run()
    assert log.partition_count() == 0
    machine.storage.capacity_bytes = None
    log.ensure_topic()
    machine.run()
    assert log.partition_count() == 2


def test_this_node_leads_its_partitions(machine: Machine) -> None:
    _, log = made(machine)
    assert [log.leader_id(partition) for partition in (0, 1)] == [1, 1]
    assert log.is_leader(0)


def test_what_is_appended_is_read_in_order_and_after_a_restart(machine: Machine) -> None:
    broker, log = made(machine)
    assert append(log, (b"k1", b"v1"), (b"k2", None)) is ErrorCode.NONE
    assert append(log, (b"k1", b"v2")) is ErrorCode.NONE
    assert append(log, (b"other", b"partition"), partition=1) is ErrorCode.NONE
    expected = [(b"k1", b"v1"), (b"k2", None), (b"k1", b"v2")]
    assert read(log) == expected
    assert broker.services.replicas.find(CONSUMER_OFFSETS, 0).high_watermark == 3
    machine.kill()
    again = offsets_log(machine.start())
    assert read(again) == expected
    assert read(again, 1) == [(b"other", b"partition")]


def test_more_than_one_read_is_needed_for_much(machine: Machine) -> None:
    _, log = made(machine)
    expected = []
    for number in range(8):
        record = (b"%d" % number, bytes(READ_BYTES // 3))
        expected.append(record)
        assert append(log, record) is ErrorCode.NONE
    assert read(log) == expected


def test_an_append_that_fails_is_told_and_leaves_nothing(machine: Machine) -> None:
    _, log = made(machine)
    append(log, (b"k", b"v"))
    assert append(log, (b"k", bytes(2 * READ_BYTES))) is ErrorCode.MESSAGE_TOO_LARGE
    assert append(log, (b"k", b"v"), partition=7) is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    machine.storage.capacity_bytes = machine.storage.used_bytes
    assert append(log, (b"k", b"v2")) is ErrorCode.KAFKA_STORAGE_ERROR
    machine.storage.capacity_bytes = None
    assert append(log, (b"k", b"v3")) is ErrorCode.NONE
    assert read(log) == [(b"k", b"v"), (b"k", b"v3")]


def test_everything_that_is_there_is_committed_on_one_node(machine: Machine) -> None:
    _, log = made(machine)
    append(log, (b"k", b"v"))
    told: list[bool] = []
    log.when_committed(0, lambda: told.append(True))
    assert told == [True]
