"""AlterPartition (API key 56), versions 2-3: what a broker asks of the active controller, on its controller listener."""

from broker.protocol.messages.alter_partition import AlterPartitionRequest
from broker.server.services import DEFERRED, BrokerServices, Deferred, RequestContext


def handle(request: AlterPartitionRequest, context: RequestContext, broker: BrokerServices) -> Deferred:
    context.is_peer(request.broker_id)
    broker.local_controller.submit(request, context.api_version, context.respond)
    return DEFERRED
