"""ListPartitionReassignments (API key 46), version 0: partitions that are being moved.

Nothing moves partitions yet, so there are none. As in Kafka, unknown topics are passed over.
"""

from broker.protocol.messages.list_partition_reassignments import (
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse,
)
from broker.server.services import BrokerServices, RequestContext


def handle(
    request: ListPartitionReassignmentsRequest, context: RequestContext, broker: BrokerServices
) -> ListPartitionReassignmentsResponse:
    return ListPartitionReassignmentsResponse(error_message=None)
