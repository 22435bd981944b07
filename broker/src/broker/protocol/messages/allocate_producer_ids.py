"""AllocateProducerIds (67): a block of producer ids for a broker.

There is one version.
"""

from broker.protocol.message import Request, Response
from broker.protocol.types import int16, int32, int64


class AllocateProducerIdsRequest(Request, key=67, versions="0", flexible="0+", listeners=("controller",)):
    """Which broker wants a block."""

    broker_id: int = int32()
    broker_epoch: int = int64(default=-1)


class AllocateProducerIdsResponse(Response, key=67, versions="0", flexible="0+"):
    """The first id of the block and its length."""

    throttle_time_ms: int = int32()
    error_code: int = int16()
    producer_id_start: int = int64()
    producer_id_len: int = int32()
