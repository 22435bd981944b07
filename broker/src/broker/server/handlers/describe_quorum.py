"""DescribeQuorum (API key 55), versions 0-2: leader, voters and observers of the metadata quorum."""

from broker.metadata.topic_names import CLUSTER_METADATA
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.describe_quorum import (
    DescribeQuorumRequest,
    DescribeQuorumResponse,
    Listener,
    Node,
    PartitionData,
    ReplicaState,
    ResponsePartitionData,
    ResponseTopicData,
)
from broker.server.services import BrokerServices, RequestContext

NODES_SINCE = 2


def handle(request: DescribeQuorumRequest, context: RequestContext, broker: BrokerServices) -> DescribeQuorumResponse:
    topics = []
    for topic in request.topics:
        known = topic.topic_name == CLUSTER_METADATA
        partitions = [_partition(item, broker, known=known) for item in topic.partitions]
        topics.append(ResponseTopicData(topic_name=topic.topic_name, partitions=partitions))
    nodes = _nodes(broker) if context.api_version >= NODES_SINCE else []
    return DescribeQuorumResponse(error_message=None, topics=topics, nodes=nodes)


def _partition(item: PartitionData, broker: BrokerServices, *, known: bool) -> ResponsePartitionData:
    if not known or item.partition_index != 0:
        return ResponsePartitionData(
            partition_index=item.partition_index, error_code=ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, error_message=None
        )
    driver = broker.quorum
    now = broker.clock.wall_ms()
    return ResponsePartitionData(
        partition_index=0,
        error_message=None,
        leader_id=driver.core.node_id,
        leader_epoch=driver.epoch,
        high_watermark=driver.core.high_watermark,
        current_voters=[
            ReplicaState(
                replica_id=voter,
                log_end_offset=driver.log.log_end_offset,
                last_fetch_timestamp=now,
                last_caught_up_timestamp=now,
            )
            for voter in driver.core.voters
        ],
    )


def _nodes(broker: BrokerServices) -> list[Node]:
    """The voters' controller listeners."""
    names = broker.config.controller_listener_names
    return [
        Node(node_id=voter.node_id, listeners=[Listener(name=names[0], host=voter.host, port=voter.port)])
        for voter in broker.config.voters
        if names
    ]
