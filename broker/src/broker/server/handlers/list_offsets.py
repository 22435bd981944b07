"""ListOffsets (API key 2), versions 1-11: the offset of a time, or of the log's start, end or newest timestamp.

The special values of tiered storage (-4, -5, -6) are answered as a broker without it does. A new leader does not know yet how far
the former one had come, and says OFFSET_NOT_AVAILABLE rather than an end that lies before what clients have seen (KIP-207).
"""

from collections import Counter

from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopicResponse,
)
from broker.replication.partition import Partition
from broker.server.services import BrokerServices, RequestContext

LATEST, EARLIEST, MAX_TIMESTAMP, EARLIEST_LOCAL, LATEST_TIERED, EARLIEST_PENDING = -1, -2, -3, -4, -5, -6
# The first version in which each special timestamp may be sent.
SPECIAL_SINCE = {LATEST: 0, EARLIEST: 0, MAX_TIMESTAMP: 7, EARLIEST_LOCAL: 8, LATEST_TIERED: 9, EARLIEST_PENDING: 11}
NEVER = 2**15
UNKNOWN = (-1, -1, -1)
LEADER_EPOCH_SINCE = 4
NOT_AVAILABLE_SINCE = 5


def handle(request: ListOffsetsRequest, context: RequestContext, broker: BrokerServices) -> ListOffsetsResponse:
    named = Counter((topic.name, item.partition_index) for topic in request.topics for item in topic.partitions)
    twice = {key for key, count in named.items() if count > 1}
    return ListOffsetsResponse(
        topics=[
            ListOffsetsTopicResponse(
                name=topic.name, partitions=[_partition(topic.name, item, twice, context, broker) for item in topic.partitions]
            )
            for topic in request.topics
        ]
    )


def _partition(
    topic: str, item: ListOffsetsPartition, twice: set[tuple[str, int]], context: RequestContext, broker: BrokerServices
) -> ListOffsetsPartitionResponse:
    try:
        if (topic, item.partition_index) in twice:
            raise KafkaError(ErrorCode.INVALID_REQUEST)
        if item.timestamp < 0 and SPECIAL_SINCE.get(item.timestamp, NEVER) > context.api_version:
            raise KafkaError(ErrorCode.UNSUPPORTED_VERSION)
        partition = broker.replicas.find(topic, item.partition_index)
        leader = partition.leading(item.current_leader_epoch)
        timestamp, offset, epoch = _find(partition, item.timestamp)
        visible = item.timestamp in (EARLIEST, EARLIEST_LOCAL) or 0 <= offset < partition.high_watermark
        if not visible and leader.epoch_start_offset > partition.high_watermark:
            old = context.api_version < NOT_AVAILABLE_SINCE
            raise KafkaError(ErrorCode.LEADER_NOT_AVAILABLE if old else ErrorCode.OFFSET_NOT_AVAILABLE)
    except KafkaError as error:
        return ListOffsetsPartitionResponse(
            partition_index=item.partition_index, error_code=error.code, timestamp=-1, offset=-1, leader_epoch=-1
        )
    return ListOffsetsPartitionResponse(
        partition_index=item.partition_index,
        timestamp=timestamp,
        offset=offset,
        leader_epoch=epoch if context.api_version >= LEADER_EPOCH_SINCE else -1,
    )


def _find(partition: Partition, timestamp: int) -> tuple[int, int, int]:
    """(timestamp, offset, leader epoch) as they are answered."""
    log = partition.log
    if timestamp == LATEST:
        return -1, partition.high_watermark, partition.leader_epoch
    if timestamp in (EARLIEST, EARLIEST_LOCAL):
        start = log.log_start_offset
        return -1, start, next((epoch for epoch, begin in reversed(log.epochs.entries) if begin <= start), -1)
    if timestamp in (LATEST_TIERED, EARLIEST_PENDING):
        return UNKNOWN
    if timestamp == MAX_TIMESTAMP:
        newest = log.max_timestamp_offset()
        return newest if newest is not None and newest.offset < partition.high_watermark else UNKNOWN
    return log.offset_for_timestamp(timestamp, partition.high_watermark) or UNKNOWN
