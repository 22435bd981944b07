"""Groups of aiokafka, which speaks the encodings of old (JoinGroup 5, OffsetFetch 3), against both brokers."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.structs import OffsetAndMetadata

from .conftest import SESSION_TIMEOUT_MS, Target

TIMEOUT_SECONDS = 60
MakeTopic = Callable[..., str]


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(scenario(), TIMEOUT_SECONDS)

    asyncio.run(bounded())


def consumer(target: Target, group: str, *topics: str, **config: object) -> AIOKafkaConsumer:
    settings: dict[str, object] = {
        "bootstrap_servers": target.bootstrap_servers,
        "group_id": group,
        "auto_offset_reset": "earliest",
        "enable_auto_commit": False,
        "session_timeout_ms": SESSION_TIMEOUT_MS,
        "heartbeat_interval_ms": 200,
        "metadata_max_age_ms": 1000,
    }
    return AIOKafkaConsumer(*topics, **{**settings, **config})


async def eventually(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.05)


class Rebalances(ConsumerRebalanceListener):
    """How often a member was asked to give up, and what it was given."""

    def __init__(self) -> None:
        self.revoked = 0
        self.assigned: list[set[int]] = []

    def on_partitions_revoked(self, revoked: list[TopicPartition]) -> None:
        self.revoked += 1

    def on_partitions_assigned(self, assigned: list[TopicPartition]) -> None:
        self.assigned.append({one.partition for one in assigned})


@pytest.mark.parametrize("assignor", [RangePartitionAssignor, RoundRobinPartitionAssignor], ids=lambda one: one.name)
def test_members_come_and_go(target: Target, make_topic: MakeTopic, assignor: type) -> None:
    topic, group = make_topic(4), target.fresh("group")

    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            first = await stack.enter_async_context(consumer(target, group, topic, partition_assignment_strategy=[assignor]))
            await eventually(lambda: len(first.assignment()) == 4)
            second = consumer(target, group, topic, partition_assignment_strategy=[assignor])
            await second.start()
            await eventually(lambda: len(first.assignment()) == len(second.assignment()) == 2)
            assert first.assignment() | second.assignment() == {TopicPartition(topic, index) for index in range(4)}
            await second.stop()
            await eventually(lambda: len(first.assignment()) == 4)

    run(scenario)


def test_a_static_member_comes_again_in_its_place(target: Target, make_topic: MakeTopic) -> None:
    topic, group = make_topic(2), target.fresh("group")

    async def scenario() -> None:
        heard = Rebalances()
        first = consumer(target, group, group_instance_id="one")
        first.subscribe([topic], listener=heard)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(first)
            second = consumer(target, group, topic, group_instance_id="two")
            await second.start()
            await eventually(lambda: len(first.assignment()) == len(second.assignment()) == 1)
            # The listener hears of it a moment later.
            await eventually(lambda: heard.assigned[-1:] == [{one.partition for one in first.assignment()}])
            held, given = second.assignment(), len(heard.assigned)
            await second.stop()
            again = await stack.enter_async_context(consumer(target, group, topic, group_instance_id="two"))
            await eventually(lambda: again.assignment() == held)
            await asyncio.sleep(0.5)
            assert len(heard.assigned) == given

    run(scenario)


def test_commits_and_positions(target: Target, make_topic: MakeTopic) -> None:
    topic, group = make_topic(), target.fresh("group")
    partition = TopicPartition(topic, 0)

    async def scenario() -> None:
        async with AIOKafkaProducer(bootstrap_servers=target.bootstrap_servers) as producer:
            for number in range(10):
                await producer.send_and_wait(topic, b"%d" % number)
        async with consumer(target, group, topic) as member:
            assert [(await member.getone()).value for _ in range(3)] == [b"0", b"1", b"2"]
            assert await member.committed(partition) is None
            await member.commit({partition: OffsetAndMetadata(2, "a note 글")})
            assert await member.committed(partition) == 2
            await member.commit()
            assert await member.committed(partition) == 3
            member.seek(partition, 8)
            assert (await member.getone()).value == b"8"
            await member.seek_to_beginning(partition)
            assert await member.position(partition) == 0
            await member.seek_to_end(partition)
            assert await member.position(partition) == 10
            await member.seek_to_committed(partition)
            assert await member.position(partition) == 3
            # An offset that is not there: where the group's reset says.
            member.seek(partition, 1000)
            assert (await member.getone()).value == b"0"
            # Times: the first record that is not older.
            times = await member.offsets_for_times({partition: 0})
            assert times[partition].offset == 0
        async with consumer(target, group, topic) as member:
            assert (await member.getone()).value == b"3"

    run(scenario)


def test_administration_of_groups(target: Target, make_topic: MakeTopic) -> None:
    topic, group = make_topic(), target.fresh("group")

    async def scenario() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=target.bootstrap_servers)
        await admin.start()
        async with consumer(target, group, topic, client_id="its-client") as member:
            await eventually(lambda: len(member.assignment()) == 1)
            await member.commit({TopicPartition(topic, 0): OffsetAndMetadata(0, "")})
            assert (group, "consumer") in [(name, kind) for name, kind, *_ in await admin.list_consumer_groups()]
            (response,) = await admin.describe_consumer_groups([group])
            (described,) = response.groups
            assert (described[1], described[2], described[3]) == (group, "Stable", "consumer")
            assert [found[1:3] for found in described[5]] == [("its-client", "/127.0.0.1")]
        assert await admin.list_consumer_group_offsets(group) == {TopicPartition(topic, 0): OffsetAndMetadata(0, "")}
        await admin.close()

    run(scenario)
