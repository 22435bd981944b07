"""Produce (API key 0), versions 3-13: append one batch per partition, answer when enough replicas have it.

acks=0: nothing is sent, and after an error the connection is closed, so that the client refreshes its metadata.
With one replica the ISR is this node, so acks=1 and acks=all are answered at once. Not done: transactions, quotas.
"""

from broker.metadata import topic_names
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.produce import (
    LeaderIdAndEpoch,
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
    TopicProduceResponse,
)
from broker.server.services import NO_RESPONSE, BrokerServices, CloseConnection, NoResponse, RequestContext

VALID_ACKS = (-1, 0, 1)


def handle(request: ProduceRequest, context: RequestContext, broker: BrokerServices) -> ProduceResponse | NoResponse:
    answers = [_append_topic(topic, request, context, broker) for topic in request.topic_data]
    if request.acks == 0:
        failed = [p.error_code for topic in answers for p in topic.partition_responses if p.error_code]
        if failed:
            raise CloseConnection(f"an acks=0 produce failed with {ErrorCode(failed[0]).name}")
        return NO_RESPONSE
    return ProduceResponse(responses=answers)


def _append_topic(
    topic: TopicProduceData, request: ProduceRequest, context: RequestContext, broker: BrokerServices
) -> TopicProduceResponse:
    by_id = context.api_version >= 13
    name = broker.replicas.name_of(topic.topic_id) if by_id else topic.name
    missing = ErrorCode.UNKNOWN_TOPIC_ID if by_id else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    return TopicProduceResponse(
        name=topic.name,
        topic_id=topic.topic_id,
        partition_responses=[
            PartitionProduceResponse(index=data.index, error_code=missing, base_offset=-1)
            if name is None
            else _append(name, data, request, broker)
            for data in topic.partition_data
        ],
    )


def _append(name: str, data: PartitionProduceData, request: ProduceRequest, broker: BrokerServices) -> PartitionProduceResponse:
    answer = PartitionProduceResponse(index=data.index, base_offset=-1)
    try:
        if request.acks not in VALID_ACKS:
            raise KafkaError(ErrorCode.INVALID_REQUIRED_ACKS, f"acks={request.acks} is not one of -1, 0, 1")
        if request.transactional_id is not None:
            raise KafkaError(ErrorCode.UNSUPPORTED_VERSION, "transactions are not supported yet")
        if name in topic_names.INTERNAL:
            raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, f"{name} is an internal topic; clients may not write to it")
        partition = broker.replicas.find(name, data.index)
        if data.records is None:
            raise KafkaError(ErrorCode.INVALID_RECORD, "there is no record batch")
        assert not isinstance(data.records, list | tuple)
        info = broker.replicas.append(partition, data.records, request.acks)  # type: ignore[arg-type]
    except KafkaError as error:
        answer.error_code = error.code
        answer.error_message = error.message
        if error.code is ErrorCode.NOT_LEADER_OR_FOLLOWER:
            answer.current_leader = _current_leader(name, data.index, broker)
        return answer
    answer.base_offset = info.first_offset
    answer.log_append_time_ms = info.log_append_time_ms
    answer.log_start_offset = partition.log.log_start_offset
    return answer


def _current_leader(name: str, index: int, broker: BrokerServices) -> LeaderIdAndEpoch:
    topic = broker.metadata.image.topics.get(name)
    partition = topic.partitions.get(index) if topic is not None else None
    if partition is None:
        return LeaderIdAndEpoch()
    return LeaderIdAndEpoch(leader_id=partition.leader, leader_epoch=partition.leader_epoch)
