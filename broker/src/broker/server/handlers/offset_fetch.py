"""OffsetFetch (API key 9), versions 1-10: the offsets of one group (to 7) or of several.

Version 10 names topics by id. There are no transactions, so every offset is stable.
"""

from broker.protocol.errors import ErrorCode
from broker.protocol.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
)
from broker.server.services import BrokerServices, RequestContext

GROUPS_SINCE, TOPIC_IDS_SINCE, GROUP_ERROR_SINCE = 8, 10, 2
NO_OFFSET = -1


def handle(request: OffsetFetchRequest, context: RequestContext, broker: BrokerServices) -> OffsetFetchResponse:
    if context.api_version >= GROUPS_SINCE:
        by_id = context.api_version >= TOPIC_IDS_SINCE
        return OffsetFetchResponse(groups=[_fetch_by_id(g, broker) if by_id else _fetch(g, broker) for g in request.groups])
    topics = None
    if request.topics is not None:
        topics = [OffsetFetchRequestTopics(name=t.name, partition_indexes=t.partition_indexes) for t in request.topics]
    found = _fetch(OffsetFetchRequestGroup(group_id=request.group_id, topics=topics), broker)
    return _single(found, request, context.api_version)


def _fetch(group: OffsetFetchRequestGroup, broker: BrokerServices) -> OffsetFetchResponseGroup:
    return broker.groups.offset_fetch(group)


def _fetch_by_id(group: OffsetFetchRequestGroup, broker: BrokerServices) -> OffsetFetchResponseGroup:
    """Give the topics their names; those without one are answered UNKNOWN_TOPIC_ID."""
    image = broker.metadata.image
    unknown: list[OffsetFetchResponseTopics] = []
    if group.topics is not None:
        named = []
        for topic in group.topics:
            known = image.topic_by_id(topic.topic_id)
            if known is None:
                unknown.append(_refused(topic))
            else:
                topic.name = known.name
                named.append(topic)
        group.topics = named
    response = broker.groups.offset_fetch(group)
    kept = []
    for answer in response.topics:
        found = image.topics.get(answer.name)
        # Asked for all: topics that are gone have no id to be named by.
        if found is not None:
            answer.topic_id = found.topic_id
            kept.append(answer)
    response.topics = kept + unknown
    return response


def _refused(topic: OffsetFetchRequestTopics) -> OffsetFetchResponseTopics:
    return OffsetFetchResponseTopics(
        topic_id=topic.topic_id,
        partitions=[
            OffsetFetchResponsePartitions(
                partition_index=index, committed_offset=NO_OFFSET, metadata="", error_code=ErrorCode.UNKNOWN_TOPIC_ID
            )
            for index in topic.partition_indexes
        ],
    )


def _single(found: OffsetFetchResponseGroup, request: OffsetFetchRequest, version: int) -> OffsetFetchResponse:
    """The answer of the versions that know one group. Version 1 has no error of its own: each partition says it."""
    topics = [
        OffsetFetchResponseTopic(
            name=topic.name,
            partitions=[
                OffsetFetchResponsePartition(
                    partition_index=one.partition_index,
                    committed_offset=one.committed_offset,
                    committed_leader_epoch=one.committed_leader_epoch,
                    metadata=one.metadata,
                    error_code=one.error_code,
                )
                for one in topic.partitions
            ],
        )
        for topic in found.topics
    ]
    if found.error_code and version < GROUP_ERROR_SINCE:
        topics = [
            OffsetFetchResponseTopic(
                name=topic.name,
                partitions=[
                    OffsetFetchResponsePartition(
                        partition_index=index, committed_offset=NO_OFFSET, metadata="", error_code=found.error_code
                    )
                    for index in topic.partition_indexes
                ],
            )
            for topic in request.topics or []
        ]
    return OffsetFetchResponse(topics=topics, error_code=found.error_code)
