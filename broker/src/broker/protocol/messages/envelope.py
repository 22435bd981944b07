"""Envelope (58): a broker forwards a client's request to the controller.

There is one version.
"""

from broker.protocol.message import Request, Response
from broker.protocol.types import blob, int16


class EnvelopeRequest(Request, key=58, versions="0", flexible="0+", listeners=("controller",)):
    """The request and who sent it."""

    request_data: bytes = blob()
    request_principal: bytes | None = blob(nullable="0+")
    client_host_address: bytes = blob()


class EnvelopeResponse(Response, key=58, versions="0", flexible="0+"):
    """The answer to the request."""

    response_data: bytes | None = blob(nullable="0+", default=None)
    error_code: int = int16()
