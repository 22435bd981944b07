"""UnregisterBroker (64): forget a broker that will not come back.

There is one version.
"""

from broker.protocol.message import Request, Response
from broker.protocol.types import int16, int32, string


class UnregisterBrokerRequest(Request, key=64, versions="0", flexible="0+", listeners=("broker", "controller")):
    """The broker."""

    broker_id: int = int32()


class UnregisterBrokerResponse(Response, key=64, versions="0", flexible="0+"):
    """Whether it is forgotten."""

    throttle_time_ms: int = int32()
    error_code: int = int16()
    error_message: str | None = string(nullable="0+")
