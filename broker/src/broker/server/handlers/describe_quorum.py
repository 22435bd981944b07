"""DescribeQuorum (API key 55), versions 0-2: leader, voters and observers of the metadata quorum.

Asked of a broker, it comes from the active controller; asked of a controller that is not active, it is refused.
"""

from broker.protocol.messages.describe_quorum import DescribeQuorumRequest
from broker.server.services import DEFERRED, BrokerServices, Deferred, RequestContext


def handle(request: DescribeQuorumRequest, context: RequestContext, broker: BrokerServices) -> Deferred:
    relay = context.listener_name not in broker.config.controller_listener_names
    broker.quorum.handle_describe_quorum(request, context, relay=relay)
    return DEFERRED
