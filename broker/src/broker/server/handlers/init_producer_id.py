"""InitProducerId (API key 22), versions 0-5: a producer id for an idempotent producer.

Not done: transactional producers; they are refused with UNSUPPORTED_VERSION, which clients show as it is.
"""

from broker.protocol.errors import ErrorCode
from broker.protocol.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from broker.server.services import DEFERRED, BrokerServices, Deferred, RequestContext


def handle(request: InitProducerIdRequest, context: RequestContext, broker: BrokerServices) -> InitProducerIdResponse | Deferred:
    if request.transactional_id is not None:
        code = ErrorCode.INVALID_REQUEST if request.transactional_id == "" else ErrorCode.UNSUPPORTED_VERSION
        return InitProducerIdResponse(error_code=code, producer_id=-1, producer_epoch=-1)
    if (request.producer_id == -1) != (request.producer_epoch == -1):
        return InitProducerIdResponse(error_code=ErrorCode.INVALID_REQUEST, producer_id=-1, producer_epoch=-1)
    broker.producer_ids.next_id(
        lambda error, producer_id: context.respond(
            InitProducerIdResponse(error_code=error, producer_id=producer_id, producer_epoch=0 if producer_id >= 0 else -1)
        )
    )
    return DEFERRED
