"""AllocateProducerIds (API key 67), version 0: what a broker asks of the active controller, on its controller listener."""

from broker.protocol.messages.allocate_producer_ids import AllocateProducerIdsRequest
from broker.server.services import DEFERRED, BrokerServices, Deferred, RequestContext


def handle(request: AllocateProducerIdsRequest, context: RequestContext, broker: BrokerServices) -> Deferred:
    context.is_peer(request.broker_id)
    broker.local_controller.submit(request, context.api_version, context.respond)
    return DEFERRED
