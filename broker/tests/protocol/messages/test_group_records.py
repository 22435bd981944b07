"""Records of `__consumer_offsets` as Apache Kafka 4.3.1 wrote them: read to these values, and written to the same bytes.

A key begins with its number, a value with its version, both of two bytes.
"""

from uuid import UUID

import pytest
from broker.protocol.codec import decode
from broker.protocol.messages.group_records import (
    GroupMetadataKey,
    GroupMetadataValue,
    MemberMetadata,
    OffsetCommitKey,
    OffsetCommitValue,
)
from sample_messages import body_bytes

MEMBER = "cid-527d6b3a-f52d-41b4-aa3f-f7eb61a04a33"
STABLE = (
    "00030008636f6e73756d657200000001000572616e676500286369642d35323764366233612d663532642d343162342d616133662d663765623631"
    "613034613333000001a20bc473fb0000000100286369642d35323764366233612d663532642d343162342d616133662d663765623631613034613333"
    "ffff0003636964000a2f3132372e302e302e31000493e00000afc80000001b0003000000010005616c7068610000000000000000ffffffff000000"
    "0000210000000000010005616c7068610000000300000000000000010000000200000000"
)


def test_the_keys() -> None:
    group = bytes.fromhex("000200026731")
    assert int.from_bytes(group[:2], "big") == GroupMetadataKey.API_KEY
    assert decode(GroupMetadataKey, 0, group, 2) == GroupMetadataKey(group="g1")
    offset = bytes.fromhex("0001000267310005616c70686100000001")
    assert int.from_bytes(offset[:2], "big") == OffsetCommitKey.API_KEY
    key = OffsetCommitKey(group="g1", topic="alpha", partition=1)
    assert decode(OffsetCommitKey, 0, offset, 2) == key
    assert body_bytes(key, 0) == offset[2:]


def test_a_committed_offset() -> None:
    data = bytes.fromhex("000400000000000000640000000001000001a20bc474af01001056abb48f22554b65bac56ce5e42cb961")
    value = OffsetCommitValue(
        offset=100,
        leader_epoch=0,
        commit_timestamp=0x1A20BC474AF,
        topic_id=UUID("56abb48f-2255-4b65-bac5-6ce5e42cb961"),
    )
    assert decode(OffsetCommitValue, 4, data, 2) == value
    assert body_bytes(value, 4) == data[2:]


def test_an_empty_group() -> None:
    data = bytes.fromhex("00030008636f6e73756d657200000002ffffffff000001a20bc474c600000000")
    value = GroupMetadataValue(
        protocol_type="consumer", generation=2, protocol=None, leader=None, current_state_timestamp=0x1A20BC474C6
    )
    assert decode(GroupMetadataValue, 3, data, 2) == value
    assert body_bytes(value, 3) == data[2:]


def test_a_group_with_a_member() -> None:
    data = bytes.fromhex(STABLE)
    value = decode(GroupMetadataValue, 3, data, 2)
    assert (value.protocol_type, value.generation, value.protocol, value.leader) == ("consumer", 1, "range", MEMBER)
    (member,) = value.members
    assert member == MemberMetadata(
        member_id=MEMBER,
        group_instance_id=None,
        client_id="cid",
        client_host="/127.0.0.1",
        rebalance_timeout=300_000,
        session_timeout=45_000,
        subscription=member.subscription,
        assignment=member.assignment,
    )
    assert member.subscription.startswith(b"\x00\x03\x00\x00\x00\x01\x00\x05alpha")
    assert member.assignment.endswith(bytes.fromhex("00000003000000000000000100000002") + bytes(4))
    assert body_bytes(value, 3) == data[2:]


@pytest.mark.parametrize(("version", "expire"), [(0, -1), (1, 9), (2, -1)])
def test_the_expiry_is_in_version_1_only(version: int, expire: int) -> None:
    value = OffsetCommitValue(offset=1, metadata="m", commit_timestamp=5, expire_timestamp=9)
    assert decode(OffsetCommitValue, version, body_bytes(value, version)).expire_timestamp == expire
