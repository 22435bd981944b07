"""DescribeTopicPartitions (API key 75), version 0: partitions page by page. Source: ``DescribeTopicPartitionsRequestHandler``."""

from broker.metadata import topic_names
from broker.metadata.image import PartitionImage, TopicImage
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.describe_topic_partitions import (
    Cursor,
    DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
)
from broker.server.authorized_operations import TOPIC_OPERATIONS
from broker.server.services import BrokerServices, RequestContext


def handle(
    request: DescribeTopicPartitionsRequest, context: RequestContext, broker: BrokerServices
) -> DescribeTopicPartitionsResponse:
    try:
        names, cursor = _names(request, broker)
    except KafkaError as error:
        refused = [DescribeTopicPartitionsResponseTopic(error_code=error.code, name=topic.name) for topic in request.topics]
        return DescribeTopicPartitionsResponse(topics=refused)
    left = max(min(broker.config.max_request_partition_size_limit, request.response_partition_limit), 1)
    found: list[DescribeTopicPartitionsResponseTopic] = []
    for name in names:
        topic = broker.metadata.image.topics.get(name)
        if topic is None:
            found.append(_missing(name))
            continue
        first = cursor.partition_index if cursor is not None and cursor.topic_name == name else 0
        if left <= 0:
            return DescribeTopicPartitionsResponse(topics=found, next_cursor=Cursor(topic_name=name, partition_index=first))
        page = [index for index in sorted(topic.partitions) if index >= first]
        found.append(_topic(topic, page[:left]))
        if len(page) > left:
            return DescribeTopicPartitionsResponse(topics=found, next_cursor=Cursor(topic_name=name, partition_index=page[left]))
        left -= len(page)
    return DescribeTopicPartitionsResponse(topics=found)


def _names(request: DescribeTopicPartitionsRequest, broker: BrokerServices) -> tuple[list[str], Cursor | None]:
    """The topics from the cursor on, in order; all of them when none is named."""
    cursor = request.cursor
    start = cursor.topic_name if cursor is not None else ""
    given = [topic.name for topic in request.topics]
    names = sorted(name for name in set(given or broker.metadata.image.topics) if name >= start)
    if cursor is not None:
        if given and start not in given:
            raise KafkaError(ErrorCode.INVALID_REQUEST, f"the cursor's topic {start} is not among the topics")
        if cursor.partition_index < 0:
            raise KafkaError(ErrorCode.INVALID_REQUEST, f"the cursor stands at partition {cursor.partition_index}")
    return names, cursor


def _missing(name: str) -> DescribeTopicPartitionsResponseTopic:
    bad = topic_names.problem(name) is not None
    code = ErrorCode.INVALID_TOPIC_EXCEPTION if bad else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    internal = name in topic_names.INTERNAL
    return DescribeTopicPartitionsResponseTopic(
        error_code=code, name=name, is_internal=internal, topic_authorized_operations=TOPIC_OPERATIONS
    )


def _topic(topic: TopicImage, indexes: list[int]) -> DescribeTopicPartitionsResponseTopic:
    return DescribeTopicPartitionsResponseTopic(
        name=topic.name,
        topic_id=topic.topic_id,
        is_internal=topic.name in topic_names.INTERNAL,
        topic_authorized_operations=TOPIC_OPERATIONS,
        partitions=[_partition(index, topic.partitions[index]) for index in indexes],
    )


def _partition(index: int, state: PartitionImage) -> DescribeTopicPartitionsResponsePartition:
    return DescribeTopicPartitionsResponsePartition(
        error_code=ErrorCode.NONE if state.leader >= 0 else ErrorCode.LEADER_NOT_AVAILABLE,
        partition_index=index,
        leader_id=state.leader,
        leader_epoch=state.leader_epoch,
        replica_nodes=list(state.replicas),
        isr_nodes=list(state.isr),
        eligible_leader_replicas=list(state.elr),
        last_known_elr=list(state.last_known_elr),
    )
