"""InitProducerId (22): a producer id for an idempotent or transactional producer.

3 lets a producer bump its own epoch.
"""

from broker.protocol.message import Request, Response
from broker.protocol.types import boolean, int16, int32, int64, string


class InitProducerIdRequest(Request, key=22, versions="0-5", flexible="2+", listeners=("broker",)):
    """Who wants a producer id."""

    transactional_id: str | None = string(nullable="0+")
    transaction_timeout_ms: int = int32()
    producer_id: int = int64("3+", default=-1)
    producer_epoch: int = int16("3+", default=-1)
    enable2_pc: bool = boolean("6+")
    keep_prepared_txn: bool = boolean("6+")


class InitProducerIdResponse(Response, key=22, versions="0-5", flexible="2+"):
    """The producer id and its epoch."""

    throttle_time_ms: int = int32(ignorable=True)
    error_code: int = int16()
    producer_id: int = int64(default=-1)
    producer_epoch: int = int16()
    ongoing_txn_producer_id: int = int64("6+", default=-1)
    ongoing_txn_producer_epoch: int = int16("6+", default=-1)
