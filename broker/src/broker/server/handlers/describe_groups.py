"""DescribeGroups (API key 15), versions 0-6: state, members and assignments of classic groups."""

from broker.protocol.messages.describe_groups import DescribeGroupsRequest, DescribeGroupsResponse
from broker.server.services import BrokerServices, RequestContext


def handle(request: DescribeGroupsRequest, context: RequestContext, broker: BrokerServices) -> DescribeGroupsResponse:
    return broker.groups.describe_groups(request, context.api_version)
