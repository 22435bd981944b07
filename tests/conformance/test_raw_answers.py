"""Answers word by word, against our broker and against Apache Kafka: codes and fields that real clients hide or never ask for."""

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.describe_cluster import DescribeClusterRequest
from broker.protocol.messages.describe_topic_partitions import DescribeTopicPartitionsRequest, TopicRequest
from broker.protocol.messages.fetch import FetchPartition, FetchRequest, FetchTopic, ForgottenTopic
from broker.protocol.messages.init_producer_id import InitProducerIdRequest
from broker.protocol.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic
from broker.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic
from broker.protocol.messages.offset_for_leader_epoch import (
    OffsetForLeaderEpochRequest,
    OffsetForLeaderPartition,
    OffsetForLeaderTopic,
)
from broker.protocol.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from broker.record.builder import build_batch
from broker.record.compression import ZSTD
from broker.record.records import Record

from .conftest import Target
from .raw import TIMEOUT_SECONDS, Raw

MakeTopic = Callable[..., str]


@pytest.fixture
def raw(target: Target) -> Iterator[Raw]:
    with Raw(target) as connected:
        yield connected


@pytest.fixture
def led_topic(raw: Raw, make_topic: MakeTopic) -> MakeTopic:
    """Makes topics; Kafka's broker leads their partitions a moment after they are made."""

    def make(partitions: int = 1, **config: str) -> str:
        topic = make_topic(partitions, **config)
        eventually(lambda: all(one[0] == "NONE" for one in list_offsets(raw, topic, *[-1] * partitions)))
        return topic

    return make


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def batch(*values: bytes, timestamp: int | None = None, **options: Any) -> bytes:
    now = int(time.time() * 1000) if timestamp is None else timestamp
    return build_batch([Record(0, now, b"k", value) for value in values or (b"v",)], **options)


def produce_request(topic: str, *records: bytes | None, acks: int = -1, index: int = 0) -> ProduceRequest:
    data = [PartitionProduceData(index=index + number, records=one) for number, one in enumerate(records)]
    return ProduceRequest(acks=acks, timeout_ms=10_000, topic_data=[TopicProduceData(name=topic, partition_data=data)])


def produce(raw: Raw, topic: str, records: bytes | None, *, version: int = 12, **options: Any) -> Any:
    response = raw.ask(produce_request(topic, records, **options), version)
    return response.responses[0].partition_responses[0]


def code(answer: Any) -> str:
    return ErrorCode(answer.error_code).name


class TestProduce:
    """What is refused, and how."""

    def test_batches_that_cannot_be(self, raw: Raw, led_topic: MakeTopic) -> None:
        topic = led_topic()
        good = batch(b"v")
        damaged = good[:-1] + bytes([good[-1] ^ 1])
        assert code(produce(raw, topic, damaged)) == "CORRUPT_MESSAGE"
        assert code(produce(raw, topic, good * 2)) == "INVALID_RECORD"
        assert code(produce(raw, topic, b"")) == "INVALID_RECORD"
        assert code(produce(raw, topic, batch(b"v" * 1_100_000))) == "MESSAGE_TOO_LARGE"
        assert code(produce(raw, topic, batch(b"v", base_offset=3))) == "INVALID_RECORD"
        assert code(produce(raw, topic, good, acks=5)) == "INVALID_REQUIRED_ACKS"
        assert code(produce(raw, "no-such-topic", good, acks=5)) == "UNKNOWN_TOPIC_OR_PARTITION"
        assert code(produce(raw, topic, good, index=4)) == "UNKNOWN_TOPIC_OR_PARTITION"
        transactional = batch(b"v", transactional=True, producer_id=1, producer_epoch=0, base_sequence=0)
        assert code(produce(raw, topic, batch(b"v" * 99, codec=ZSTD), version=6)) == "UNSUPPORTED_COMPRESSION_TYPE"
        assert code(produce(raw, topic, good)) == "NONE"
        # Without a transactional id nobody may write for a transaction.
        assert code(produce(raw, topic, transactional)) == "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"

    def test_topics_by_id(self, raw: Raw, led_topic: MakeTopic) -> None:
        topic = led_topic()
        known = raw.ask(MetadataRequest(topics=[MetadataRequestTopic(name=topic)])).topics[0].topic_id
        unknown = uuid.UUID(int=0x1234567890)
        request = produce_request("", batch(b"v"))
        codes = {}
        for topic_id in (known, unknown):
            request.topic_data[0].topic_id = topic_id
            (answer,) = raw.ask(request, 13).responses
            codes[answer.topic_id] = code(answer.partition_responses[0])
        assert codes == {known: "NONE", unknown: "UNKNOWN_TOPIC_ID"}

    def test_nothing_is_said_to_acks_0_and_an_error_ends_the_connection(self, raw: Raw, led_topic: MakeTopic) -> None:
        topic = led_topic()
        raw.send(produce_request(topic, batch(b"v"), acks=0), 9)
        assert not raw.is_answered(0.5)
        raw.send(produce_request("no-such-topic", batch(b"v"), acks=0), 9)
        assert raw.is_closed()

    def test_an_idempotent_producer(self, raw: Raw, led_topic: MakeTopic) -> None:
        topic = led_topic()
        while code(given := raw.ask(InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=1000))) != "NONE":
            # Kafka's broker asks for its first block of ids only now.
            assert code(given) == "COORDINATOR_LOAD_IN_PROGRESS"
            time.sleep(0.05)
        assert given.producer_epoch == 0

        def send(sequence: int, count: int = 1, epoch: int = 0) -> Any:
            records = batch(*[b"v"] * count, producer_id=given.producer_id, producer_epoch=epoch, base_sequence=sequence)
            return produce(raw, topic, records)

        assert [send(0, 2).base_offset, send(2).base_offset, send(3).base_offset] == [0, 2, 3]
        assert [(code(again), again.base_offset) for again in (send(0, 2), send(3))] == [("NONE", 0), ("NONE", 3)]
        assert code(send(9)) == "OUT_OF_ORDER_SEQUENCE_NUMBER"
        assert (code(send(0, epoch=1)), code(send(4, epoch=0))) == ("NONE", "INVALID_PRODUCER_EPOCH")

    def test_records_that_are_refused_are_named(self, raw: Raw, led_topic: MakeTopic) -> None:
        topic = led_topic(message_timestamp_after_max_ms="1000")
        now = int(time.time() * 1000)
        records = build_batch([Record(0, now, b"k", b"good"), Record(0, now + 3_600_000, b"k", b"from the future")])
        answer = produce(raw, topic, records)
        assert code(answer) == "INVALID_TIMESTAMP"
        assert [one.batch_index for one in answer.record_errors] == [1]
        assert "is out of range" in answer.record_errors[0].batch_index_error_message


