"""Vote (API key 52), versions 0-2: a controller asks for a vote, or whether it would get one (KIP-595, KIP-996)."""

from broker.protocol.messages.vote import VoteRequest
from broker.server.services import DEFERRED, BrokerServices, Deferred, RequestContext


def handle(request: VoteRequest, context: RequestContext, broker: BrokerServices) -> Deferred:
    broker.quorum.handle_vote(request, context)
    return DEFERRED
