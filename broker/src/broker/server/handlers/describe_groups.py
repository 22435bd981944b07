"""DescribeGroups (API key 15), versions 0-6: state, members and assignments of classic groups."""

from broker.protocol.messages.describe_groups import DescribeGroupsRequest, DescribeGroupsResponse
from broker.server.authorized_operations import GROUP_OPERATIONS
from broker.server.services import BrokerServices, RequestContext


def handle(request: DescribeGroupsRequest, context: RequestContext, broker: BrokerServices) -> DescribeGroupsResponse:
    response = broker.groups.describe_groups(request, context.api_version)
    if request.include_authorized_operations:
        for group in response.groups:
            if not group.error_code:
                group.authorized_operations = GROUP_OPERATIONS
    return response
