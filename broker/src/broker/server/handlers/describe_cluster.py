"""DescribeCluster (API key 60), versions 0-2: the brokers as this listener reaches them."""

from broker.protocol.errors import ErrorCode
from broker.protocol.messages.describe_cluster import DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse
from broker.server.services import BrokerServices, RequestContext

BROKERS = 1


def handle(request: DescribeClusterRequest, context: RequestContext, broker: BrokerServices) -> DescribeClusterResponse:
    if request.endpoint_type != BROKERS:
        return DescribeClusterResponse(
            error_code=ErrorCode.MISMATCHED_ENDPOINT_TYPE, error_message="this is a broker's listener", endpoint_type=BROKERS
        )
    found = []
    for _, registered in sorted(broker.metadata.image.brokers.items()):
        endpoint = registered.endpoint(context.listener_name)
        if endpoint is not None and (not registered.fenced or request.include_fenced_brokers):
            found.append(
                DescribeClusterBroker(
                    broker_id=registered.broker_id,
                    host=endpoint.host,
                    port=endpoint.port,
                    rack=registered.rack,
                    is_fenced=registered.fenced,
                )
            )
    return DescribeClusterResponse(
        cluster_id=broker.cluster_id, controller_id=broker.node_id, brokers=found, endpoint_type=BROKERS
    )
