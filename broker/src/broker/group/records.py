"""Records of `__consumer_offsets` in Kafka's schemas: the key says by its version what it is.

Source: ``GroupCoordinatorRecordHelpers``.
"""

from dataclasses import dataclass
from typing import TypeVar

from broker.group.ports import KeyValue
from broker.protocol import codec
from broker.protocol.codec import MalformedMessage
from broker.protocol.message import Record
from broker.protocol.messages.group_records import GroupMetadataKey, GroupMetadataValue, OffsetCommitKey, OffsetCommitValue

OFFSET_KEY, LEGACY_OFFSET_KEY, GROUP_KEY = 1, 0, 2
# Values with an expire timestamp of their own are written in version 1, which alone has the field.
OFFSET_VALUE, EXPIRING_OFFSET_VALUE, GROUP_VALUE = 4, 1, 3
NO_TIMESTAMP = -1
VERSION_BYTES = 2
T = TypeVar("T", bound=Record)


@dataclass(frozen=True)
class OffsetRecord:
    """A committed offset, or its tombstone."""

    group: str
    topic: str
    partition: int
    value: OffsetCommitValue | None


@dataclass(frozen=True)
class GroupRecord:
    """A generation of a group, or its tombstone."""

    group: str
    value: GroupMetadataValue | None


def offset_record(group: str, topic: str, partition: int, value: OffsetCommitValue | None) -> KeyValue:
    """A None value is a tombstone."""
    key = _encode(OffsetCommitKey(group=group, topic=topic, partition=partition), OFFSET_KEY, 0)
    if value is None:
        return key, None
    version = OFFSET_VALUE if value.expire_timestamp == NO_TIMESTAMP else EXPIRING_OFFSET_VALUE
    return key, _encode(value, version, version)


def group_record(group: str, value: GroupMetadataValue | None) -> KeyValue:
    """A None value is a tombstone."""
    key = _encode(GroupMetadataKey(group=group), GROUP_KEY, 0)
    return key, None if value is None else _encode(value, GROUP_VALUE, GROUP_VALUE)


def decode(key: bytes, value: bytes | None) -> OffsetRecord | GroupRecord | None:
    """None for a kind that is not known (a later release's); MalformedMessage when the bytes are broken."""
    kind = _version(key)
    if kind in (LEGACY_OFFSET_KEY, OFFSET_KEY):
        offset_key = codec.decode(OffsetCommitKey, 0, key, VERSION_BYTES)
        return OffsetRecord(offset_key.group, offset_key.topic, offset_key.partition, _value(OffsetCommitValue, value))
    if kind == GROUP_KEY:
        group_key = codec.decode(GroupMetadataKey, 0, key, VERSION_BYTES)
        return GroupRecord(group_key.group, _value(GroupMetadataValue, value))
    return None


def _encode(message: Record, prefix: int, version: int) -> bytes:
    return prefix.to_bytes(VERSION_BYTES, "big") + b"".join(codec.encode(message, version))


def _version(data: bytes) -> int:
    return int.from_bytes(data[:VERSION_BYTES], "big", signed=True) if len(data) >= VERSION_BYTES else -1


def _value(cls: type[T], value: bytes | None) -> T | None:
    if value is None:
        return None
    version = _version(value)
    first, last = cls.VERSIONS
    if not first <= version <= last:
        raise MalformedMessage(f"{cls.__name__} has no version {version}, only {first} to {last}")
    return codec.decode(cls, version, value, VERSION_BYTES)
