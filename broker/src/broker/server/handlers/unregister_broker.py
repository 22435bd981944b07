"""UnregisterBroker (API key 64), version 0: handed to the controller."""

from broker.protocol.messages.unregister_broker import UnregisterBrokerRequest
from broker.server.services import DEFERRED, BrokerServices, Deferred, RequestContext


def handle(request: UnregisterBrokerRequest, context: RequestContext, broker: BrokerServices) -> Deferred:
    broker.controller.submit(request, context.api_version, context.respond)
    return DEFERRED
