"""LeaveGroup (API key 13), versions 0-5: members go; handed to the group coordinator."""

from broker.protocol.messages.leave_group import LeaveGroupRequest
from broker.server.services import DEFERRED, BrokerServices, Deferred, RequestContext


def handle(request: LeaveGroupRequest, context: RequestContext, broker: BrokerServices) -> Deferred:
    broker.groups.leave_group(request, context.api_version, context.respond)
    return DEFERRED
