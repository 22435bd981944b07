"""Metadata records as Apache Kafka 4.3.1 wrote them: read to these values, and written to the same bytes.

Each text is the record's value in `__cluster_metadata`: frame version 1, the record's number, its version, the record.
"""

from typing import Any
from uuid import UUID

import pytest
from broker.protocol.codec import decode
from broker.protocol.compiler import read_uvarint
from broker.protocol.message import Message
from broker.protocol.messages import metadata_records
from broker.protocol.messages.metadata_records import (
    BeginTransactionRecord,
    BrokerRegistrationChangeRecord,
    ConfigRecord,
    EndTransactionRecord,
    FeatureLevelRecord,
    NoOpRecord,
    PartitionChangeRecord,
    PartitionRecord,
    ProducerIdsRecord,
    RegisterBrokerRecord,
    RegisterControllerRecord,
    RemoveTopicRecord,
    TopicRecord,
)
from sample_messages import body_bytes

ALPHA = UUID("56abb48f-2255-4b65-bac5-6ce5e42cb961")
DIRECTORY = UUID("104b513a-d31a-9a10-55ae-bdae2565ef1c")
WRITTEN_BY_KAFKA = {
    "010c00116d657461646174612e76657273696f6e001e00": FeatureLevelRecord(name="metadata.version", feature_level=30),
    "01170001001212426f6f747374726170207265636f726473": BeginTransactionRecord(name="Bootstrap records"),
    "0104000401146d696e2e696e73796e632e7265706c69636173023100": ConfigRecord(
        resource_type=4, name="min.insync.replicas", value="1"
    ),
    "01180000": EndTransactionRecord(),
    "01140000": NoOpRecord(),
    "01110000000001000000000000000b010001ff": BrokerRegistrationChangeRecord(broker_id=1, broker_epoch=11, fenced=-1),
    "01110300000001000000000000000b01030101": BrokerRegistrationChangeRecord(broker_id=1, broker_epoch=11, cordoned_log_dirs=[]),
    "01110100000001000000000000000b01010101": BrokerRegistrationChangeRecord(
        broker_id=1, broker_epoch=11, in_controlled_shutdown=1
    ),
    "01020006616c70686156abb48f22554b65bac56ce5e42cb96100": TopicRecord(name="alpha", topic_id=ALPHA),
    "0103020000000056abb48f22554b65bac56ce5e42cb96102000000010200000001010100000001000000000000000002"
    "104b513ad31a9a1055aebdae2565ef1c00": PartitionRecord(
        partition_id=0,
        topic_id=ALPHA,
        replicas=[1],
        isr=[1],
        leader=1,
        leader_epoch=0,
        partition_epoch=0,
        directories=[DIRECTORY],
    ),
    "0109004cc964d6c0f9498996fe9bd2d9f7d18600": RemoveTopicRecord(topic_id=UUID("4cc964d6-c0f9-4989-96fe-9bd2d9f7d186")),
    "010f0000000001000000000000000b00000000000003e800": ProducerIdsRecord(broker_id=1, broker_epoch=11, next_producer_id=1000),
    "0105020000000056abb48f22554b65bac56ce5e42cb961040001010104ffffffff0605020000000107050200000001": PartitionChangeRecord(
        partition_id=0, topic_id=ALPHA, isr=[], leader=-1, eligible_leader_replicas=[1], last_known_elr=[1]
    ),
}
REGISTER_BROKER = (
    "010004000000010074123bbca32543c3b75437190cfec156000000000000000b020a504c41494e544558540a3132372e302e302e31b5ff00000008"
    "0e6b726166742e76657273696f6e00000001000e67726f75702e76657273696f6e00000001001073747265616d732e76657273696f6e0000000100"
    "147472616e73616374696f6e2e76657273696f6e000000020021656c696769626c652e6c65616465722e7265706c696361732e76657273696f6e"
    "0000000100116d657461646174612e76657273696f6e0007001e000e73686172652e76657273696f6e00000001000001000100110210"
    "4b513ad31a9a1055aebdae2565ef1c"
)
REGISTER_CONTROLLER = (
    "011b0000000001ef68e1d2928b4d4aacdccb402bc26a0300020b434f4e54524f4c4c45520a3132372e302e302e319f17000000080e67726f75702e"
    "76657273696f6e00000001000e6b726166742e76657273696f6e0000000100116d657461646174612e76657273696f6e0007001e000e7368617265"
    "2e76657273696f6e00000001001073747265616d732e76657273696f6e0000000100147472616e73616374696f6e2e76657273696f6e0000000200"
    "21656c696769626c652e6c65616465722e7265706c696361732e76657273696f6e000000010000"
)
CLASSES: dict[int, type[Message]] = {
    value.API_KEY: value
    for value in vars(metadata_records).values()
    if isinstance(value, type) and issubclass(value, Message) and value.__module__ == metadata_records.__name__
}


