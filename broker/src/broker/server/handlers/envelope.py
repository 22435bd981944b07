"""Envelope (API key 58), version 0: a broker forwards what a client asked of it; the active controller decides (KIP-590)."""

from broker.protocol import codec
from broker.protocol.codec import MalformedMessage
from broker.protocol.errors import ErrorCode
from broker.protocol.headers import decode_request_header, encode_response_header, peek_api
from broker.protocol.message import Response
from broker.protocol.messages.envelope import EnvelopeRequest, EnvelopeResponse
from broker.server.api_table import BY_KEY, CONTROLLER
from broker.server.services import DEFERRED, BrokerServices, Deferred, RequestContext


def handle(request: EnvelopeRequest, context: RequestContext, broker: BrokerServices) -> EnvelopeResponse | Deferred:
    try:
        key, version, correlation_id = peek_api(request.request_data)
    except MalformedMessage:
        return EnvelopeResponse(error_code=ErrorCode.INVALID_REQUEST)
    api = BY_KEY.get(key)
    if api is None or CONTROLLER not in api.listeners or not broker.local_controller.decides(api.request):
        return EnvelopeResponse(error_code=ErrorCode.INVALID_REQUEST)
    if not api.first <= version <= api.last:
        return EnvelopeResponse(error_code=ErrorCode.UNSUPPORTED_VERSION)
    try:
        _, position = decode_request_header(request.request_data, api.flexible_from)
        inner = codec.decode(api.request, version, request.request_data, position)
    except MalformedMessage:
        return EnvelopeResponse(error_code=ErrorCode.INVALID_REQUEST)
    flexible = api.flexible_from is not None and version >= api.flexible_from

    def respond(response: Response) -> None:
        head = encode_response_header(correlation_id, key, flexible=flexible)
        body = b"".join(bytes(part) for part in codec.encode(response, version))
        context.respond(EnvelopeResponse(response_data=head + body))

    broker.local_controller.submit(inner, version, respond)
    return DEFERRED
