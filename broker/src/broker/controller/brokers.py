"""Decisions about brokers: registration, heartbeats, producer ids, and the first records of a new cluster.

A broker registers fenced and is unfenced by its first heartbeat that has caught up; it then leads again what it led, in a
new leader epoch, so that whoever knew its log from before it restarted notices. Source: ``ClusterControlManager``.
Not done: session time-outs and controlled shutdown, which need a second broker to mean anything.
"""

from broker.controller.context import Context
from broker.controller.placement import elect
from broker.core import Result
from broker.metadata.records import METADATA_VERSION, METADATA_VERSION_FEATURE
from broker.protocol.errors import ErrorCode
from broker.protocol.message import Record
from broker.protocol.messages.allocate_producer_ids import AllocateProducerIdsRequest, AllocateProducerIdsResponse
from broker.protocol.messages.broker_heartbeat import BrokerHeartbeatRequest, BrokerHeartbeatResponse
from broker.protocol.messages.broker_registration import BrokerRegistrationRequest, BrokerRegistrationResponse
from broker.protocol.messages.metadata_records import (
    BrokerEndpoint,
    BrokerFeature,
    BrokerRegistrationChangeRecord,
    FeatureLevelRecord,
    PartitionChangeRecord,
    ProducerIdsRecord,
    RegisterBrokerRecord,
)

PRODUCER_ID_BLOCK = 1000
# BrokerRegistrationChangeRecord: what its `fenced` says.
UNFENCED = -1


def bootstrap_records() -> list[Record]:
    """What an empty metadata log begins with: the features that are finalised."""
    return [FeatureLevelRecord(name=METADATA_VERSION_FEATURE, feature_level=METADATA_VERSION)]


def register(request: BrokerRegistrationRequest, context: Context) -> Result[Record, BrokerRegistrationResponse]:
    """A broker makes itself known; its epoch is the offset of the record that says so."""
    record = RegisterBrokerRecord(
        broker_id=request.broker_id,
        incarnation_id=request.incarnation_id,
        broker_epoch=context.next_offset,
        end_points=[
            BrokerEndpoint(name=one.name, host=one.host, port=one.port, security_protocol=one.security_protocol)
            for one in request.listeners
        ],
        features=[
            BrokerFeature(
                name=one.name, min_supported_version=one.min_supported_version, max_supported_version=one.max_supported_version
            )
            for one in request.features
        ],
        rack=request.rack,
        fenced=True,
        log_dirs=list(request.log_dirs),
    )
    return Result(BrokerRegistrationResponse(broker_epoch=context.next_offset), [record])


def heartbeat(request: BrokerHeartbeatRequest, context: Context) -> Result[Record, BrokerHeartbeatResponse]:
    """A sign of life; one that has replayed its own registration ends its fencing."""
    known = context.image.brokers.get(request.broker_id)
    if known is None or known.epoch != request.broker_epoch:
        return Result(BrokerHeartbeatResponse(error_code=ErrorCode.STALE_BROKER_EPOCH))
    caught_up = request.current_metadata_offset >= known.epoch
    if not known.fenced or request.want_fence or not caught_up:
        return Result(BrokerHeartbeatResponse(is_caught_up=caught_up, is_fenced=known.fenced))
    change = BrokerRegistrationChangeRecord(broker_id=known.broker_id, broker_epoch=known.epoch, fenced=UNFENCED)
    response = BrokerHeartbeatResponse(is_caught_up=True, is_fenced=False)
    return Result(response, [change, *_led_again(known.broker_id, context)])


def _led_again(broker_id: int, context: Context) -> list[Record]:
    changes: list[Record] = []
    for _, topic in sorted(context.image.topics.items()):
        for index, partition in sorted(topic.partitions.items()):
            leader = elect(partition, broker_id)
            if leader is not None:
                changes.append(PartitionChangeRecord(partition_id=index, topic_id=topic.topic_id, leader=leader))
    return changes


def allocate_producer_ids(request: AllocateProducerIdsRequest, context: Context) -> Result[Record, AllocateProducerIdsResponse]:
    """The next block of producer ids, for this broker alone."""
    start = context.image.next_producer_id
    record = ProducerIdsRecord(
        broker_id=request.broker_id, broker_epoch=request.broker_epoch, next_producer_id=start + PRODUCER_ID_BLOCK
    )
    return Result(AllocateProducerIdsResponse(producer_id_start=start, producer_id_len=PRODUCER_ID_BLOCK), [record])