def read(text: str) -> tuple[Any, int, bytes]:
    """The record, its version, and the bytes of the record alone."""
    data = bytes.fromhex(text)
    frame_version, position = read_uvarint(data, 0)
    key, position = read_uvarint(data, position)
    version, position = read_uvarint(data, position)
    assert frame_version == 1
    return decode(CLASSES[key], version, data, position), version, data[position:]


@pytest.mark.parametrize(("text", "expected"), WRITTEN_BY_KAFKA.items(), ids=lambda value: type(value).__name__)
def test_kafkas_records_are_read_and_written(text: str, expected: Message) -> None:
    found, version, data = read(text)
    assert found == expected
    assert body_bytes(expected, version) == data


def test_a_broker_registration_of_kafka() -> None:
    found, version, data = read(REGISTER_BROKER)
    assert isinstance(found, RegisterBrokerRecord)
    assert (found.broker_id, found.broker_epoch, found.fenced, found.log_dirs) == (1, 11, True, [DIRECTORY])
    assert (found.end_points[0].name, found.end_points[0].host, found.end_points[0].port) == ("PLAINTEXT", "127.0.0.1", 46591)
    assert {feature.name: feature.max_supported_version for feature in found.features}["metadata.version"] == 30
    assert body_bytes(found, version) == data


def test_a_controller_registration_of_kafka() -> None:
    found, version, data = read(REGISTER_CONTROLLER)
    assert isinstance(found, RegisterControllerRecord)
    assert (found.controller_id, found.end_points[0].name, found.end_points[0].port) == (1, "CONTROLLER", 40727)
    assert len(found.features) == 7
    assert body_bytes(found, version) == data


# Number, first and last version of the metadata records in Kafka 4.3.
NUMBERS = {
    "RegisterBrokerRecord": (0, 0, 4),
    "UnregisterBrokerRecord": (1, 0, 0),
    "TopicRecord": (2, 0, 0),
    "PartitionRecord": (3, 0, 2),
    "ConfigRecord": (4, 0, 0),
    "PartitionChangeRecord": (5, 0, 2),
    "FenceBrokerRecord": (7, 0, 0),
    "UnfenceBrokerRecord": (8, 0, 0),
    "RemoveTopicRecord": (9, 0, 0),
    "FeatureLevelRecord": (12, 0, 0),
    "ProducerIdsRecord": (15, 0, 0),
    "BrokerRegistrationChangeRecord": (17, 0, 3),
    "NoOpRecord": (20, 0, 0),
    "BeginTransactionRecord": (23, 0, 0),
    "EndTransactionRecord": (24, 0, 0),
    "AbortTransactionRecord": (25, 0, 0),
    "RegisterControllerRecord": (27, 0, 0),
    "ClearElrRecord": (28, 0, 0),
}


def test_numbers_and_versions_are_kafkas() -> None:
    assert {cls.__name__: (key, *cls.VERSIONS) for key, cls in sorted(CLASSES.items())} == NUMBERS
