"""Produce: what is appended, what is refused with which code, and when nothing is said at all."""

import uuid
from dataclasses import replace

import pytest
from broker.metadata.records import encode_record
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.metadata_records import PartitionRecord, RemoveTopicRecord, TopicRecord
from broker.protocol.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from broker.record.batch import TRANSACTIONAL_FLAG
from broker.record.builder import build_batch
from broker.record.records import Record
from broker.replication.partition import Partition
from broker.server.services import CloseConnection

from ..world import Node, batch, codes, produce_request, running


def test_batches_are_appended_one_after_another(node: Node) -> None:
    node.topic("t", 2)
    assert node.produce("t", b"a", b"b") == 0
    assert node.produce("t", b"c") == 2
    assert node.produce("t", b"d", index=1) == 0
    assert node.partition("t").high_watermark == 3


def test_the_answer_names_the_time_only_where_the_broker_sets_it(node: Node) -> None:
    node.topic("mine")
    node.topic("theirs", message_timestamp_type="LogAppendTime")
    assert node.produce_batch("mine", batch(b"v")).log_append_time_ms == -1
    assert node.produce_batch("theirs", batch(b"v")).log_append_time_ms == node.clock.wall_ms()


@pytest.mark.parametrize("version", range(3, 13))
def test_every_version_that_names_topics(node: Node, version: int) -> None:
    node.topic("t")
    answer = node.produce_batch("t", batch(b"v"), version=version)
    assert (answer.error_code, answer.base_offset) == (ErrorCode.NONE, 0)
    assert answer.log_start_offset == (0 if version >= 5 else -1)


def test_topics_by_id(node: Node) -> None:
    node.topic("t")
    records = batch(b"v")
    known, unknown = node.topic_id("t"), uuid.UUID(int=77)
    topics = [
        TopicProduceData(topic_id=topic_id, partition_data=[PartitionProduceData(index=index, records=records)])
        for topic_id, index in [(known, 0), (known, 9), (unknown, 0)]
    ]
    response = node.ask(ProduceRequest(acks=1, timeout_ms=1000, topic_data=topics), 13)
    assert [topic.topic_id for topic in response.responses] == [known, known, unknown]
    answers = [topic.partition_responses[0] for topic in response.responses]
    assert codes(answers) == ["NONE", "UNKNOWN_TOPIC_OR_PARTITION", "UNKNOWN_TOPIC_ID"]
    assert [answer.base_offset for answer in answers] == [0, -1, -1]


def damaged(records: bytes) -> bytes:
    return records[:-1] + bytes([records[-1] ^ 1])


