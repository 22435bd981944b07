"""Unmodified confluent-kafka (librdkafka) against our broker and against Apache Kafka."""

import time
from collections.abc import Callable

import pytest
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from .conftest import SESSION_TIMEOUT_MS, Target

TIMEOUT_SECONDS = 30
MakeTopic = Callable[..., str]


def send(target: Target, topic: str, values: list[bytes], **config: object) -> list[Message]:
    """Produce and wait; the delivered messages in order of their delivery."""
    producer = Producer({"bootstrap.servers": target.bootstrap_servers, **config})
    delivered: list[Message] = []
    failed: list[KafkaError] = []

    def on_delivery(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            failed.append(error)
        else:
            delivered.append(message)

    for value in values:
        producer.produce(topic, value, key=b"key", headers=[("h", b"1"), ("none", None)], on_delivery=on_delivery)
    assert producer.flush(TIMEOUT_SECONDS) == 0
    assert failed == []
    return delivered


def receive(target: Target, topic: str, count: int, *, partitions: int = 1, **config: object) -> list[Message]:
    """Read `count` messages from the start by manual assignment."""
    settings = {"bootstrap.servers": target.bootstrap_servers, "group.id": target.fresh("reader"), "enable.auto.commit": False}
    consumer = Consumer({**settings, **config})
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in range(partitions)])
    messages: list[Message] = []
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while len(messages) < count and time.monotonic() < deadline:
        messages += [message for message in consumer.consume(count, timeout=1) if message.error() is None]
    consumer.close()
    return messages


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def describe_error(admin: AdminClient, topic: str) -> int | None:
    try:
        admin.describe_topics(TopicCollection([topic]))[topic].result(TIMEOUT_SECONDS)
    except KafkaException as error:
        return int(error.args[0].code())
    return None


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_every_codec_comes_back_as_it_was_sent(target: Target, make_topic: MakeTopic, codec: str) -> None:
    topic = make_topic()
    values = [f"값 {number} ".encode() * 20 for number in range(300)]
    send(target, topic, values, **{"compression.type": codec, "linger.ms": 20})
    got = receive(target, topic, len(values))
    assert [message.value() for message in got] == values
    assert [message.offset() for message in got] == list(range(len(values)))
    assert got[0].key() == b"key"
    assert got[0].headers() == [("h", b"1"), ("none", None)]


@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_every_acks(target: Target, make_topic: MakeTopic, acks: str) -> None:
    topic = make_topic()
    send(target, topic, [b"%d" % number for number in range(100)], acks=acks)
    assert len(receive(target, topic, 100)) == 100


def test_an_idempotent_producer_keeps_the_order(target: Target, make_topic: MakeTopic) -> None:
    topic = make_topic()
    values = [b"%d" % number for number in range(5000)]
    send(target, topic, values, **{"enable.idempotence": True, "linger.ms": 0, "batch.num.messages": 50})
    assert [message.value() for message in receive(target, topic, len(values))] == values


def test_a_message_over_the_limit_is_refused(target: Target, make_topic: MakeTopic) -> None:
    topic = make_topic(max_message_bytes="2000")
    producer = Producer({"bootstrap.servers": target.bootstrap_servers})
    errors: list[KafkaError | None] = []
    producer.produce(topic, b"x" * 5000, on_delivery=lambda error, _: errors.append(error))
    producer.flush(TIMEOUT_SECONDS)
    assert errors[0] is not None
    assert errors[0].code() == KafkaError.MSG_SIZE_TOO_LARGE


def test_a_topic_is_made_when_it_is_first_written(target: Target) -> None:
    topic = target.fresh("automatic")
    send(target, topic, [b"first"])
    assert [message.value() for message in receive(target, topic, 1)] == [b"first"]


