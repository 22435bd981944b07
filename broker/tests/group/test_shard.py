"""One partition of `__consumer_offsets`: what the log says is what is in memory."""

import logging

import pytest
from broker.group.classic_group import GroupState
from broker.group.records import group_record, offset_record
from broker.group.shard import APPEND_ERRORS, PART_BYTES, Shard
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.group_records import GroupMetadataValue, MemberMetadata, OffsetCommitValue

from .offsets_log import MemoryOffsetsLog


def offset(group: str, number: int | None, topic: str = "t", partition: int = 0) -> tuple[bytes, bytes | None]:
    value = None if number is None else OffsetCommitValue(offset=number, commit_timestamp=1)
    return offset_record(group, topic, partition, value)


def generation(group: str, number: int, *members: str) -> tuple[bytes, bytes | None]:
    value = GroupMetadataValue(
        protocol_type="consumer",
        generation=number,
        protocol="range" if members else None,
        leader=members[0] if members else None,
        members=[MemberMetadata(member_id=name, subscription=b"\0\0\0\0\0\0") for name in members],
    )
    return group_record(group, value)


def loaded(*records: tuple[bytes, bytes | None]) -> Shard:
    shard = Shard(0, MemoryOffsetsLog({0: list(records)}))
    list(shard.load())
    return shard


def test_the_last_record_of_a_key_counts() -> None:
    shard = loaded(
        generation("g", 1, "a", "b"),
        offset("g", 5),
        offset("g", 6, partition=1),
        generation("g", 2, "b"),
        offset("g", 7),
        offset("g", None, partition=1),
    )
    group = shard.groups["g"]
    assert (group.state, group.generation, list(group.members), group.leader_id) == (GroupState.STABLE, 2, ["b"], "b")
    assert {key: value.offset for key, value in shard.offsets["g"].items()} == {("t", 0): 7}


def test_tombstones_leave_nothing() -> None:
    shard = loaded(
        generation("g", 1, "a"),
        offset("g", 5),
        offset("simple", 1),
        offset("g", None),
        group_record("g", None),
        offset("simple", None),
        offset("never", None),
        group_record("never", None),
    )
    assert (shard.groups, shard.offsets) == ({}, {})


def test_offsets_without_a_group_make_a_simple_one() -> None:
    shard = loaded(offset("simple", 1))
    assert (shard.groups["simple"].state, shard.groups["simple"].protocol_type) == (GroupState.EMPTY, None)


def test_records_that_cannot_be_read_are_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    key, value = generation("g", 1, "a")
    assert value is not None
    with caplog.at_level(logging.WARNING, "broker.group"):
        shard = loaded((key, value[:10]), (b"\0\5later", b"x"), offset("h", 3))
    assert list(shard.groups) == ["h"]
    assert "record 0 of __consumer_offsets-0 is passed over" in caplog.text


def test_what_is_written_holds_when_it_is_committed() -> None:
    log = MemoryOffsetsLog(hold=True)
    shard = Shard(0, log)
    codes: list[ErrorCode] = []
    shard.group("g", create=True)
    shard.write([offset("g", 5)], codes.append)
    assert (codes, shard.offsets) == ([], {})
    log.release()
    assert codes == [ErrorCode.NONE]
    assert shard.offsets["g"]["t", 0].offset == 5


@pytest.mark.parametrize("code", [*APPEND_ERRORS, ErrorCode.INVALID_RECORD], ids=lambda code: code.name)
def test_what_could_not_be_written_changes_nothing(code: ErrorCode) -> None:
    shard = Shard(0, MemoryOffsetsLog(refuse=code))
    codes: list[ErrorCode] = []
    shard.write([offset("g", 5)], codes.append)
    assert codes == [APPEND_ERRORS.get(code, code)]
    assert shard.offsets == {}


def test_nothing_is_written_for_nothing() -> None:
    log = MemoryOffsetsLog()
    codes: list[ErrorCode] = []
    Shard(0, log).write([], codes.append)
    assert (codes, log.batches) == ([ErrorCode.NONE], [])


def test_a_group_is_dead_when_its_tombstone_is_committed() -> None:
    shard = Shard(0, MemoryOffsetsLog())
    group = shard.group("g", create=True)
    assert group is shard.group("g")
    assert group is not None
    shard.write([group_record("g", None)], lambda _: None)
    assert group.state is GroupState.DEAD
    assert shard.group("g") is None


def test_much_that_is_cleared_up_goes_in_parts() -> None:
    log = MemoryOffsetsLog()
    shard = Shard(0, log)
    records = [offset("g" * 200, 1, topic="t" * 249, partition=number) for number in range(3000)]
    shard.write_in_parts(records)
    sizes = [sum(len(key) + len(value or b"") for key, value in batch) for batch in log.batches]
    assert [record for batch in log.batches for record in batch] == records
    assert len(sizes) == 3
    assert max(sizes) < PART_BYTES + 1000


def test_clearing_up_ends_at_the_first_error(caplog: pytest.LogCaptureFixture) -> None:
    log = MemoryOffsetsLog(refuse=ErrorCode.KAFKA_STORAGE_ERROR)
    shard = Shard(0, log)
    with caplog.at_level(logging.WARNING, "broker.group"):
        shard.write_in_parts([offset("g" * 200, 1, topic="t" * 249, partition=number) for number in range(3000)])
    assert log.batches == []
    assert "__consumer_offsets-0 cannot be cleared up now: NOT_COORDINATOR" in caplog.text