def wanted(topic: str, *offsets: int, max_bytes: int = 1 << 20) -> FetchTopic:
    partitions = [
        FetchPartition(partition=index, fetch_offset=offset, partition_max_bytes=max_bytes)
        for index, offset in enumerate(offsets)
    ]
    return FetchTopic(topic=topic, partitions=partitions)


def fetch(raw: Raw, *topics: FetchTopic, **options: Any) -> Any:
    values = {"max_wait_ms": 0, "min_bytes": 1, "topics": list(topics), **options}
    return raw.ask(FetchRequest(**values), 12)


def parts(response: Any) -> dict[tuple[str, int], Any]:
    return {(topic.topic, data.partition_index): data for topic in response.responses for data in topic.partitions}


class TestFetch:
    """Errors, waiting, sessions."""

    def test_offsets_outside_the_log(self, raw: Raw, led_topic: MakeTopic) -> None:
        topic = led_topic()
        produce(raw, topic, batch(b"a", b"b"))
        for offset, expected in [(-1, "OFFSET_OUT_OF_RANGE"), (3, "OFFSET_OUT_OF_RANGE"), (2, "NONE"), (1, "NONE")]:
            data = parts(fetch(raw, wanted(topic, offset)))[topic, 0]
            assert (code(data), data.high_watermark) == (expected, 2 if expected == "NONE" else -1)

    def test_read_committed_is_told_that_nothing_was_aborted(self, raw: Raw, led_topic: MakeTopic) -> None:
        topic = led_topic()
        produce(raw, topic, batch(b"a"))
        for level, aborted in [(0, None), (1, [])]:
            data = parts(fetch(raw, wanted(topic, 0), isolation_level=level))[topic, 0]
            assert (data.last_stable_offset, data.aborted_transactions) == (1, aborted)

    def test_a_topic_that_is_missing_hurries_nobody(self, raw: Raw, led_topic: MakeTopic) -> None:
        topic = led_topic()
        began = time.monotonic()
        found = parts(fetch(raw, wanted(topic, 0), wanted("no-such-topic", 0), max_wait_ms=700))
        assert time.monotonic() - began > 0.6
        assert code(found["no-such-topic", 0]) == "UNKNOWN_TOPIC_OR_PARTITION"
        began = time.monotonic()
        fetch(raw, wanted("no-such-topic", 0), max_wait_ms=20_000)
        assert time.monotonic() - began < 10

    def test_more_than_max_bytes_is_not_waited_for(self, raw: Raw, led_topic: MakeTopic) -> None:
        topic = led_topic()
        produce(raw, topic, batch(b"x" * 1000))
        began = time.monotonic()
        found = parts(fetch(raw, wanted(topic, 0), max_wait_ms=20_000, min_bytes=1_000_000, max_bytes=500))
        assert time.monotonic() - began < 10
        assert len(bytes(found[topic, 0].records)) > 1000

    def test_a_session(self, raw: Raw, led_topic: MakeTopic) -> None:
        topic = led_topic(2)
        opened = fetch(raw, wanted(topic, 0, 0), session_epoch=0)
        session = opened.session_id
        assert session > 0
        assert set(parts(opened)) == {(topic, 0), (topic, 1)}
        assert parts(fetch(raw, session_id=session, session_epoch=1)) == {}
        assert code(fetch(raw, session_id=session, session_epoch=1)) == "INVALID_FETCH_SESSION_EPOCH"
        assert code(fetch(raw, session_id=session ^ 1, session_epoch=1)) == "FETCH_SESSION_ID_NOT_FOUND"
        assert code(raw.ask(FetchRequest(session_id=session, session_epoch=2), 13)) == "FETCH_SESSION_TOPIC_ID_ERROR"
        produce(raw, topic, batch(b"a"), index=1)
        assert set(parts(fetch(raw, session_id=session, session_epoch=2))) == {(topic, 1)}
        missing = fetch(raw, wanted("no-such-topic", 0), session_id=session, session_epoch=3)
        assert code(parts(missing)["no-such-topic", 0]) == "UNKNOWN_TOPIC_OR_PARTITION"
        forgotten = [ForgottenTopic(topic=topic, partitions=[0, 1]), ForgottenTopic(topic="no-such-topic", partitions=[0])]
        ended = fetch(raw, session_id=session, session_epoch=4, forgotten_topics_data=forgotten)
        assert (ended.session_id, ended.responses) == (0, [])
        assert code(fetch(raw, session_id=session, session_epoch=5)) == "FETCH_SESSION_ID_NOT_FOUND"

    def test_no_partition_of_a_session_starves(self, raw: Raw, led_topic: MakeTopic) -> None:
        topic = led_topic(3)
        for index in range(3):
            produce(raw, topic, batch(b"x" * 1000), index=index)
        session = fetch(raw, wanted(topic, 0, 0, 0), session_epoch=0, max_bytes=1100).session_id
        served = []
        for epoch in range(1, 4):
            found = parts(fetch(raw, session_id=session, session_epoch=epoch, max_bytes=1100))
            served += [index for (_, index), data in found.items() if data.records]
        assert sorted(served) == [0, 1, 2]


