"""Offsets of groups: what one request writes, what is found again, and when it is too old (KIP-211)."""

import uuid
from typing import Any

import pytest
from broker.clock.randomness import Randomness
from broker.clock.simulated import SimulatedClock
from broker.config import BrokerConfig
from broker.group.classic_group import ClassicGroup, GroupState
from broker.group.membership import Membership
from broker.group.offsets import Offsets
from broker.group.records import OffsetRecord, decode
from broker.group.shard import Shard
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.group_records import OffsetCommitValue
from broker.protocol.messages.offset_commit import OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic
from broker.protocol.messages.offset_fetch import OffsetFetchRequestGroup, OffsetFetchRequestTopics

from .offsets_log import MemoryOffsetsLog
from .stage import SETTINGS

MINUTE_MS = 60_000
RETENTION_MINUTES = 60
FIRST, SECOND = uuid.UUID(int=1), uuid.UUID(int=2)


class Fixture:
    """The offsets of one shard on a virtual clock."""

    def __init__(self) -> None:
        config = BrokerConfig(SETTINGS | {"offsets.retention.minutes": str(RETENTION_MINUTES)})
        self.clock = SimulatedClock()
        self.log = MemoryOffsetsLog()
        self.shard = Shard(0, self.log)
        membership = Membership(self.shard, self.clock, Randomness(1), config)
        self.offsets = Offsets(self.shard, membership, self.clock, config)

    def commit(self, *partitions: OffsetCommitRequestPartition, topic_id: uuid.UUID = FIRST, **options: Any) -> list[ErrorCode]:
        answers: list[Any] = []
        topics = [OffsetCommitRequestTopic(name="t", topic_id=topic_id, partitions=list(partitions))]
        request = OffsetCommitRequest(**{"group_id": "g", "topics": topics, **options})
        self.offsets.commit(request, 9, answers.append)
        return [ErrorCode(one.error_code) for topic in answers[0].topics for one in topic.partitions]

    def fetched(self, topic_id: uuid.UUID, index: int = 0) -> Any:
        topics = [OffsetFetchRequestTopics(name="t", topic_id=topic_id, partition_indexes=[index])]
        return self.offsets.fetch(OffsetFetchRequestGroup(group_id="g", topics=topics)).topics[0].partitions[0]


def partition(index: int, offset: int, *, epoch: int = -1, metadata: str | None = None) -> OffsetCommitRequestPartition:
    return OffsetCommitRequestPartition(
        partition_index=index, committed_offset=offset, committed_leader_epoch=epoch, committed_metadata=metadata
    )


def test_one_request_is_one_batch_with_everything_in_it() -> None:
    fixture = Fixture()
    codes = fixture.commit(partition(0, 5, epoch=3, metadata="note"), partition(1, 6, metadata="x" * 5000), partition(2, 7))
    assert [code.name for code in codes] == ["NONE", "OFFSET_METADATA_TOO_LARGE", "NONE"]
    (batch,) = fixture.log.batches
    now = fixture.clock.wall_ms()
    assert [decode(key, value) for key, value in batch] == [
        OffsetRecord(
            "g", "t", 0, OffsetCommitValue(offset=5, leader_epoch=3, metadata="note", commit_timestamp=now, topic_id=FIRST)
        ),
        OffsetRecord("g", "t", 2, OffsetCommitValue(offset=7, commit_timestamp=now, topic_id=FIRST)),
    ]
    found = fixture.fetched(FIRST)
    assert (found.committed_offset, found.committed_leader_epoch, found.metadata) == (5, 3, "note")


def test_a_request_of_refusals_writes_nothing() -> None:
    fixture = Fixture()
    fixture.commit(partition(0, 5, metadata="x" * 5000))
    assert fixture.log.batches == []


