"""ElectLeaders (API key 43), versions 0-2: handed to the controller."""

from broker.protocol.messages.elect_leaders import ElectLeadersRequest
from broker.server.services import DEFERRED, BrokerServices, Deferred, RequestContext


def handle(request: ElectLeadersRequest, context: RequestContext, broker: BrokerServices) -> Deferred:
    broker.controller.submit(request, context.api_version, context.respond)
    return DEFERRED
