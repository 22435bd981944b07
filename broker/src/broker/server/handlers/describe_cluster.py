"""DescribeCluster (API key 60), versions 0-2: the brokers as a broker's listener reaches them, or the controllers (KIP-919).

A listener answers for its own kind alone. Controllers are those that have registered, with their endpoint of the listener that
is asked. Source: ``AuthHelper.computeDescribeClusterResponse``, ``ControllerRegistrationsPublisher``.
"""

from broker.protocol.errors import ErrorCode
from broker.protocol.messages.describe_cluster import DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse
from broker.server.authorized_operations import CLUSTER_OPERATIONS
from broker.server.services import BrokerServices, RequestContext

BROKERS, CONTROLLERS = 1, 2
NAMES = {BROKERS: "BROKER", CONTROLLERS: "CONTROLLER"}
# Before this version there were no endpoint types, and no codes to speak of them.
ENDPOINT_TYPES_SINCE = 1


def handle(request: DescribeClusterRequest, context: RequestContext, broker: BrokerServices) -> DescribeClusterResponse:
    kind = CONTROLLERS if context.listener_name in broker.config.controller_listener_names else BROKERS
    if request.endpoint_type != kind:
        return _mismatch(request.endpoint_type, kind, context)
    if kind == BROKERS:
        found = _brokers(request, context, broker)
        controller = broker.node_id if any(one.broker_id == broker.node_id for one in found) else -1
    else:
        # Whoever asks a controller goes on to the active one.
        found = _controllers(context, broker)
        leader_id = broker.quorum.leader_id
        controller = leader_id if any(one.broker_id == leader_id for one in found) else -1
    response = DescribeClusterResponse(cluster_id=broker.cluster_id, controller_id=controller, brokers=found, endpoint_type=kind)
    if request.include_cluster_authorized_operations:
        response.cluster_authorized_operations = CLUSTER_OPERATIONS
    return response


def _mismatch(wanted: int, kind: int, context: RequestContext) -> DescribeClusterResponse:
    if wanted in NAMES:
        code = ErrorCode.MISMATCHED_ENDPOINT_TYPE
        text = f"The request was sent to an endpoint of type {NAMES[kind]}, but we wanted an endpoint of type {NAMES[wanted]}"
    else:
        code, text = ErrorCode.UNSUPPORTED_ENDPOINT_TYPE, f"Unsupported endpoint type {wanted}"
    if context.api_version < ENDPOINT_TYPES_SINCE:
        code = ErrorCode.INVALID_REQUEST
    return DescribeClusterResponse(error_code=code, error_message=text)


def _brokers(request: DescribeClusterRequest, context: RequestContext, broker: BrokerServices) -> list[DescribeClusterBroker]:
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
    return found


def _controllers(context: RequestContext, broker: BrokerServices) -> list[DescribeClusterBroker]:
    found = []
    for _, registered in sorted(broker.metadata.image.controllers.items()):
        endpoint = registered.endpoint(context.listener_name)
        if endpoint is not None:
            found.append(DescribeClusterBroker(broker_id=registered.controller_id, host=endpoint.host, port=endpoint.port))
    return found
