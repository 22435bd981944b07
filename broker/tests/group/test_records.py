"""Records of `__consumer_offsets`: the same bytes as Kafka's own serializer makes, and back.

The bytes are those of ``GroupCoordinatorRecordHelpers``'s messages in group-coordinator-4.3.1.jar.
"""

from uuid import UUID

import pytest
from broker.group.records import GroupRecord, OffsetRecord, decode, group_record, offset_record
from broker.protocol.codec import MalformedMessage
from broker.protocol.messages.group_records import GroupMetadataValue, MemberMetadata, OffsetCommitValue

GROUP = "읽기-group"
OFFSET_KEY = "0001000cec9dbdeab8b02d67726f7570000d61727469636c652d746f70696300000002"
OFFSET_VALUE = "0004000000000000002a0000000707eba994ebaaa80000018bcfe5687b0100100123456789abcdef0fedcba987654321"
OFFSET_VALUE_PLAIN = "0004000000000000002affffffff010000018bcfe5687b00"
OFFSET_VALUE_EXPIRING = "0001000000000000002a00016d0000018bcfe5687b0000018bcfe652db"
GROUP_KEY = "0002000cec9dbdeab8b02d67726f7570"
GROUP_VALUE = (
    "00030008636f6e73756d657200000005000572616e6765000f636f6e73756d65722d312d757569640000018bcfe5687b00000002000f636f6e7375"
    "6d65722d312d7575696400026931000a636f6e73756d65722d31000a2f3132372e302e302e31000493e00000afc800000003000102000000020304"
    "000f636f6e73756d65722d322d75756964ffff000000042f3a3a310000ea6000001770000000010500000000"
)
GROUP_VALUE_EMPTY = "00030008636f6e73756d657200000006ffffffff0000018bcfe5687b00000000"
WRITTEN_MS = 1_700_000_000_123

TOPIC_ID = UUID("01234567-89ab-cdef-0fed-cba987654321")
PLAIN = OffsetCommitValue(offset=42, commit_timestamp=WRITTEN_MS)
WITH_ALL = OffsetCommitValue(offset=42, leader_epoch=7, metadata="메모", commit_timestamp=WRITTEN_MS, topic_id=TOPIC_ID)
EXPIRING = OffsetCommitValue(offset=42, metadata="m", commit_timestamp=WRITTEN_MS, expire_timestamp=WRITTEN_MS + 60_000)
STABLE = GroupMetadataValue(
    protocol_type="consumer",
    generation=5,
    protocol="range",
    leader="consumer-1-uuid",
    current_state_timestamp=WRITTEN_MS,
    members=[
        MemberMetadata(
            member_id="consumer-1-uuid",
            group_instance_id="i1",
            client_id="consumer-1",
            client_host="/127.0.0.1",
            rebalance_timeout=300_000,
            session_timeout=45_000,
            subscription=b"\0\1\2",
            assignment=b"\3\4",
        ),
        MemberMetadata(
            member_id="consumer-2-uuid",
            client_id="",
            client_host="/::1",
            rebalance_timeout=60_000,
            session_timeout=6000,
            subscription=b"\5",
        ),
    ],
)
EMPTY = GroupMetadataValue(protocol_type="consumer", generation=6, protocol=None, leader=None, current_state_timestamp=WRITTEN_MS)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(PLAIN, OFFSET_VALUE_PLAIN), (WITH_ALL, OFFSET_VALUE), (EXPIRING, OFFSET_VALUE_EXPIRING), (None, None)],
)
def test_an_offset_is_written_as_kafka_writes_it(value: OffsetCommitValue | None, expected: str | None) -> None:
    key, written = offset_record(GROUP, "article-topic", 2, value)
    assert key.hex() == OFFSET_KEY
    assert (None if written is None else written.hex()) == expected
    assert decode(key, written) == OffsetRecord(GROUP, "article-topic", 2, value)


@pytest.mark.parametrize(("value", "expected"), [(STABLE, GROUP_VALUE), (EMPTY, GROUP_VALUE_EMPTY), (None, None)])
def test_a_group_is_written_as_kafka_writes_it(value: GroupMetadataValue | None, expected: str | None) -> None:
    key, written = group_record(GROUP, value)
    assert key.hex() == GROUP_KEY
    assert (None if written is None else written.hex()) == expected
    assert decode(key, written) == GroupRecord(GROUP, value)


def test_the_key_of_old_is_read_as_well() -> None:
    key, value = offset_record(GROUP, "t", 0, PLAIN)
    assert decode(b"\0\0" + key[2:], value) == OffsetRecord(GROUP, "t", 0, PLAIN)


@pytest.mark.parametrize("kind", [3, 8, 15, 23])
def test_kinds_of_later_releases_are_passed_over(kind: int) -> None:
    assert decode(kind.to_bytes(2, "big") + b"whatever", b"value") is None


@pytest.mark.parametrize("key", [b"", b"\0", b"\xff\xff"])
def test_a_key_without_a_kind_is_none(key: bytes) -> None:
    assert decode(key, b"") is None


@pytest.mark.parametrize("cut", [3, 10, 16])
def test_damaged_bytes_are_refused(cut: int) -> None:
    key, value = group_record(GROUP, STABLE)
    assert value is not None
    with pytest.raises(MalformedMessage):
        decode(key[:-1], value)
    with pytest.raises(MalformedMessage):
        decode(key, value[:cut])


def test_a_value_of_an_unknown_version_is_refused() -> None:
    key, value = offset_record(GROUP, "t", 0, PLAIN)
    assert value is not None
    with pytest.raises(MalformedMessage):
        decode(key, b"\x00\x63" + value[2:])
