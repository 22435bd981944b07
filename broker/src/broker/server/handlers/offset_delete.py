"""OffsetDelete (API key 47), version 0: forget offsets of a group; handed to the group coordinator."""

from broker.protocol.messages.offset_delete import OffsetDeleteRequest
from broker.server.services import DEFERRED, BrokerServices, Deferred, RequestContext


def handle(request: OffsetDeleteRequest, context: RequestContext, broker: BrokerServices) -> Deferred:
    broker.groups.offset_delete(request, context.respond)
    return DEFERRED
