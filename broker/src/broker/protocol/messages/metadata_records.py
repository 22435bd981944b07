"""The records of `__cluster_metadata`: what the cluster agrees on.

Which version of each is written follows from the finalised metadata.version (`metadata.records`).
"""

from broker.protocol.message import Record, Struct
from broker.protocol.types import UUID, array, boolean, int8, int16, int32, int64, string, uint16, uuid_


class BrokerEndpoint(Struct):
    name: str = string()
    host: str = string()
    port: int = uint16()
    security_protocol: int = int16()


class BrokerFeature(Struct):
    name: str = string()
    min_supported_version: int = int16()
    max_supported_version: int = int16()


class RegisterBrokerRecord(Record, key=0, versions="0-4", flexible="0+"):
    """A broker has registered; its epoch is the offset of this record."""

    broker_id: int = int32()
    is_migrating_zk_broker: bool = boolean("2+")
    incarnation_id: UUID = uuid_()
    broker_epoch: int = int64()
    end_points: list[BrokerEndpoint] = array(BrokerEndpoint)
    features: list[BrokerFeature] = array(BrokerFeature)
    rack: str | None = string(nullable="0+")
    fenced: bool = boolean(default=True)
    in_controlled_shutdown: bool = boolean("1+")
    log_dirs: list[UUID] = array(uuid_, "3+", tag=0)
    cordoned_log_dirs: list[UUID] | None = array(uuid_, "4+", nullable="4+", default=None, tag=1)


class UnregisterBrokerRecord(Record, key=1, versions="0", flexible="0+"):
    """A broker was taken out of the cluster."""

    broker_id: int = int32()
    broker_epoch: int = int64()


class TopicRecord(Record, key=2, versions="0", flexible="0+"):
    """A topic was made."""

    name: str = string()
    topic_id: UUID = uuid_()


class PartitionRecord(Record, key=3, versions="0-2", flexible="0+"):
    """A partition was made, or is written anew in a snapshot."""

    partition_id: int = int32(default=-1)
    topic_id: UUID = uuid_()
    replicas: list[int] = array(int32)
    isr: list[int] = array(int32)
    removing_replicas: list[int] = array(int32)
    adding_replicas: list[int] = array(int32)
    leader: int = int32(default=-1)
    leader_recovery_state: int = int8(tag=0)
    leader_epoch: int = int32(default=-1)
    partition_epoch: int = int32(default=-1)
    directories: list[UUID] = array(uuid_, "1+")
    eligible_leader_replicas: list[int] | None = array(int32, "2+", nullable="2+", default=None, tag=1)
    last_known_elr: list[int] | None = array(int32, "2+", nullable="2+", default=None, tag=2)


class ConfigRecord(Record, key=4, versions="0", flexible="0+"):
    """A setting was changed; a null value removes it."""

    resource_type: int = int8()
    resource_name: str = string()
    name: str = string()
    value: str | None = string(nullable="0+")


class PartitionChangeRecord(Record, key=5, versions="0-2", flexible="0+"):
    """What changed about a partition; fields that did not change are left out."""

    partition_id: int = int32(default=-1)
    topic_id: UUID = uuid_()
    isr: list[int] | None = array(int32, nullable="0+", default=None, tag=0)
    leader: int = int32(default=-2, tag=1)
    replicas: list[int] | None = array(int32, nullable="0+", default=None, tag=2)
    removing_replicas: list[int] | None = array(int32, nullable="0+", default=None, tag=3)
    adding_replicas: list[int] | None = array(int32, nullable="0+", default=None, tag=4)
    leader_recovery_state: int = int8(default=-1, tag=5)
    directories: list[UUID] | None = array(uuid_, "1+", nullable="1+", default=None, tag=8)
    eligible_leader_replicas: list[int] | None = array(int32, "2+", nullable="2+", default=None, tag=6)
    last_known_elr: list[int] | None = array(int32, "2+", nullable="2+", default=None, tag=7)


class FenceBrokerRecord(Record, key=7, versions="0", flexible="0+"):
    """A broker was fenced (before registration changes existed)."""

    id: int = int32()
    epoch: int = int64()


class UnfenceBrokerRecord(Record, key=8, versions="0", flexible="0+"):
    """A broker was unfenced (before registration changes existed)."""

    id: int = int32()
    epoch: int = int64()


class RemoveTopicRecord(Record, key=9, versions="0", flexible="0+"):
    """A topic was deleted."""

    topic_id: UUID = uuid_()


class FeatureLevelRecord(Record, key=12, versions="0", flexible="0+"):
    """A feature was finalised at a level."""

    name: str = string()
    feature_level: int = int16()


class ProducerIdsRecord(Record, key=15, versions="0", flexible="0+"):
    """A block of producer ids was handed out."""

    broker_id: int = int32()
    broker_epoch: int = int64(default=-1)
    next_producer_id: int = int64()


class BrokerRegistrationChangeRecord(Record, key=17, versions="0-3", flexible="0+"):
    """A broker was fenced, unfenced, or is shutting down."""

    broker_id: int = int32()
    broker_epoch: int = int64()
    fenced: int = int8(tag=0)
    in_controlled_shutdown: int = int8("1+", tag=1)
    log_dirs: list[UUID] = array(uuid_, "2+", tag=2)
    cordoned_log_dirs: list[UUID] | None = array(uuid_, "3+", nullable="3+", default=None, tag=3)


class NoOpRecord(Record, key=20, versions="0", flexible="0+"):
    """Nothing; it moves the high watermark of an idle quorum."""


class ControllerEndpoint(Struct):
    name: str = string()
    host: str = string()
    port: int = uint16()
    security_protocol: int = int16()


class ControllerFeature(Struct):
    name: str = string()
    min_supported_version: int = int16()
    max_supported_version: int = int16()


class RegisterControllerRecord(Record, key=27, versions="0", flexible="0+"):
    """A controller has registered."""

    controller_id: int = int32()
    incarnation_id: UUID = uuid_()
    zk_migration_ready: bool = boolean()
    end_points: list[ControllerEndpoint] = array(ControllerEndpoint)
    features: list[ControllerFeature] = array(ControllerFeature)


class BeginTransactionRecord(Record, key=23, versions="0", flexible="0+"):
    """The records that follow count together."""

    name: str | None = string(nullable="0+", default=None, tag=0)


class EndTransactionRecord(Record, key=24, versions="0", flexible="0+"):
    """The records of the transaction count."""


class AbortTransactionRecord(Record, key=25, versions="0", flexible="0+"):
    """The records of the transaction do not count."""

    reason: str | None = string(nullable="0+", default=None, tag=0)


class ClearElrRecord(Record, key=28, versions="0", flexible="0+"):
    """The eligible leader replicas of a topic, or of all, are forgotten."""

    topic_name: str = string()
