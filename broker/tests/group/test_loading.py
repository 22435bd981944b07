"""A coordinator that takes over: it loads step by step, answers nobody before it knows everything, and tries again."""

from collections.abc import Callable, Iterator

import pytest
from broker.clock.randomness import Randomness
from broker.clock.simulated import SimulatedClock
from broker.config import BrokerConfig
from broker.config.sources import SHIPPED
from broker.group.manager import LOAD_RETRY_MS, GroupManager
from broker.group.ports import KeyValue
from broker.group.records import offset_record
from broker.group.shard import RECORDS_PER_STEP
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.group_records import OffsetCommitValue
from broker.protocol.messages.offset_fetch import (
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
    OffsetFetchResponseGroup,
)
from broker.record.records import Record

from .offsets_log import MemoryOffsetsLog


def commit(partition: int, offset: int) -> KeyValue:
    return offset_record("g", "t", partition, OffsetCommitValue(offset=offset, commit_timestamp=0))


class SlowLog(MemoryOffsetsLog):
    """`failures` is how often reading fails, `waiting` who waits for what it has to be committed."""

    failures = 0

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Callable[[], None]] = []
        self.read = 0

    def read_all(self, partition: int) -> Iterator[Record]:
        for record in super().read_all(partition):
            if self.failures:
                self.failures -= 1
                raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "there is no room for it")
            self.read += 1
            yield record

    def when_committed(self, partition: int, done: Callable[[], None]) -> None:
        self.waiting.append(done)


class World:
    """A partition of `__consumer_offsets` with so many commits of the group `g`."""

    def __init__(self, records: int = 1) -> None:
        self.clock = SimulatedClock()
        self.log = SlowLog()
        self.log.partitions[0] = [commit(number % 7, number) for number in range(records)]
        self.manager = GroupManager(self.clock, Randomness(1), BrokerConfig(SHIPPED), self.log)

    def elect(self) -> None:
        self.manager.on_elected(0)

    def run(self, milliseconds: int = 0) -> None:
        self.clock.run_until(self.clock.now_ms + milliseconds)

    def commit(self) -> None:
        waiting, self.log.waiting = self.log.waiting, []
        for done in waiting:
            done()

    def fetch(self) -> OffsetFetchResponseGroup:
        topics = [OffsetFetchRequestTopics(name="t", partition_indexes=[0])]
        return self.manager.offset_fetch(OffsetFetchRequestGroup(group_id="g", topics=topics))

    @property
    def answer(self) -> ErrorCode:
        return ErrorCode(self.fetch().error_code)


def test_nobody_is_answered_before_everything_is_known() -> None:
    world = World(3 * RECORDS_PER_STEP + 5)
    world.elect()
    assert world.answer is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    assert world.log.read == RECORDS_PER_STEP, "others have their turn"
    world.run()
    assert world.log.read == 3 * RECORDS_PER_STEP + 5
    assert world.answer is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, "a failover could still take back what was read"
    world.commit()
    (topic,) = world.fetch().topics
    assert topic.partitions[0].committed_offset == (3 * RECORDS_PER_STEP + 4) // 7 * 7


@pytest.mark.parametrize("when", ["while it reads", "while it waits"])
def test_another_one_takes_over_meanwhile(when: str) -> None:
    world = World(2 * RECORDS_PER_STEP)
    world.elect()
    if when == "while it waits":
        world.run()
    world.manager.on_resigned(0)
    world.run()
    world.commit()
    assert world.answer is ErrorCode.NOT_COORDINATOR


def test_an_election_while_it_loads_begins_anew() -> None:
    world = World()
    world.elect()
    old = world.log.waiting
    world.log.waiting = []
    world.log.partitions[0] += [commit(0, 55)]
    world.elect()
    for done in old:
        done()
    assert world.answer is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    world.commit()
    assert world.fetch().topics[0].partitions[0].committed_offset == 55


def test_what_cannot_be_read_is_read_later() -> None:
    """A disk without room has no partition yet."""
    world = World()
    world.log.failures = 2
    world.elect()
    assert world.answer is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    world.run(LOAD_RETRY_MS)
    assert world.log.waiting == []
    world.run(LOAD_RETRY_MS)
    world.commit()
    assert world.answer is ErrorCode.NONE


def test_what_cannot_be_read_is_another_ones_by_now() -> None:
    world = World()
    world.log.failures = 1
    world.elect()
    world.manager.on_resigned(0)
    world.run(10 * LOAD_RETRY_MS)
    assert (world.log.waiting, world.answer) == ([], ErrorCode.NOT_COORDINATOR)
