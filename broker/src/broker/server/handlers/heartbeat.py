"""Heartbeat (API key 12), versions 0-4: a member lives; handed to the group coordinator."""

from broker.protocol.messages.heartbeat import HeartbeatRequest
from broker.server.services import DEFERRED, BrokerServices, Deferred, RequestContext


def handle(request: HeartbeatRequest, context: RequestContext, broker: BrokerServices) -> Deferred:
    broker.groups.heartbeat(request, context.respond)
    return DEFERRED
