"""DeleteGroups (API key 42), versions 0-2: delete groups without members; handed to the group coordinator."""

from broker.protocol.messages.delete_groups import DeleteGroupsRequest
from broker.server.services import DEFERRED, BrokerServices, Deferred, RequestContext


def handle(request: DeleteGroupsRequest, context: RequestContext, broker: BrokerServices) -> Deferred:
    broker.groups.delete_groups(request, context.respond)
    return DEFERRED
