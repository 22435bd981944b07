"""Metadata records as bytes: the frame, the versions that are written, and what is refused."""

import uuid

import pytest
from broker.metadata.records import METADATA_VERSION, RECORD_VERSIONS, TYPES, decode_record, encode_record
from broker.protocol.codec import MalformedMessage
from broker.protocol.message import Record
from broker.protocol.messages.metadata_records import (
    FeatureLevelRecord,
    PartitionRecord,
    RegisterBrokerRecord,
    TopicRecord,
)


def test_the_frame_is_kafkas() -> None:
    """The bytes are Apache Kafka's own: frame version 1, type 12, version 0."""
    record = FeatureLevelRecord(name="metadata.version", feature_level=METADATA_VERSION)
    assert encode_record(record).hex() == "010c00116d657461646174612e76657273696f6e001e00"


@pytest.mark.parametrize("cls", TYPES.values(), ids=lambda cls: cls.__name__)
def test_every_type_comes_back(cls: type[Record]) -> None:
    record = cls()
    assert decode_record(encode_record(record)) == record


def test_versions_follow_the_metadata_version() -> None:
    """4.3-IV0 with eligible leader replicas; everything else is written in its first version."""
    assert encode_record(RegisterBrokerRecord())[2] == RECORD_VERSIONS[RegisterBrokerRecord] == 4
    assert encode_record(PartitionRecord())[2] == 2
    assert encode_record(TopicRecord(name="t", topic_id=uuid.UUID(int=1)))[2] == 0
    assert all(TYPES[cls.API_KEY] is cls for cls in RECORD_VERSIONS)


BAD = {
    "nothing": b"",
    "cut": b"\x01",
    "long number": b"\x81\x80\x80\x80\x80\x80\x01\x02\x00",
    "frame 0": b"\x00\x02\x00",
    "frame 2": b"\x02\x02\x00",
    "type": b"\x01\x7f\x00",
    "version": b"\x01\x02\x09",
    "no body": b"\x01\x02\x00",
    "short body": b"\x01\x02\x00\x05ab",
}


@pytest.mark.parametrize("value", BAD.values(), ids=BAD.keys())
def test_what_is_no_record(value: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_record(value)
