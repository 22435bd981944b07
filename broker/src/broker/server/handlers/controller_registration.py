"""ControllerRegistration (API key 70), version 0: what a controller asks of the active one, on its controller listener."""

from broker.protocol.messages.controller_registration import ControllerRegistrationRequest
from broker.server.services import DEFERRED, BrokerServices, Deferred, RequestContext


def handle(request: ControllerRegistrationRequest, context: RequestContext, broker: BrokerServices) -> Deferred:
    broker.local_controller.submit(request, context.api_version, context.respond)
    return DEFERRED
