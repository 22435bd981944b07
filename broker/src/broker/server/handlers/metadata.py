"""Metadata (API key 3), versions 0-13: brokers and topics; makes a topic that is asked for and missing, when allowed.

A missing topic is answered with UNKNOWN_TOPIC_OR_PARTITION while it is being made; clients ask again.
"""

import logging
import uuid

from broker.metadata import topic_names
from broker.metadata.image import NO_LEADER, PartitionImage, TopicImage
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.create_topics import CreatableTopic, CreateTopicsRequest, CreateTopicsResponse
from broker.protocol.messages.metadata import (
    MetadataRequest,
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)
from broker.protocol.types import ZERO_UUID
from broker.server.authorized_operations import CLUSTER_OPERATIONS, NOT_ASKED, TOPIC_OPERATIONS
from broker.server.services import DEFERRED, BrokerServices, Deferred, RequestContext

log = logging.getLogger("broker.server")
# From this version on topics may be asked for by id.
IDS_SINCE = 12
CREATE_VERSION = 7
CREATE_TIMEOUT_MS = 30_000
# How long an answer waits where there are other nodes, so that the end of a node's connections is heard first (docs/adr/0014).
NEWS_MS = 3
# Names that are being made at the same time; more wait for the client's next try.
CREATING_MAX = 1000


def handle(request: MetadataRequest, context: RequestContext, broker: BrokerServices) -> MetadataResponse | Deferred:
    if context.api_version < IDS_SINCE and any(item.name is None or item.topic_id != ZERO_UUID for item in request.topics or []):
        return _refusal(request)
    if len(broker.metadata.image.brokers) <= 1:
        return _answer(request, context, broker)
    # Is another node dying in this very moment, the client may have been told sooner than this one.
    broker.clock.call_at(broker.clock.monotonic_ms() + NEWS_MS, lambda: context.respond(_answer(request, context, broker)))
    return DEFERRED


def _answer(request: MetadataRequest, context: RequestContext, broker: BrokerServices) -> MetadataResponse:
    image = broker.metadata.image
    wants_all = request.topics is None or (context.api_version == 0 and not request.topics)
    if wants_all:
        topics = [_topic(topic, request, broker) for _, topic in sorted(image.topics.items())]
    else:
        topics = [_asked(item.name, item.topic_id, request, broker) for item in request.topics or []]
    brokers = []
    for _, registered in sorted(image.brokers.items()):
        endpoint = registered.endpoint(context.listener_name)
        if endpoint is not None and not registered.fenced:
            brokers.append(
                MetadataResponseBroker(node_id=registered.broker_id, host=endpoint.host, port=endpoint.port, rack=registered.rack)
            )
    controller = brokers[0].node_id if brokers else -1
    response = MetadataResponse(brokers=brokers, cluster_id=broker.cluster_id, controller_id=controller, topics=topics)
    if request.include_cluster_authorized_operations:
        response.cluster_authorized_operations = CLUSTER_OPERATIONS
    return response


def _refusal(request: MetadataRequest) -> MetadataResponse:
    """Versions 10 and 11 have topic ids and no way to answer one that is unknown (KAFKA-12701): they are refused, all or none."""
    topics = [
        MetadataResponseTopic(error_code=ErrorCode.INVALID_REQUEST, name=item.name or "", topic_id=item.topic_id)
        for item in request.topics or []
    ]
    return MetadataResponse(topics=topics)


def _asked(name: str | None, topic_id: uuid.UUID, request: MetadataRequest, broker: BrokerServices) -> MetadataResponseTopic:
    image = broker.metadata.image
    if topic_id != ZERO_UUID:
        by_id = image.topic_by_id(topic_id)
        if by_id is None:
            return MetadataResponseTopic(error_code=ErrorCode.UNKNOWN_TOPIC_ID, name=None, topic_id=topic_id)
        return _topic(by_id, request, broker)
    topic = image.topics.get(name or "")
    if topic is not None:
        return _topic(topic, request, broker)
    operations = _operations(request)
    if topic_names.problem(name or "") is not None:
        return MetadataResponseTopic(
            error_code=ErrorCode.INVALID_TOPIC_EXCEPTION, name=name, topic_authorized_operations=operations
        )
    if request.allow_auto_topic_creation and broker.config.auto_create_topics_enable:
        _create(name or "", broker)
    internal = name in topic_names.INTERNAL
    return MetadataResponseTopic(
        error_code=ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        name=name,
        is_internal=internal,
        topic_authorized_operations=operations,
    )


def _operations(request: MetadataRequest) -> int:
    return TOPIC_OPERATIONS if request.include_topic_authorized_operations else NOT_ASKED


def _create(name: str, broker: BrokerServices) -> None:
    if name in topic_names.INTERNAL:
        # These have settings of their own; whoever keeps something in them makes them.
        if name == topic_names.CONSUMER_OFFSETS:
            broker.groups.ensure_topic()
        return
    if name in broker.creating or len(broker.creating) >= CREATING_MAX:
        return
    broker.creating[name] = None
    topic = CreatableTopic(name=name, num_partitions=-1, replication_factor=-1)
    request = CreateTopicsRequest(topics=[topic], timeout_ms=CREATE_TIMEOUT_MS)

    def done(response: CreateTopicsResponse) -> None:
        broker.creating.pop(name, None)
        (made,) = response.topics
        if not made.error_message or made.error_code == ErrorCode.TOPIC_ALREADY_EXISTS:
            broker.refused.pop(name, None)
        elif name not in broker.refused and len(broker.refused) < CREATING_MAX:
            # Clients ask again and again; this is said once.
            broker.refused[name] = None
            log.warning("topic %s was asked for and cannot be made: %s", name, made.error_message)

    broker.controller.submit(request, CREATE_VERSION, done)


def _topic(topic: TopicImage, request: MetadataRequest, broker: BrokerServices) -> MetadataResponseTopic:
    return MetadataResponseTopic(
        topic_authorized_operations=_operations(request),
        name=topic.name,
        topic_id=topic.topic_id,
        is_internal=topic.name in topic_names.INTERNAL,
        partitions=[_partition(index, state, broker) for index, state in sorted(topic.partitions.items())],
    )


def _partition(index: int, state: PartitionImage, broker: BrokerServices) -> MetadataResponsePartition:
    """A leader whose connections have just ended is not one to go to.

    A client that lost its connection asks at once, before the controller has decided. Named the dead leader again, it would stay
    with it until its next round (librdkafka: a second); told LEADER_NOT_AVAILABLE, as Kafka says of a leader that is not alive,
    it asks again until there is one.
    """
    known = state.leader >= 0 and not broker.in_doubt(state.leader)
    return MetadataResponsePartition(
        error_code=ErrorCode.NONE if known else ErrorCode.LEADER_NOT_AVAILABLE,
        partition_index=index,
        leader_id=state.leader if known else NO_LEADER,
        leader_epoch=state.leader_epoch,
        replica_nodes=list(state.replicas),
        isr_nodes=list(state.isr),
    )
