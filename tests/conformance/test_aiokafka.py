"""Unmodified aiokafka, which speaks the old encodings only, against our broker and against Apache Kafka."""

import asyncio
from collections.abc import Callable

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from .conftest import SESSION_TIMEOUT_MS, Target

TIMEOUT_SECONDS = 30
MakeTopic = Callable[..., str]


@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("idempotent", [False, True])
def test_produce_and_consume(target: Target, make_topic: MakeTopic, codec: str | None, idempotent: bool) -> None:
    topic = make_topic()

    async def scenario() -> None:
        values = [f"값 {number} ".encode() * 10 for number in range(200)]
        async with AIOKafkaProducer(
            bootstrap_servers=target.bootstrap_servers, compression_type=codec, enable_idempotence=idempotent, acks="all"
        ) as producer:
            sent = [await producer.send(topic, value) for value in values]
            offsets = [(await future).offset for future in sent]
        assert offsets == list(range(200))
        consumer = AIOKafkaConsumer(bootstrap_servers=target.bootstrap_servers, auto_offset_reset="earliest")
        await consumer.start()
        consumer.assign([TopicPartition(topic, 0)])
        got = [(await consumer.getone()).value for _ in values]
        await consumer.stop()
        assert got == values

    asyncio.run(asyncio.wait_for(scenario(), TIMEOUT_SECONDS))


def test_a_group_commits_and_goes_on(target: Target, make_topic: MakeTopic) -> None:
    topic, group = make_topic(2), target.fresh("aio-group")

    async def consumer() -> AIOKafkaConsumer:
        made = AIOKafkaConsumer(
            topic,
            bootstrap_servers=target.bootstrap_servers,
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=300,
        )
        await made.start()
        return made

    async def scenario() -> None:
        async with AIOKafkaProducer(bootstrap_servers=target.bootstrap_servers) as producer:
            for number in range(10):
                await producer.send_and_wait(topic, b"%d" % number, partition=number % 2)
        first = await consumer()
        got = [await first.getone() for _ in range(10)]
        await first.commit()
        second = await consumer()
        while len(first.assignment()) != 1 or len(second.assignment()) != 1:
            await asyncio.sleep(0.05)
        assert first.assignment() | second.assignment() == {TopicPartition(topic, 0), TopicPartition(topic, 1)}
        positions = {partition: await first.committed(partition) for partition in first.assignment() | second.assignment()}
        await first.stop()
        await second.stop()
        assert {record.value for record in got} == {b"%d" % number for number in range(10)}
        assert set(positions.values()) == {5}

    asyncio.run(asyncio.wait_for(scenario(), TIMEOUT_SECONDS))


def test_admin(target: Target) -> None:
    name = target.fresh("aio-admin")

    async def scenario() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=target.bootstrap_servers)
        await admin.start()
        await admin.create_topics([NewTopic(name=name, num_partitions=3, replication_factor=1)])
        while name not in await admin.list_topics():
            await asyncio.sleep(0.05)  # Apache Kafka answers when it is agreed on, and brokers hear of that later.
        described = await admin.describe_topics([name])
        assert len(described[0]["partitions"]) == 3
        await admin.delete_topics([name])
        await admin.close()

    asyncio.run(asyncio.wait_for(scenario(), TIMEOUT_SECONDS))
