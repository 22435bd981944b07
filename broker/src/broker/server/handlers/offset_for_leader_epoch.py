"""OffsetForLeaderEpoch (API key 23), versions 2-4: where a leader epoch ends, so that a reader finds a truncation."""

from broker.protocol.errors import KafkaError
from broker.protocol.messages.offset_for_leader_epoch import (
    EpochEndOffset,
    OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
)
from broker.server.services import BrokerServices, RequestContext


def handle(request: OffsetForLeaderEpochRequest, context: RequestContext, broker: BrokerServices) -> OffsetForLeaderEpochResponse:
    return OffsetForLeaderEpochResponse(
        topics=[
            OffsetForLeaderTopicResult(
                topic=topic.topic, partitions=[_partition(topic.topic, item, broker) for item in topic.partitions]
            )
            for topic in request.topics
        ]
    )


def _partition(topic: str, item: OffsetForLeaderPartition, broker: BrokerServices) -> EpochEndOffset:
    try:
        partition = broker.replicas.find(topic, item.partition)
        partition.leading(item.current_leader_epoch)
    except KafkaError as error:
        return EpochEndOffset(partition=item.partition, error_code=error.code)
    epoch, end = partition.log.end_offset_for_epoch(item.leader_epoch)
    return EpochEndOffset(partition=item.partition, leader_epoch=epoch, end_offset=end)
