"""CreateTopics (API key 19), versions 2-7: handed to the controller."""

from broker.protocol.messages.create_topics import CreateTopicsRequest
from broker.server.services import DEFERRED, BrokerServices, Deferred, RequestContext


def handle(request: CreateTopicsRequest, context: RequestContext, broker: BrokerServices) -> Deferred:
    broker.controller.submit(request, context.api_version, context.respond)
    return DEFERRED
