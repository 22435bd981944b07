"""ListGroups (API key 16), versions 0-5: the groups this broker coordinates."""

from broker.protocol.messages.list_groups import ListGroupsRequest, ListGroupsResponse
from broker.server.services import BrokerServices, RequestContext


def handle(request: ListGroupsRequest, context: RequestContext, broker: BrokerServices) -> ListGroupsResponse:
    return broker.groups.list_groups(request)
