"""EndQuorumEpoch (API key 54), versions 0-1: the leader of the quorum gives up (KIP-595)."""

from broker.protocol.messages.end_quorum_epoch import EndQuorumEpochRequest
from broker.server.services import DEFERRED, BrokerServices, Deferred, RequestContext


def handle(request: EndQuorumEpochRequest, context: RequestContext, broker: BrokerServices) -> Deferred:
    broker.quorum.handle_end_quorum_epoch(request, context)
    return DEFERRED
