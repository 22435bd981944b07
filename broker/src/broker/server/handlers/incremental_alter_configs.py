"""IncrementalAlterConfigs (API key 44), versions 0-1: handed to the controller."""

from broker.protocol.messages.incremental_alter_configs import IncrementalAlterConfigsRequest
from broker.server.services import DEFERRED, BrokerServices, Deferred, RequestContext


def handle(request: IncrementalAlterConfigsRequest, context: RequestContext, broker: BrokerServices) -> Deferred:
    broker.controller.submit(request, context.api_version, context.respond)
    return DEFERRED
