"""FetchSnapshot (API key 59), versions 0-1: a piece of a snapshot of the metadata (KIP-630)."""

from broker.protocol.messages.fetch_snapshot import FetchSnapshotRequest
from broker.server.services import DEFERRED, BrokerServices, Deferred, RequestContext


def handle(request: FetchSnapshotRequest, context: RequestContext, broker: BrokerServices) -> Deferred:
    broker.quorum.handle_fetch_snapshot(request, context)
    return DEFERRED
