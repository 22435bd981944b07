"""Metadata records as bytes: frame version, record type, version, message. Source: ``AbstractApiMessageSerde``.

Which version of a record is written follows from the finalised metadata.version (`RECORD_VERSIONS`, for 4.3-IV0).
"""

from collections.abc import Sequence

from broker.protocol import codec
from broker.protocol.compiler import LongNumber, read_uvarint, write_uvarint
from broker.protocol.message import Record
from broker.protocol.messages import metadata_records as records
from broker.protocol.types import Buffer

FRAME_VERSION = 1
METADATA_VERSION_FEATURE = "metadata.version"
# 4.3-IV0, the newest production level of Apache Kafka 4.3.
METADATA_VERSION = 30
ELR_FEATURE = "eligible.leader.replicas.version"
ELR_VERSION = 1
# The levels that this release could finalise: no more than what is built. Apache Kafka 4.3 begins with 3.3-IV3 as well.
SUPPORTED_FEATURES = {
    METADATA_VERSION_FEATURE: (7, METADATA_VERSION),
    "kraft.version": (0, 0),
    ELR_FEATURE: (0, ELR_VERSION),
}
TYPES: dict[int, type[Record]] = {
    cls.API_KEY: cls for cls in vars(records).values() if isinstance(cls, type) and issubclass(cls, Record) and cls is not Record
}
RECORD_VERSIONS = {
    records.RegisterBrokerRecord: 4,
    records.BrokerRegistrationChangeRecord: 3,
    records.PartitionRecord: 2,
    records.PartitionChangeRecord: 2,
}


def encode_record(record: Record) -> bytes:
    """The value of a record in `__cluster_metadata`; its key is null."""
    cls = type(record)
    version = RECORD_VERSIONS.get(cls, cls.VERSIONS[0])
    out = bytearray()
    for number in (FRAME_VERSION, cls.API_KEY, version):
        write_uvarint(out, number)
    for part in codec.encode(record, version):
        out += part
    return bytes(out)


NO_OP = encode_record(records.NoOpRecord())


def is_no_op(values: Sequence[bytes]) -> bool:
    """Whether records say nothing: those of an idle controller are not decoded one by one."""
    return all(value == NO_OP for value in values)


def decode_record(value: Buffer) -> Record:
    """MalformedMessage when the bytes are no record of a known type."""
    try:
        frame, position = read_uvarint(value, 0)
        key, position = read_uvarint(value, position)
        version, position = read_uvarint(value, position)
    except (IndexError, LongNumber):
        raise codec.MalformedMessage(f"{len(value)} bytes are no metadata record") from None
    if frame != FRAME_VERSION or key not in TYPES:
        raise codec.MalformedMessage(f"a metadata record of frame version {frame} and type {key} is not known")
    return codec.decode(TYPES[key], version, value, position)
