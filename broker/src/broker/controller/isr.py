"""Decisions about ISRs that leaders ask for. Source: ``ReplicationControlManager.alterPartition``.

Invariant: a change is taken only in the leader epoch and the partition epoch that the leader knows, and only with members that
are registered, unfenced, not about to stop, and in the epoch in which they fetch.
"""

from broker.controller.context import Context
from broker.controller.elections import RECOVERED, RECOVERING, change_partition, is_active
from broker.core import Result
from broker.metadata.image import MetadataImage, PartitionImage, TopicImage
from broker.protocol.errors import ErrorCode
from broker.protocol.message import Record
from broker.protocol.messages.alter_partition import (
    AlterPartitionRequest,
    AlterPartitionResponse,
    BrokerState,
    PartitionData,
    ResponsePartitionData,
    ResponseTopicData,
)

ANY_EPOCH = -1


def alter_partition(request: AlterPartitionRequest, context: Context) -> Result[Record, AlterPartitionResponse]:
    """Each partition is decided on its own; a leader with another epoch than it is registered under is refused as a whole."""
    broker = context.image.brokers.get(request.broker_id)
    if broker is None or broker.epoch != request.broker_epoch:
        return Result(AlterPartitionResponse(error_code=ErrorCode.STALE_BROKER_EPOCH))
    response = AlterPartitionResponse()
    records: list[Record] = []
    for asked in request.topics:
        topic = context.image.topic_by_id(asked.topic_id)
        answer = ResponseTopicData(topic_id=asked.topic_id)
        response.topics.append(answer)
        for data in asked.partitions:
            answer.partitions.append(_alter(request.broker_id, topic, data, context, records))
    return Result(response, records)


def _alter(
    leader_id: int, topic: TopicImage | None, data: PartitionData, context: Context, records: list[Record]
) -> ResponsePartitionData:
    partition = topic.partitions.get(data.partition_index) if topic is not None else None
    code = ErrorCode.UNKNOWN_TOPIC_ID if topic is None else _refusal(leader_id, partition, data, context)
    if topic is None or partition is None or code is not ErrorCode.NONE:
        return ResponsePartitionData(partition_index=data.partition_index, error_code=code)
    record = change_partition(
        context,
        topic,
        data.partition_index,
        lambda replica: is_active(context, replica),
        target_isr=tuple(member.broker_id for member in _members(data)),
        leader_recovery_state=data.leader_recovery_state,
    )
    after = partition
    if record is not None:
        records.append(record)
        after = _after(context.image, topic, data.partition_index, record)
        if after.leader != leader_id:
            return ResponsePartitionData(partition_index=data.partition_index, error_code=ErrorCode.NEW_LEADER_ELECTED)
    return ResponsePartitionData(
        partition_index=data.partition_index,
        leader_id=after.leader,
        leader_epoch=after.leader_epoch,
        isr=list(after.isr),
        leader_recovery_state=after.leader_recovery_state,
        partition_epoch=after.partition_epoch,
    )


def _members(data: PartitionData) -> list[BrokerState]:
    """Version 2 does not say the epochs of the brokers."""
    return data.new_isr_with_epochs or [BrokerState(broker_id=one, broker_epoch=ANY_EPOCH) for one in data.new_isr]


def _after(image: MetadataImage, topic: TopicImage, index: int, record: Record) -> PartitionImage:
    return image.apply([record], image.offset + 1).topics[topic.name].partitions[index]


def _refusal(leader_id: int, partition: PartitionImage | None, data: PartitionData, context: Context) -> ErrorCode:
    if partition is None:
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if data.leader_epoch > partition.leader_epoch or data.partition_epoch > partition.partition_epoch:
        # The leader knows more than this controller, which is none any more.
        return ErrorCode.NOT_CONTROLLER
    if data.leader_epoch < partition.leader_epoch:
        return ErrorCode.FENCED_LEADER_EPOCH
    if leader_id != partition.leader:
        return ErrorCode.INVALID_REQUEST
    if data.partition_epoch < partition.partition_epoch:
        return ErrorCode.INVALID_UPDATE_VERSION
    return _refusal_of_members(partition, data, context)


def _refusal_of_members(partition: PartitionImage, data: PartitionData, context: Context) -> ErrorCode:
    members = _members(data)
    ids = [member.broker_id for member in members]
    valid = len(set(ids)) == len(ids) and all(one in partition.replicas for one in ids) and partition.leader in ids
    state = data.leader_recovery_state
    recovers = state == RECOVERING and (len(ids) > 1 or partition.leader_recovery_state == RECOVERED)
    if not valid or recovers or state not in (RECOVERED, RECOVERING):
        return ErrorCode.INVALID_REQUEST
    for member in members:
        known = context.image.brokers.get(member.broker_id)
        if known is None or known.fenced or known.in_controlled_shutdown:
            return ErrorCode.INELIGIBLE_REPLICA
        if member.broker_epoch not in (ANY_EPOCH, known.epoch):
            return ErrorCode.INELIGIBLE_REPLICA
    return ErrorCode.NONE
