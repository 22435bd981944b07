"""OffsetCommit (API key 8), versions 2-10: keep the offsets of a group.

Version 10 names topics by id. Partitions that do not exist are answered here; the coordinator keeps the others.
"""

from broker.protocol.errors import ErrorCode
from broker.protocol.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)
from broker.server.services import DEFERRED, BrokerServices, Deferred, RequestContext

TOPIC_IDS_SINCE = 10


def handle(request: OffsetCommitRequest, context: RequestContext, broker: BrokerServices) -> OffsetCommitResponse | Deferred:
    refused: list[OffsetCommitResponseTopic] = []
    request.topics = [_known(topic, context, broker, refused) for topic in request.topics]
    if not any(topic.partitions for topic in request.topics):
        return OffsetCommitResponse(topics=refused)

    def respond(response: OffsetCommitResponse) -> None:
        _merge(response, refused)
        context.respond(response)

    broker.groups.offset_commit(request, context.api_version, respond)
    return DEFERRED


def _known(
    topic: OffsetCommitRequestTopic, context: RequestContext, broker: BrokerServices, refused: list[OffsetCommitResponseTopic]
) -> OffsetCommitRequestTopic:
    """The topic with those of its partitions that exist; the others go to `refused`."""
    image = broker.metadata.image
    if context.api_version >= TOPIC_IDS_SINCE:
        found = image.topic_by_id(topic.topic_id)
        missing = ErrorCode.UNKNOWN_TOPIC_ID
    else:
        found = image.topics.get(topic.name)
        missing = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if found is not None:
        topic.name, topic.topic_id = found.name, found.topic_id
    absent = []
    kept = []
    for item in topic.partitions:
        if found is not None and item.partition_index in found.partitions:
            kept.append(item)
        else:
            code = missing if found is None else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            absent.append(OffsetCommitResponsePartition(partition_index=item.partition_index, error_code=code))
    if absent:
        refused.append(OffsetCommitResponseTopic(name=topic.name, topic_id=topic.topic_id, partitions=absent))
    topic.partitions = kept
    return topic


def _merge(response: OffsetCommitResponse, refused: list[OffsetCommitResponseTopic]) -> None:
    by_key = {(topic.name, topic.topic_id): topic for topic in response.topics}
    for topic in refused:
        known = by_key.get((topic.name, topic.topic_id))
        if known is not None:
            known.partitions += topic.partitions
        else:
            response.topics.append(topic)
