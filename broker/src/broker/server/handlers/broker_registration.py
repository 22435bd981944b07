"""BrokerRegistration (API key 62), versions 0-4: what a broker asks of the active controller, on its controller listener."""

from broker.protocol.messages.broker_registration import BrokerRegistrationRequest
from broker.server.services import DEFERRED, BrokerServices, Deferred, RequestContext


def handle(request: BrokerRegistrationRequest, context: RequestContext, broker: BrokerServices) -> Deferred:
    context.is_peer(request.broker_id)
    broker.local_controller.submit(request, context.api_version, context.respond)
    return DEFERRED
