"""Produce (API key 0), versions 3-13: append one batch per partition, answer when enough replicas have it.

acks=0: nothing is sent, and after an error the connection is closed, so that the client refreshes its metadata. acks=1 is
answered when it is appended, acks=all when it is below the high watermark of every partition, or overdue.
Not done: transactions, quotas; a batch that belongs to a transaction is refused.
"""

from functools import partial

from broker.log.partition_log import AppendInfo
from broker.metadata import topic_names
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.produce import (
    BatchIndexAndErrorMessage,
    LeaderIdAndEpoch,
    NodeEndpoint,
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
    TopicProduceResponse,
)
from broker.record.batch import CODEC_MASK, TRANSACTIONAL_FLAG, Buffer, peek_attributes
from broker.record.compression import ZSTD
from broker.record.validation import RecordValidationError
from broker.replication.partition import ALL_REPLICAS, Partition
from broker.server.services import (
    DEFERRED,
    NO_RESPONSE,
    BrokerServices,
    CloseConnection,
    Deferred,
    NoResponse,
    RequestContext,
)

VALID_ACKS = (-1, 0, 1)
# What was appended, and the answer that is to tell of it.
Appended = tuple[Partition, AppendInfo, PartitionProduceResponse]
ZSTD_SINCE, LEADERS_SINCE, TOPIC_IDS_SINCE = 7, 10, 13


def handle(request: ProduceRequest, context: RequestContext, broker: BrokerServices) -> ProduceResponse | NoResponse | Deferred:
    appended: list[Appended] = []
    answers = [_append_topic(topic, request, context, broker, appended=appended) for topic in request.topic_data]
    if request.acks == 0:
        failed = [p.error_code for topic in answers for p in topic.partition_responses if p.error_code]
        if failed:
            raise CloseConnection(f"an acks=0 produce failed with {ErrorCode(failed[0]).name}")
        return NO_RESPONSE
    waiting = [one for one in appended if one[0].high_watermark <= one[1].last_offset] if request.acks == ALL_REPLICAS else []
    if not waiting:
        return ProduceResponse(responses=answers, node_endpoints=_leaders(answers, context, broker))
    _answer_when_committed(waiting, answers, request.timeout_ms, context, broker)
    return DEFERRED


def _answer_when_committed(
    waiting: list[Appended],
    answers: list[TopicProduceResponse],
    timeout_ms: int,
    context: RequestContext,
    broker: BrokerServices,
) -> None:
    """Answer when every partition has had its say."""
    left = len(waiting)

    def settled(partition: Partition, answer: PartitionProduceResponse, code: ErrorCode) -> None:
        nonlocal left
        left -= 1
        if code is not ErrorCode.NONE:
            answer.error_code = code
            # A topic that was deleted may have a successor of the same name, which somebody else leads.
            if code is ErrorCode.NOT_LEADER_OR_FOLLOWER and broker.replicas.name_of(partition.topic_id) is not None:
                _name_leader(answer, partition.topic, context, broker)
        if left == 0:
            context.respond(ProduceResponse(responses=answers, node_endpoints=_leaders(answers, context, broker)))

    for partition, info, answer in waiting:
        broker.replicas.when_committed(partition, info, timeout_ms, partial(settled, partition, answer))


def _append_topic(
    topic: TopicProduceData,
    request: ProduceRequest,
    context: RequestContext,
    broker: BrokerServices,
    appended: list[Appended],
) -> TopicProduceResponse:
    by_id = context.api_version >= TOPIC_IDS_SINCE
    name = broker.replicas.name_of(topic.topic_id) if by_id else topic.name
    missing = ErrorCode.UNKNOWN_TOPIC_ID if by_id else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    return TopicProduceResponse(
        name=topic.name,
        topic_id=topic.topic_id,
        partition_responses=[
            PartitionProduceResponse(index=data.index, error_code=missing, base_offset=-1)
            if name is None
            else _append(name, data, request, context, broker, appended=appended)
            for data in topic.partition_data
        ],
    )


def _append(
    name: str,
    data: PartitionProduceData,
    request: ProduceRequest,
    context: RequestContext,
    broker: BrokerServices,
    *,
    appended: list[Appended],
) -> PartitionProduceResponse:
    answer = PartitionProduceResponse(index=data.index, base_offset=-1)
    try:
        partition = broker.replicas.find(name, data.index)
        if data.records is None:
            raise KafkaError(ErrorCode.INVALID_RECORD, "there is no record batch")
        assert not isinstance(data.records, list | tuple)
        batch: Buffer = data.records  # type: ignore[assignment]
        _check(name, batch, request, context)
        info = broker.replicas.append(partition, batch, request.acks)
    except KafkaError as error:
        answer.error_code = error.code
        answer.error_message = error.message
        if isinstance(error, RecordValidationError):
            answer.record_errors = [
                BatchIndexAndErrorMessage(batch_index=one.batch_index, batch_index_error_message=one.message)
                for one in error.record_errors
            ]
        if error.code is ErrorCode.NOT_LEADER_OR_FOLLOWER:
            _name_leader(answer, name, context, broker)
        return answer
    answer.base_offset = info.first_offset
    answer.log_append_time_ms = info.log_append_time_ms
    answer.log_start_offset = partition.log.log_start_offset
    appended.append((partition, info, answer))
    return answer


def _name_leader(answer: PartitionProduceResponse, topic: str, context: RequestContext, broker: BrokerServices) -> None:
    """Who leads now (KIP-951)."""
    if context.api_version >= LEADERS_SINCE:
        leader_id, leader_epoch = broker.leader_of(topic, answer.index)
        answer.current_leader = LeaderIdAndEpoch(leader_id=leader_id, leader_epoch=leader_epoch)


def _check(name: str, batch: Buffer, request: ProduceRequest, context: RequestContext) -> None:
    """What is asked of a batch before its partition sees it."""
    attributes = peek_attributes(batch)
    if attributes & TRANSACTIONAL_FLAG and request.transactional_id is None:
        raise KafkaError(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "a batch of a transaction without transactional.id")
    if context.api_version < ZSTD_SINCE and attributes & CODEC_MASK == ZSTD:
        raise KafkaError(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, f"zstd may be used from version {ZSTD_SINCE} of Produce on")
    if request.acks not in VALID_ACKS:
        raise KafkaError(ErrorCode.INVALID_REQUIRED_ACKS, f"acks={request.acks} is not one of -1, 0, 1")
    if request.transactional_id is not None:
        raise KafkaError(ErrorCode.UNSUPPORTED_VERSION, "transactions are not supported yet")
    if name in topic_names.INTERNAL:
        raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, f"{name} is an internal topic; clients may not write to it")


def _leaders(answers: list[TopicProduceResponse], context: RequestContext, broker: BrokerServices) -> list[NodeEndpoint]:
    """Where the leaders are that the producer should have asked (KIP-951)."""
    if context.api_version < LEADERS_SINCE:
        return []
    nodes = {
        answer.current_leader.leader_id
        for topic in answers
        for answer in topic.partition_responses
        if answer.error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
    }
    reachable = [broker.reachable(node, context.listener_name) for node in sorted(nodes)]
    return [
        NodeEndpoint(node_id=found.broker_id, host=endpoint.host, port=endpoint.port, rack=found.rack)
        for found, endpoint in filter(None, reachable)
    ]
