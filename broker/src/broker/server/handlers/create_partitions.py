"""CreatePartitions (API key 37), versions 0-3: handed to the controller."""

from broker.protocol.messages.create_partitions import CreatePartitionsRequest
from broker.server.services import DEFERRED, BrokerServices, Deferred, RequestContext


def handle(request: CreatePartitionsRequest, context: RequestContext, broker: BrokerServices) -> Deferred:
    broker.controller.submit(request, context.api_version, context.respond)
    return DEFERRED
