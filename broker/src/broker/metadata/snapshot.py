"""An image as the records that make an equal one: what a metadata snapshot holds. Source: ``MetadataImage.write``.

Where a broker's registration stood in the log is not in them: it is before the end of the snapshot, which is all that counts.
"""

from collections.abc import Iterator
from itertools import islice

from broker.metadata.image import BrokerImage, ControllerImage, MetadataImage, PartitionImage, TopicImage
from broker.metadata.records import METADATA_VERSION_FEATURE, encode_record
from broker.protocol.message import Record
from broker.protocol.messages.metadata_records import (
    BrokerEndpoint,
    BrokerFeature,
    ConfigRecord,
    ControllerEndpoint,
    ControllerFeature,
    FeatureLevelRecord,
    PartitionRecord,
    ProducerIdsRecord,
    RegisterBrokerRecord,
    RegisterControllerRecord,
    TopicRecord,
)

# So many records are written together.
BATCH_RECORDS = 250
NO_BROKER = -1


def image_records(image: MetadataImage) -> Iterator[Record]:
    """The features first, of these the metadata version, as Kafka needs it; then nodes, topics, settings, producer ids."""
    for name in sorted(image.features, key=lambda name: (name != METADATA_VERSION_FEATURE, name)):
        yield FeatureLevelRecord(name=name, feature_level=image.features[name])
    for broker_id in sorted(image.brokers):
        yield _broker(image.brokers[broker_id])
    for controller_id in sorted(image.controllers):
        yield _controller(image.controllers[controller_id])
    for topic_name in sorted(image.topics):
        yield from _topic(image.topics[topic_name])
    for resource_type, resource_name in sorted(image.configs):
        for name, value in sorted(image.configs[resource_type, resource_name].items()):
            yield ConfigRecord(resource_type=resource_type, resource_name=resource_name, name=name, value=value)
    if image.next_producer_id:
        yield ProducerIdsRecord(broker_id=NO_BROKER, next_producer_id=image.next_producer_id)


def image_batches(image: MetadataImage) -> Iterator[list[bytes]]:
    """The records as they stand in the log, some at a time."""
    records = image_records(image)
    while batch := [encode_record(record) for record in islice(records, BATCH_RECORDS)]:
        yield batch


def _broker(broker: BrokerImage) -> RegisterBrokerRecord:
    return RegisterBrokerRecord(
        broker_id=broker.broker_id,
        incarnation_id=broker.incarnation_id,
        broker_epoch=broker.epoch,
        end_points=[
            BrokerEndpoint(name=one.name, host=one.host, port=one.port, security_protocol=one.security_protocol)
            for one in broker.endpoints
        ],
        features=[
            BrokerFeature(name=one.name, min_supported_version=one.lowest, max_supported_version=one.highest)
            for one in broker.features
        ],
        rack=broker.rack,
        fenced=broker.fenced,
        in_controlled_shutdown=broker.in_controlled_shutdown,
        log_dirs=list(broker.directories),
        cordoned_log_dirs=None if broker.cordoned_directories is None else list(broker.cordoned_directories),
    )


def _controller(controller: ControllerImage) -> RegisterControllerRecord:
    return RegisterControllerRecord(
        controller_id=controller.controller_id,
        incarnation_id=controller.incarnation_id,
        end_points=[
            ControllerEndpoint(name=one.name, host=one.host, port=one.port, security_protocol=one.security_protocol)
            for one in controller.endpoints
        ],
        features=[
            ControllerFeature(name=one.name, min_supported_version=one.lowest, max_supported_version=one.highest)
            for one in controller.features
        ],
    )


def _topic(topic: TopicImage) -> Iterator[Record]:
    yield TopicRecord(name=topic.name, topic_id=topic.topic_id)
    for partition_id in sorted(topic.partitions):
        yield _partition(topic, partition_id, topic.partitions[partition_id])


def _partition(topic: TopicImage, partition_id: int, partition: PartitionImage) -> PartitionRecord:
    return PartitionRecord(
        partition_id=partition_id,
        topic_id=topic.topic_id,
        replicas=list(partition.replicas),
        isr=list(partition.isr),
        leader=partition.leader,
        leader_recovery_state=partition.leader_recovery_state,
        leader_epoch=partition.leader_epoch,
        partition_epoch=partition.partition_epoch,
        directories=list(partition.directories),
        eligible_leader_replicas=list(partition.elr) or None,
        last_known_elr=list(partition.last_known_elr) or None,
    )