def list_offsets(raw: Raw, topic: str, *timestamps: int, version: int = 11) -> list[tuple[str, int, int, int]]:
    partitions = [ListOffsetsPartition(partition_index=index, timestamp=timestamp) for index, timestamp in enumerate(timestamps)]
    response = raw.ask(ListOffsetsRequest(topics=[ListOffsetsTopic(name=topic, partitions=partitions)]), version)
    answers = sorted(response.topics[0].partitions, key=lambda one: int(one.partition_index))
    return [(code(one), one.timestamp, one.offset, one.leader_epoch) for one in answers]


class TestOffsets:
    """ListOffsets and OffsetForLeaderEpoch."""

    def test_special_times(self, raw: Raw, led_topic: MakeTopic) -> None:
        topic = led_topic(6)
        produce(raw, topic, batch(b"a", timestamp=1000))
        produce(raw, topic, batch(b"b", timestamp=5000))
        produce(raw, topic, batch(b"c", timestamp=3000))
        found = {timestamp: list_offsets(raw, topic, timestamp)[0] for timestamp in (-1, -2, -3, -4, -5, -6, 1001, 6000, -7)}
        assert found == {
            -1: ("NONE", -1, 3, 0),
            -2: ("NONE", -1, 0, 0),
            -3: ("NONE", 5000, 1, 0),
            -4: ("NONE", -1, 0, 0),
            -5: ("NONE", -1, -1, -1),
            -6: ("NONE", -1, -1, -1),
            1001: ("NONE", 5000, 1, 0),
            6000: ("NONE", -1, -1, -1),
            -7: ("UNSUPPORTED_VERSION", -1, -1, -1),
        }
        assert list_offsets(raw, topic, -3, version=6)[0][0] == "UNSUPPORTED_VERSION"
        assert list_offsets(raw, "no-such-topic", -1)[0][0] == "UNKNOWN_TOPIC_OR_PARTITION"

    def test_an_empty_log(self, raw: Raw, led_topic: MakeTopic) -> None:
        topic = led_topic(4)
        assert list_offsets(raw, topic, -1, -2, -3, 0) == [
            ("NONE", -1, 0, 0),
            ("NONE", -1, 0, 0),
            ("NONE", -1, -1, -1),
            ("NONE", -1, -1, -1),
        ]

    def test_the_same_partition_twice(self, raw: Raw, led_topic: MakeTopic) -> None:
        topic = led_topic()
        partitions = [ListOffsetsPartition(partition_index=0, timestamp=-1)] * 2
        response = raw.ask(ListOffsetsRequest(topics=[ListOffsetsTopic(name=topic, partitions=partitions)]))
        assert {code(one) for one in response.topics[0].partitions} == {"INVALID_REQUEST"}

    def test_where_epochs_end(self, raw: Raw, led_topic: MakeTopic) -> None:
        topic = led_topic()
        produce(raw, topic, batch(b"a"))

        def end(epoch: int, current: int = -1) -> tuple[str, int, int]:
            partition = OffsetForLeaderPartition(partition=0, leader_epoch=epoch, current_leader_epoch=current)
            request = OffsetForLeaderEpochRequest(topics=[OffsetForLeaderTopic(topic=topic, partitions=[partition])])
            (answer,) = raw.ask(request).topics[0].partitions
            return code(answer), answer.leader_epoch, answer.end_offset

        assert [end(0), end(5), end(0, 0), end(0, 7)] == [
            ("NONE", 0, 1),
            ("NONE", -1, -1),
            ("NONE", 0, 1),
            ("UNKNOWN_LEADER_EPOCH", -1, -1),
        ]


