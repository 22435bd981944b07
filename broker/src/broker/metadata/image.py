"""The metadata image: an immutable picture of the cluster at an offset of the metadata log.

`apply` makes the next image from the records that were committed together; what did not change is shared between images.
Not done: ACLs, quotas, delegation tokens.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from broker.protocol.message import Record
from broker.protocol.messages import metadata_records as records

NO_LEADER = -1
# ConfigResource types.
TOPIC_RESOURCE, BROKER_RESOURCE = 2, 4
ResourceKey = tuple[int, str]


@dataclass(frozen=True, slots=True)
class PartitionImage:
    """One partition: who holds it and who leads."""

    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    leader: int
    leader_epoch: int
    partition_epoch: int
    directories: tuple[uuid.UUID, ...] = ()
    elr: tuple[int, ...] = ()
    last_known_elr: tuple[int, ...] = ()
    # 1 after an unclean election, until the ISR changes again (KIP-704).
    leader_recovery_state: int = 0


@dataclass(frozen=True, slots=True)
class TopicImage:
    """One topic with its partitions by number."""

    name: str
    topic_id: uuid.UUID
    partitions: Mapping[int, PartitionImage] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EndpointImage:
    """A listener of a node as others reach it. `security_protocol`: ``SecurityProtocol``, 0 is PLAINTEXT."""

    name: str
    host: str
    port: int
    security_protocol: int = 0


@dataclass(frozen=True, slots=True)
class FeatureRange:
    """The levels of a feature that a node supports."""

    name: str
    lowest: int
    highest: int


@dataclass(frozen=True, slots=True)
class BrokerImage:
    """One registered broker."""

    broker_id: int
    epoch: int
    incarnation_id: uuid.UUID
    endpoints: tuple[EndpointImage, ...]
    rack: str | None = None
    fenced: bool = True
    in_controlled_shutdown: bool = False
    directories: tuple[uuid.UUID, ...] = ()
    # Directories that get no new partitions; None when it never said so (KIP-1066).
    cordoned_directories: tuple[uuid.UUID, ...] | None = None
    features: tuple[FeatureRange, ...] = ()
    # Where its registration stands in the metadata log.
    registered_at: int = -1

    def endpoint(self, listener_name: str) -> EndpointImage | None:
        return next((endpoint for endpoint in self.endpoints if endpoint.name == listener_name), None)


@dataclass(frozen=True, slots=True)
class ControllerImage:
    """One registered controller (KIP-919)."""

    controller_id: int
    incarnation_id: uuid.UUID
    endpoints: tuple[EndpointImage, ...]
    features: tuple[FeatureRange, ...] = ()

    def endpoint(self, listener_name: str) -> EndpointImage | None:
        return next((endpoint for endpoint in self.endpoints if endpoint.name == listener_name), None)


@dataclass(frozen=True, slots=True)
class MetadataImage:
    """The whole picture."""

    offset: int = -1
    topics: Mapping[str, TopicImage] = field(default_factory=dict)
    names_by_id: Mapping[uuid.UUID, str] = field(default_factory=dict)
    brokers: Mapping[int, BrokerImage] = field(default_factory=dict)
    controllers: Mapping[int, ControllerImage] = field(default_factory=dict)
    configs: Mapping[ResourceKey, Mapping[str, str]] = field(default_factory=dict)
    features: Mapping[str, int] = field(default_factory=dict)
    next_producer_id: int = 0

    def topic_by_id(self, topic_id: uuid.UUID) -> TopicImage | None:
        name = self.names_by_id.get(topic_id)
        return self.topics.get(name) if name is not None else None

    def config(self, resource_type: int, name: str) -> Mapping[str, str]:
        return self.configs.get((resource_type, name), {})

    @classmethod
    def from_snapshot(cls, batches: Iterable[Sequence[Record]], last_offset: int) -> "MetadataImage":
        """The image that a snapshot of everything up to `last_offset` holds."""
        image = cls()
        for batch in batches:
            image = image.apply(batch, last_offset)
        return replace(image, offset=last_offset)

    def apply(self, batch: Sequence[Record], last_offset: int) -> "MetadataImage":
        """The image after these records, the last of which stands at `last_offset`."""
        builder = _Builder(self)
        first_offset = last_offset - len(batch) + 1
        for number, record in enumerate(batch):
            builder.apply(record, first_offset + number)
        return builder.build(last_offset)


class _Builder:
    """Copies a part of the image when the first record touches it."""

    def __init__(self, image: MetadataImage) -> None:
        self.image = image
        self._parts: dict[str, dict[Any, Any]] = {}
        self.next_producer_id = image.next_producer_id
        # Topics whose partitions were copied for this batch already.
        self._copied: dict[str, dict[int, PartitionImage]] = {}

    def build(self, offset: int) -> MetadataImage:
        return replace(self.image, offset=offset, next_producer_id=self.next_producer_id, **self._parts)

    def _part(self, name: str) -> dict[Any, Any]:
        """A part of the image that can be changed."""
        if name not in self._parts:
            self._parts[name] = dict(getattr(self.image, name))
        return self._parts[name]

    @property
    def topics(self) -> dict[str, TopicImage]:
        return self._part("topics")

    @property
    def names_by_id(self) -> dict[uuid.UUID, str]:
        return self._part("names_by_id")

    @property
    def brokers(self) -> dict[int, BrokerImage]:
        return self._part("brokers")

    @property
    def controllers(self) -> dict[int, ControllerImage]:
        return self._part("controllers")

    @property
    def configs(self) -> dict[ResourceKey, Mapping[str, str]]:
        return self._part("configs")

    @property
    def features(self) -> dict[str, int]:
        return self._part("features")

    def apply(self, record: Record, offset: int) -> None:
        """One method per record type; types that do not change the image are passed over."""
        method = getattr(self, f"_{type(record).__name__}", None)
        if method is not None:
            method(record, offset)

    def _partitions(self, topic_id: uuid.UUID) -> dict[int, PartitionImage]:
        name: str = self._parts.get("names_by_id", self.image.names_by_id)[topic_id]
        if name not in self._copied:
            topic = self.topics[name]
            self._copied[name] = dict(topic.partitions)
            self.topics[name] = replace(topic, partitions=self._copied[name])
        return self._copied[name]

    def _TopicRecord(self, record: records.TopicRecord, offset: int) -> None:
        self.topics[record.name] = TopicImage(record.name, record.topic_id)
        self.names_by_id[record.topic_id] = record.name
        self._copied.pop(record.name, None)

    def _RemoveTopicRecord(self, record: records.RemoveTopicRecord, offset: int) -> None:
        name = self.names_by_id.pop(record.topic_id)
        del self.topics[name]
        self._copied.pop(name, None)
        if (TOPIC_RESOURCE, name) in self._parts.get("configs", self.image.configs):
            del self.configs[TOPIC_RESOURCE, name]

    def _PartitionRecord(self, record: records.PartitionRecord, offset: int) -> None:
        self._partitions(record.topic_id)[record.partition_id] = PartitionImage(
            tuple(record.replicas),
            tuple(record.isr),
            record.leader,
            record.leader_epoch,
            record.partition_epoch,
            tuple(record.directories or ()),
            tuple(record.eligible_leader_replicas or ()),
            tuple(record.last_known_elr or ()),
            record.leader_recovery_state,
        )

    def _PartitionChangeRecord(self, record: records.PartitionChangeRecord, offset: int) -> None:
        partitions = self._partitions(record.topic_id)
        before = partitions[record.partition_id]
        changes: dict[str, Any] = {"partition_epoch": before.partition_epoch + 1}
        if record.isr is not None:
            changes["isr"] = tuple(record.isr)
        if record.replicas is not None:
            changes["replicas"] = tuple(record.replicas)
        if record.directories is not None:
            changes["directories"] = tuple(record.directories)
        if record.eligible_leader_replicas is not None:
            changes["elr"] = tuple(record.eligible_leader_replicas)
        if record.last_known_elr is not None:
            changes["last_known_elr"] = tuple(record.last_known_elr)
        if record.leader_recovery_state != -1:  # -1: it does not change
            changes["leader_recovery_state"] = record.leader_recovery_state
        if record.leader != -2:  # -2: the leader does not change
            changes |= {"leader": record.leader, "leader_epoch": before.leader_epoch + 1}
        partitions[record.partition_id] = replace(before, **changes)

    def _ClearElrRecord(self, record: records.ClearElrRecord, offset: int) -> None:
        for name in [record.topic_name] if record.topic_name else list(self._parts.get("topics", self.image.topics)):
            topic = self._parts.get("topics", self.image.topics)[name]
            for index, before in topic.partitions.items():
                if before.elr or before.last_known_elr:
                    self._partitions(topic.topic_id)[index] = replace(before, elr=(), last_known_elr=())

    def _RegisterBrokerRecord(self, record: records.RegisterBrokerRecord, offset: int) -> None:
        self.brokers[record.broker_id] = BrokerImage(
            record.broker_id,
            record.broker_epoch,
            record.incarnation_id,
            _endpoints(record.end_points),
            record.rack,
            record.fenced,
            record.in_controlled_shutdown,
            tuple(record.log_dirs),
            _cordoned(record.cordoned_log_dirs),
            _ranges(record.features),
            offset,
        )

    def _BrokerRegistrationChangeRecord(self, record: records.BrokerRegistrationChangeRecord, offset: int) -> None:
        before = self.brokers[record.broker_id]
        # 1 sets, -1 clears, 0 leaves as it is.
        fenced = record.fenced == 1 if record.fenced else before.fenced
        shutdown = record.in_controlled_shutdown == 1 if record.in_controlled_shutdown else before.in_controlled_shutdown
        self.brokers[record.broker_id] = replace(
            before,
            fenced=fenced,
            in_controlled_shutdown=shutdown,
            directories=tuple(record.log_dirs) or before.directories,
            cordoned_directories=before.cordoned_directories
            if record.cordoned_log_dirs is None
            else _cordoned(record.cordoned_log_dirs),
        )

    def _UnregisterBrokerRecord(self, record: records.UnregisterBrokerRecord, offset: int) -> None:
        self.brokers.pop(record.broker_id, None)

    def _RegisterControllerRecord(self, record: records.RegisterControllerRecord, offset: int) -> None:
        self.controllers[record.controller_id] = ControllerImage(
            record.controller_id, record.incarnation_id, _endpoints(record.end_points), _ranges(record.features)
        )

    def _ConfigRecord(self, record: records.ConfigRecord, offset: int) -> None:
        key = (record.resource_type, record.resource_name)
        changed = dict(self.configs.get(key, {}))
        if record.value is None:
            changed.pop(record.name, None)
        else:
            changed[record.name] = record.value
        if changed:
            self.configs[key] = changed
        else:
            self.configs.pop(key, None)

    def _FeatureLevelRecord(self, record: records.FeatureLevelRecord, offset: int) -> None:
        if record.feature_level:
            self.features[record.name] = record.feature_level
        else:
            self.features.pop(record.name, None)

    def _ProducerIdsRecord(self, record: records.ProducerIdsRecord, offset: int) -> None:
        self.next_producer_id = record.next_producer_id


def _endpoints(found: Iterable[records.BrokerEndpoint | records.ControllerEndpoint]) -> tuple[EndpointImage, ...]:
    return tuple(EndpointImage(one.name, one.host, one.port, one.security_protocol) for one in found)


def _ranges(found: Iterable[records.BrokerFeature | records.ControllerFeature]) -> tuple[FeatureRange, ...]:
    return tuple(FeatureRange(one.name, one.min_supported_version, one.max_supported_version) for one in found)


def _cordoned(directories: Sequence[uuid.UUID] | None) -> tuple[uuid.UUID, ...] | None:
    return None if directories is None else tuple(directories)