def test_offsets_for_times_and_watermarks(target: Target, make_topic: MakeTopic) -> None:
    topic = make_topic()
    producer = Producer({"bootstrap.servers": target.bootstrap_servers})
    base = int(time.time() * 1000) - 100_000
    for number in range(50):
        producer.produce(topic, b"x", timestamp=base + number * 1000)
    producer.flush(TIMEOUT_SECONDS)
    consumer = Consumer({"bootstrap.servers": target.bootstrap_servers, "group.id": target.fresh("times")})
    assert consumer.get_watermark_offsets(TopicPartition(topic, 0)) == (0, 50)
    found = consumer.offsets_for_times([TopicPartition(topic, 0, base + 20_500)])
    assert found[0].offset == 21
    beyond = consumer.offsets_for_times([TopicPartition(topic, 0, base + 1_000_000)])
    assert beyond[0].offset == -1
    consumer.close()


def test_log_append_time_is_the_brokers(target: Target, make_topic: MakeTopic) -> None:
    topic = make_topic(message_timestamp_type="LogAppendTime")
    producer = Producer({"bootstrap.servers": target.bootstrap_servers})
    producer.produce(topic, b"x", timestamp=1000)
    producer.flush(TIMEOUT_SECONDS)
    kind, timestamp = receive(target, topic, 1)[0].timestamp()
    assert kind == 2
    assert timestamp > 1_600_000_000_000


class Member:
    """A consumer in a group that keeps what it was given."""

    def __init__(self, target: Target, group: str, topic: str, **config: object) -> None:
        settings: dict[str, object] = {
            "bootstrap.servers": target.bootstrap_servers,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": SESSION_TIMEOUT_MS,
            "heartbeat.interval.ms": 200,
        }
        self.consumer = Consumer({**settings, **config})
        self.values: list[bytes | None] = []
        self.rebalances = 0
        self.consumer.subscribe([topic], on_assign=self._assigned)

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.rebalances += 1

    def poll(self) -> None:
        message = self.consumer.poll(0.05)
        if message is not None and message.error() is None:
            self.values.append(message.value())

    def assignment(self) -> set[int]:
        return {item.partition for item in self.consumer.assignment()}


