"""JoinGroup (API key 11), versions 0-9: join a group, or come back to it; handed to the group coordinator."""

from broker.group.membership import Client
from broker.protocol.messages.join_group import JoinGroupRequest, JoinGroupResponse
from broker.server.services import DEFERRED, BrokerServices, Deferred, RequestContext

# Before this version the protocol's name cannot be null.
NULL_PROTOCOL_SINCE = 7


def handle(request: JoinGroupRequest, context: RequestContext, broker: BrokerServices) -> Deferred:
    def respond(response: JoinGroupResponse) -> None:
        if response.protocol_name is None and context.api_version < NULL_PROTOCOL_SINCE:
            response.protocol_name = ""
        context.respond(response)

    # Kafka shows hosts as Java prints them, with a slash.
    broker.groups.join_group(request, context.api_version, Client(context.client_id or "", f"/{context.client_host}"), respond)
    return DEFERRED