def test_an_offset_belongs_to_the_topic_it_was_committed_for() -> None:
    fixture = Fixture()
    fixture.commit(partition(0, 5))
    none = uuid.UUID(int=0)
    assert [fixture.fetched(topic_id).committed_offset for topic_id in (FIRST, SECOND, none)] == [5, -1, 5]
    # Who committed before there were ids says nothing about it.
    fixture.commit(partition(1, 6), topic_id=none)
    assert [fixture.fetched(topic_id, 1).committed_offset for topic_id in (FIRST, none)] == [6, 6]


def test_tombstones_take_everything_along() -> None:
    fixture = Fixture()
    fixture.commit(partition(1, 6), partition(0, 5))
    records = [decode(key, value) for key, value in fixture.offsets.tombstones("g")]
    assert records[:2] == [OffsetRecord("g", "t", 0, None), OffsetRecord("g", "t", 1, None)]
    assert len(records) == 3


@pytest.mark.parametrize("subscribed", [True, False])
@pytest.mark.parametrize("state", list(GroupState), ids=lambda state: state.value)
@pytest.mark.parametrize("kind", ["consumer", "connect", None], ids=str)
def test_from_when_the_retention_counts(kind: str | None, state: GroupState, subscribed: bool) -> None:
    """By state, as ``ClassicGroup.offsetExpirationCondition`` has it; committed an hour ago, empty for half an hour."""
    fixture = Fixture()
    now = fixture.clock.wall_ms()
    topics = frozenset({"t"} if subscribed else {"u"}) if kind == "consumer" else None
    group = ClassicGroup("g", protocol_type=kind, state=state, state_since_ms=now - 30 * MINUTE_MS, subscribed_topics=topics)
    if state is GroupState.EMPTY and kind == "consumer":
        group.subscribed_topics = frozenset()
    committed = now - 60 * MINUTE_MS
    fixture.shard.groups["g"] = group
    fixture.shard.offsets["g"] = {("t", 0): OffsetCommitValue(offset=1, commit_timestamp=committed)}
    fixture.offsets.expire()
    gone = "g" not in fixture.shard.offsets
    if kind is None:
        assert gone
    elif state is GroupState.STABLE:
        assert gone == (kind == "consumer" and not subscribed)
    else:
        # An empty group has been so for too short a time, and one in a rebalance is left alone.
        assert not gone


@pytest.mark.parametrize(("minutes", "kept"), [(59, True), (60, False)])
def test_an_empty_group_goes_with_its_last_offset(minutes: int, kept: bool) -> None:
    fixture = Fixture()
    fixture.commit(partition(0, 5))
    fixture.clock.run_until(minutes * MINUTE_MS)
    fixture.offsets.expire()
    assert ("g" in fixture.shard.groups) == ("g" in fixture.shard.offsets) == kept


def test_a_group_that_lost_its_time_counts_from_the_commit() -> None:
    """Values of versions 0 and 1 have no time of the state."""
    fixture = Fixture()
    now = fixture.clock.wall_ms()
    fixture.shard.groups["g"] = ClassicGroup("g", protocol_type="consumer", subscribed_topics=frozenset())
    fixture.shard.offsets["g"] = {
        ("t", 0): OffsetCommitValue(offset=1, commit_timestamp=now - 60 * MINUTE_MS),
        ("t", 1): OffsetCommitValue(offset=1, commit_timestamp=now),
    }
    fixture.offsets.expire()
    assert list(fixture.shard.offsets["g"]) == [("t", 1)]
    assert "g" in fixture.shard.groups


def test_an_offset_with_an_end_of_its_own() -> None:
    fixture = Fixture()
    assert fixture.commit(partition(0, 5), retention_time_ms=1000) == [ErrorCode.NONE]
    fixture.clock.run_until(999)
    fixture.offsets.expire()
    assert fixture.fetched(FIRST).committed_offset == 5
    fixture.clock.run_until(1000)
    fixture.offsets.expire()
    assert fixture.fetched(FIRST).committed_offset == -1
