"""SyncGroup (API key 14), versions 0-5: the assignment of a generation; handed to the group coordinator."""

from broker.protocol.messages.sync_group import SyncGroupRequest
from broker.server.services import DEFERRED, BrokerServices, Deferred, RequestContext


def handle(request: SyncGroupRequest, context: RequestContext, broker: BrokerServices) -> Deferred:
    broker.groups.sync_group(request, context.respond)
    return DEFERRED
