"""DeleteTopics (API key 20), versions 1-6: handed to the controller."""

from broker.protocol.messages.delete_topics import DeleteTopicsRequest
from broker.server.services import DEFERRED, BrokerServices, Deferred, RequestContext


def handle(request: DeleteTopicsRequest, context: RequestContext, broker: BrokerServices) -> Deferred:
    broker.controller.submit(request, context.api_version, context.respond)
    return DEFERRED
