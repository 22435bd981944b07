"""BeginQuorumEpoch (API key 53), versions 0-1: a new leader of the quorum makes itself known (KIP-595)."""

from broker.protocol.messages.begin_quorum_epoch import BeginQuorumEpochRequest
from broker.server.services import DEFERRED, BrokerServices, Deferred, RequestContext


def handle(request: BeginQuorumEpochRequest, context: RequestContext, broker: BrokerServices) -> Deferred:
    broker.quorum.handle_begin_quorum_epoch(request, context)
    return DEFERRED