class TestMetadata:
    """What is told of topics and of the cluster."""

    def test_operations_without_acls(self, raw: Raw, led_topic: MakeTopic) -> None:
        topic = led_topic()
        request = MetadataRequest(
            topics=[MetadataRequestTopic(name=topic)],
            include_topic_authorized_operations=True,
            include_cluster_authorized_operations=True,
        )
        response = raw.ask(request, 10)
        assert (response.topics[0].topic_authorized_operations, response.cluster_authorized_operations) == (3576, 8096)
        names = [TopicRequest(name=name) for name in (topic, "zzz-no-such-topic")]
        found = raw.ask(DescribeTopicPartitionsRequest(topics=names)).topics
        assert {one.name: (code(one), one.topic_authorized_operations) for one in found} == {
            topic: ("NONE", 3576),
            "zzz-no-such-topic": ("UNKNOWN_TOPIC_OR_PARTITION", 3576),
        }
        cluster = raw.ask(DescribeClusterRequest(include_cluster_authorized_operations=True))
        assert cluster.cluster_authorized_operations == 8096

    def test_names_and_ids_that_cannot_be(self, raw: Raw) -> None:
        names = [MetadataRequestTopic(name=name) for name in ("bad name", "no-such-topic")]
        response = raw.ask(MetadataRequest(topics=names, allow_auto_topic_creation=False))
        assert {one.name: code(one) for one in response.topics} == {
            "bad name": "INVALID_TOPIC_EXCEPTION",
            "no-such-topic": "UNKNOWN_TOPIC_OR_PARTITION",
        }
        unknown = MetadataRequestTopic(name=None, topic_id=uuid.UUID(int=0x1234567890))
        (answer,) = raw.ask(MetadataRequest(topics=[unknown])).topics
        assert (code(answer), answer.name) == ("UNKNOWN_TOPIC_ID", None)

    def test_the_offsets_topic_is_never_made_with_the_defaults(self, raw: Raw) -> None:
        """Whoever asks first: the setting of the fixtures is 5 partitions."""
        deadline = time.monotonic() + 30
        while True:
            (answer,) = raw.ask(MetadataRequest(topics=[MetadataRequestTopic(name="__consumer_offsets")])).topics
            assert answer.is_internal
            if answer.error_code == 0:
                break
            assert code(answer) in ("UNKNOWN_TOPIC_OR_PARTITION", "LEADER_NOT_AVAILABLE")
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert len(answer.partitions) == 5

    def test_the_other_kind_of_endpoint(self, raw: Raw) -> None:
        assert code(raw.ask(DescribeClusterRequest(endpoint_type=2), 1)) == "MISMATCHED_ENDPOINT_TYPE"
        assert code(raw.ask(DescribeClusterRequest(endpoint_type=9), 1)) == "UNSUPPORTED_ENDPOINT_TYPE"

    def test_half_a_producer_id(self, raw: Raw) -> None:
        request = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=1000, producer_id=5, producer_epoch=-1)
        assert code(raw.ask(request)) == "INVALID_REQUEST"
