"""FindCoordinator (API key 10), versions 0-6: which broker coordinates a group.

The first question makes `__consumer_offsets`; until it is there the answer is COORDINATOR_NOT_AVAILABLE, and clients ask
again. Not done: transaction and share coordinators, which are answered INVALID_REQUEST.
"""

from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.find_coordinator import Coordinator, FindCoordinatorRequest, FindCoordinatorResponse
from broker.server.services import BrokerServices, RequestContext

GROUP_KEY = 0
BATCHED_SINCE = 4
NOBODY = -1


def handle(request: FindCoordinatorRequest, context: RequestContext, broker: BrokerServices) -> FindCoordinatorResponse:
    if context.api_version >= BATCHED_SINCE:
        return FindCoordinatorResponse(
            coordinators=[_find(key, request.key_type, context, broker) for key in request.coordinator_keys], error_message=None
        )
    found = _find(request.key, request.key_type, context, broker)
    return FindCoordinatorResponse(
        error_code=found.error_code, error_message=found.error_message, node_id=found.node_id, host=found.host, port=found.port
    )


def _find(key: str, key_type: int, context: RequestContext, broker: BrokerServices) -> Coordinator:
    try:
        if key_type != GROUP_KEY:
            raise KafkaError(ErrorCode.INVALID_REQUEST, f"there is no coordinator of key type {key_type}, only of groups (0)")
        leader = broker.groups.leader_of(key)
        registered = broker.metadata.image.brokers.get(leader)
        endpoint = registered.endpoint(context.listener_name) if registered is not None else None
        if endpoint is None:
            raise KafkaError(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    except KafkaError as error:
        return Coordinator(key=key, node_id=NOBODY, port=NOBODY, error_code=error.code, error_message=error.message)
    return Coordinator(key=key, node_id=leader, host=endpoint.host, port=endpoint.port, error_message=None)