def poll_until(members: list[Member], done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not done():
        assert time.monotonic() < deadline, [sorted(member.assignment()) for member in members]
        for member in members:
            member.poll()


@pytest.mark.parametrize("strategy", ["range", "roundrobin", "cooperative-sticky"])
def test_a_group_shares_the_partitions_and_rebalances(target: Target, make_topic: MakeTopic, strategy: str) -> None:
    topic, group = make_topic(4), target.fresh("group")
    first = Member(target, group, topic, **{"partition.assignment.strategy": strategy})
    poll_until([first], lambda: first.assignment() == {0, 1, 2, 3})
    second = Member(target, group, topic, **{"partition.assignment.strategy": strategy})
    both = [first, second]
    poll_until(both, lambda: len(first.assignment()) == len(second.assignment()) == 2)
    assert first.assignment() | second.assignment() == {0, 1, 2, 3}
    second.consumer.close()
    poll_until([first], lambda: first.assignment() == {0, 1, 2, 3})
    first.consumer.close()


def test_a_group_goes_on_where_it_committed(target: Target, make_topic: MakeTopic) -> None:
    topic, group = make_topic(), target.fresh("group")
    send(target, topic, [b"%d" % number for number in range(10)])
    first = Member(target, group, topic)
    poll_until([first], lambda: len(first.values) >= 4)
    first.consumer.commit(offsets=[TopicPartition(topic, 0, 4)], asynchronous=False)
    first.consumer.close()
    second = Member(target, group, topic)
    poll_until([second], lambda: len(second.values) >= 6)
    assert second.values == [b"%d" % number for number in range(4, 10)]
    committed = second.consumer.committed([TopicPartition(topic, 0)], timeout=TIMEOUT_SECONDS)
    assert committed[0].offset == 4
    second.consumer.close()


def test_a_static_member_comes_back_without_a_rebalance(target: Target, make_topic: MakeTopic) -> None:
    topic, group = make_topic(2), target.fresh("group")
    one = Member(target, group, topic, **{"group.instance.id": "one"})
    two = Member(target, group, topic, **{"group.instance.id": "two"})
    poll_until([one, two], lambda: len(one.assignment()) == len(two.assignment()) == 1)
    rebalances, held = one.rebalances, two.assignment()
    two.consumer.close()  # a static member does not leave
    again = Member(target, group, topic, **{"group.instance.id": "two"})
    poll_until([one, again], lambda: len(again.assignment()) == 1)
    assert again.assignment() == held
    assert one.rebalances == rebalances
    one.consumer.close()
    again.consumer.close()


def test_the_second_of_one_instance_id_fences_the_first(target: Target, make_topic: MakeTopic) -> None:
    topic, group = make_topic(), target.fresh("group")
    old = Member(target, group, topic, **{"group.instance.id": "same"})
    poll_until([old], lambda: len(old.assignment()) == 1)
    new = Member(target, group, topic, **{"group.instance.id": "same"})
    poll_until([new], lambda: len(new.assignment()) == 1)
    deadline = time.monotonic() + TIMEOUT_SECONDS
    code = None
    while code is None and time.monotonic() < deadline:
        message = old.consumer.poll(0.2)
        error = message.error() if message is not None else None
        code = error.code() if error is not None else None
    assert code in (KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID)
    new.consumer.close()


def test_a_silent_member_loses_its_partitions(target: Target, make_topic: MakeTopic) -> None:
    topic, group = make_topic(2), target.fresh("group")
    silent = Member(target, group, topic, **{"max.poll.interval.ms": SESSION_TIMEOUT_MS})
    poll_until([silent], lambda: len(silent.assignment()) == 2)
    alive = Member(target, group, topic)
    poll_until([alive], lambda: alive.assignment() == {0, 1})
    alive.consumer.close()


def shown_config(admin: AdminClient, resource: ConfigResource, name: str) -> str:
    shown = next(iter(admin.describe_configs([resource]).values())).result(TIMEOUT_SECONDS)
    return str(shown[name].value)


class TestAdmin:
    """AdminClient calls and the answers Kafka gives to them."""

    def test_topics_are_created_described_extended_and_deleted(self, target: Target) -> None:
        admin = AdminClient({"bootstrap.servers": target.bootstrap_servers})
        name = target.fresh("admin")
        admin.create_topics([NewTopic(name, 2, 1, config={"retention.ms": "123456"})])[name].result(TIMEOUT_SECONDS)
        with pytest.raises(KafkaException) as exists:
            admin.create_topics([NewTopic(name, 2, 1)])[name].result(TIMEOUT_SECONDS)
        assert exists.value.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS
        described = admin.describe_topics(TopicCollection([name]))[name].result(TIMEOUT_SECONDS)
        assert [partition.id for partition in described.partitions] == [0, 1]
        assert described.partitions[0].leader is not None
        admin.create_partitions([NewPartitions(name, 5)])[name].result(TIMEOUT_SECONDS)
        # A broker hears of the controller's decision a moment after the client does.
        eventually(lambda: len(admin.list_topics(name, timeout=TIMEOUT_SECONDS).topics[name].partitions) == 5)
        admin.delete_topics([name])[name].result(TIMEOUT_SECONDS)
        eventually(lambda: describe_error(admin, name) == KafkaError.UNKNOWN_TOPIC_OR_PART)

    @pytest.mark.parametrize(
        ("name", "partitions", "replication", "config", "code"),
        [
            ("bad name", 1, 1, {}, KafkaError.TOPIC_EXCEPTION),
            ("zero", 0, 1, {}, KafkaError.INVALID_PARTITIONS),
            ("many-replicas", 1, 9, {}, KafkaError.INVALID_REPLICATION_FACTOR),
            ("bad-config", 1, 1, {"no.such.config": "1"}, KafkaError.INVALID_CONFIG),
            ("bad-value", 1, 1, {"retention.ms": "soon"}, KafkaError.INVALID_CONFIG),
        ],
    )
    def test_a_bad_topic_is_refused(
        self, target: Target, name: str, partitions: int, replication: int, config: dict[str, str], code: int
    ) -> None:
        admin = AdminClient({"bootstrap.servers": target.bootstrap_servers})
        with pytest.raises(KafkaException) as refused:
            admin.create_topics([NewTopic(name, partitions, replication, config=config)])[name].result(TIMEOUT_SECONDS)
        assert refused.value.args[0].code() == code

    def test_topic_configs_are_shown_and_changed(self, target: Target, make_topic: MakeTopic) -> None:
        admin = AdminClient({"bootstrap.servers": target.bootstrap_servers})
        resource = ConfigResource(ResourceType.TOPIC, make_topic(retention_ms="1000000"))
        shown = next(iter(admin.describe_configs([resource]).values())).result(TIMEOUT_SECONDS)
        assert shown["retention.ms"].value == "1000000"
        assert not shown["retention.ms"].is_default
        assert shown["segment.bytes"].value == "1073741824"
        assert shown["segment.bytes"].is_default
        entry = ConfigEntry("retention.ms", "2000000", incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, resource.name, incremental_configs=[entry])
        next(iter(admin.incremental_alter_configs([resource]).values())).result(TIMEOUT_SECONDS)
        eventually(lambda: shown_config(admin, resource, "retention.ms") == "2000000")

    def test_groups_are_listed_described_reset_and_deleted(self, target: Target, make_topic: MakeTopic) -> None:
        topic, group = make_topic(), target.fresh("group")
        send(target, topic, [b"x"] * 5)
        admin = AdminClient({"bootstrap.servers": target.bootstrap_servers})
        member = Member(target, group, topic, **{"client.id": "the-client"})
        poll_until([member], lambda: len(member.values) == 5)
        member.consumer.commit(asynchronous=False)
        described = admin.describe_consumer_groups([group])[group].result(TIMEOUT_SECONDS)
        assert described.state.name == "STABLE"
        assert [item.client_id for item in described.members] == ["the-client"]
        assert [(p.topic, p.partition) for p in described.members[0].assignment.topic_partitions] == [(topic, 0)]
        with pytest.raises(KafkaException) as not_empty:
            admin.delete_consumer_groups([group])[group].result(TIMEOUT_SECONDS)
        assert not_empty.value.args[0].code() == KafkaError.NON_EMPTY_GROUP
        member.consumer.close()
        listed = {item.group_id for item in admin.list_consumer_groups().result(TIMEOUT_SECONDS).valid}
        assert group in listed
        wanted = [ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 2)])]
        admin.alter_consumer_group_offsets(wanted)[group].result(TIMEOUT_SECONDS)
        offsets = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(TIMEOUT_SECONDS)
        assert [(item.topic, item.partition, item.offset) for item in offsets.topic_partitions] == [(topic, 0, 2)]
        admin.delete_consumer_groups([group])[group].result(TIMEOUT_SECONDS)
        listed = {item.group_id for item in admin.list_consumer_groups().result(TIMEOUT_SECONDS).valid}
        assert group not in listed

    def test_the_cluster_and_its_offsets(self, target: Target, make_topic: MakeTopic) -> None:
        admin = AdminClient({"bootstrap.servers": target.bootstrap_servers})
        cluster = admin.describe_cluster().result(TIMEOUT_SECONDS)
        assert len(cluster.nodes) == 1
        assert cluster.controller is not None
        topic = make_topic()
        send(target, topic, [b"x"] * 7)
        partition = TopicPartition(topic, 0)
        for spec, expected in ((OffsetSpec.earliest(), 0), (OffsetSpec.latest(), 7)):
            assert admin.list_offsets({partition: spec})[partition].result(TIMEOUT_SECONDS).offset == expected