@pytest.mark.parametrize(
    ("records", "code"),
    [
        (None, ErrorCode.INVALID_RECORD),
        (b"", ErrorCode.INVALID_RECORD),
        (batch(b"v")[:-1], ErrorCode.INVALID_RECORD),
        (batch(b"v") * 2, ErrorCode.INVALID_RECORD),
        (damaged(batch(b"v")), ErrorCode.CORRUPT_MESSAGE),
        (batch(b"v" * 2_000_000), ErrorCode.MESSAGE_TOO_LARGE),
        (batch(b"v", base_offset=5), ErrorCode.INVALID_RECORD),
        (batch(b"v", transactional=True, producer_id=5, producer_epoch=0, base_sequence=0), None),
    ],
)
def test_what_is_refused(node: Node, records: bytes | None, code: ErrorCode | None) -> None:
    node.topic("t")
    answer = node.produce_batch("t", records)
    assert answer.error_code == (code or ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
    assert answer.base_offset == -1
    assert answer.error_message
    assert node.partition("t").log.log_end_offset == 0


def test_the_other_partitions_of_a_request_are_taken(node: Node) -> None:
    node.topic("t", 2)
    data = [
        PartitionProduceData(index=0, records=damaged(batch(b"v"))),
        PartitionProduceData(index=1, records=batch(b"v")),
        PartitionProduceData(index=2, records=batch(b"v")),
    ]
    request = ProduceRequest(acks=-1, timeout_ms=1000, topic_data=[TopicProduceData(name="t", partition_data=data)])
    (topic,) = node.ask(request, 9).responses
    assert codes(topic.partition_responses) == ["CORRUPT_MESSAGE", "NONE", "UNKNOWN_TOPIC_OR_PARTITION"]


def test_records_that_are_refused_are_named(node: Node) -> None:
    node.topic("t", message_timestamp_after_max_ms="1000")
    late = node.clock.wall_ms() + 100_000
    records = build_batch([Record(0, 1000, b"k", b"old"), Record(0, late, b"k", b"new")])
    answer = node.produce_batch("t", records)
    assert answer.error_code == ErrorCode.INVALID_TIMESTAMP
    assert [one.batch_index for one in answer.record_errors] == [1]
    assert "out of range" in answer.record_errors[0].batch_index_error_message
    # Before version 8 there is no place for it.
    assert node.produce_batch("t", records, version=7).record_errors == []


def test_zstd_needs_version_7(node: Node) -> None:
    from broker.record.compression import ZSTD

    node.topic("t")
    records = batch(b"v" * 100, codec=ZSTD)
    assert node.produce_batch("t", records, version=6).error_code == ErrorCode.UNSUPPORTED_COMPRESSION_TYPE
    assert node.produce_batch("t", records, version=7).error_code == ErrorCode.NONE


@pytest.mark.parametrize("acks", [2, -2, 300])
def test_acks_that_there_are_not(node: Node, acks: int) -> None:
    node.topic("t")
    assert node.produce_batch("t", batch(b"v"), acks=acks).error_code == ErrorCode.INVALID_REQUIRED_ACKS
    # What does not exist is said first, as in Kafka.
    assert node.produce_batch("none", batch(b"v"), acks=acks).error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


def test_acks_all_needs_the_isr_that_the_topic_asks_for(node: Node) -> None:
    node.topic("t", min_insync_replicas="2")
    partition = node.partition("t")
    assert partition.image is not None
    # A second replica, which is not in the ISR.
    partition.lead(replace(partition.image, replicas=(1, 2), leader_epoch=1, partition_epoch=1), 0)
    assert node.produce_batch("t", batch(b"v")).error_code == ErrorCode.NOT_ENOUGH_REPLICAS
    assert node.produce_batch("t", batch(b"v"), acks=1).error_code == ErrorCode.NONE


def test_nothing_is_said_to_acks_0(node: Node) -> None:
    node.topic("t")
    asked = node.send(produce_request("t", batch(b"v"), acks=0), 9)
    assert (asked.silent, asked.answers) == (True, [])
    assert node.partition("t").log.log_end_offset == 1
    with pytest.raises(CloseConnection, match="UNKNOWN_TOPIC_OR_PARTITION"):
        node.send(produce_request("none", batch(b"v"), acks=0), 9)


def test_internal_topics_are_not_for_clients(node: Node) -> None:
    node.services.groups.ensure_topic()
    node.until(lambda: "__consumer_offsets" in node.services.metadata.image.topics)
    answer = node.produce_batch("__consumer_offsets", batch(b"v"))
    assert answer.error_code == ErrorCode.INVALID_TOPIC_EXCEPTION


def test_transactions_are_refused(node: Node) -> None:
    node.topic("t")
    request = produce_request("t", batch(b"v"))
    request.transactional_id = "tx"
    answer = node.ask(request, 9).responses[0].partition_responses[0]
    assert answer.error_code == ErrorCode.UNSUPPORTED_VERSION
    assert batch(b"v", transactional=True)[22] & TRANSACTIONAL_FLAG


def idempotent(sequence: int, count: int = 1, epoch: int = 0) -> bytes:
    return batch(*[b"v"] * count, producer_id=7, producer_epoch=epoch, base_sequence=sequence)


def test_an_idempotent_producer(node: Node) -> None:
    node.topic("t")
    assert node.produce_batch("t", idempotent(0, 2)).base_offset == 0
    assert node.produce_batch("t", idempotent(2, 3)).base_offset == 2
    # Sent again: told where it is, and not appended.
    for sequence, count, offset in [(2, 3, 2), (0, 2, 0)]:
        again = node.produce_batch("t", idempotent(sequence, count))
        assert (again.error_code, again.base_offset) == (ErrorCode.NONE, offset)
    assert node.partition("t").log.log_end_offset == 5
    assert node.produce_batch("t", idempotent(9)).error_code == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    # A new epoch begins at 0, the old one is fenced.
    assert node.produce_batch("t", idempotent(0, epoch=1)).base_offset == 5
    assert node.produce_batch("t", idempotent(5, epoch=0)).error_code == ErrorCode.INVALID_PRODUCER_EPOCH


def test_who_asks_the_wrong_broker_is_told_the_leader(node: Node) -> None:
    """KIP-951; with one broker only a partition without this leader in its image shows it."""
    node.topic("t")
    partition = node.partition("t")
    assert partition.image is not None
    partition.follow(replace(partition.image, leader=2))
    response = node.ask(produce_request("t", batch(b"v")), 12)
    answer = response.responses[0].partition_responses[0]
    assert answer.error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
    assert (answer.current_leader.leader_id, answer.current_leader.leader_epoch) == (1, 0)
    assert [(one.node_id, one.host, one.port) for one in response.node_endpoints] == [(1, "broker.example", 9092)]
    old = node.ask(produce_request("t", batch(b"v")), 9)
    assert (codes(old.responses[0].partition_responses), old.node_endpoints) == (["NOT_LEADER_OR_FOLLOWER"], [])


def test_who_waits_at_a_deleted_topic_is_not_sent_to_its_successor(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that hears late of a topic's end hears of the next one of that name as well, which another may lead."""
    node.topic("t")
    monkeypatch.setattr(Partition, "advance", lambda self, now_ms: False)
    waiting = node.send(produce_request("t", batch(b"v")), 12)
    metadata, successor = node.broker.metadata, uuid.UUID(int=9)
    values = [
        encode_record(RemoveTopicRecord(topic_id=node.topic_id("t"))),
        encode_record(TopicRecord(name="t", topic_id=successor)),
        encode_record(PartitionRecord(partition_id=0, topic_id=successor, replicas=[2], isr=[2], leader=2, leader_epoch=5)),
    ]
    metadata.handle_commit(values, metadata.image.offset + len(values))
    (answer,) = waiting.answers[0].responses[0].partition_responses  # type: ignore[attr-defined]
    assert (answer.error_code, answer.current_leader.leader_id) == (ErrorCode.NOT_LEADER_OR_FOLLOWER, -1)


def test_a_full_disk_is_said_and_gone_again() -> None:
    with running() as node:
        node.topic("t")
        node.produce("t", b"v")
        storage = node.broker.world.storage
        storage.capacity_bytes = storage.used_bytes + 10  # type: ignore[attr-defined]
        assert node.produce_batch("t", batch(b"v" * 1000)).error_code == ErrorCode.KAFKA_STORAGE_ERROR
        storage.capacity_bytes = None
        assert node.produce("t", b"v") == 1
