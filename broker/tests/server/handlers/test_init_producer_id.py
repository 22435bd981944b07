"""InitProducerId: an id of its own for every idempotent producer."""

import pytest
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.init_producer_id import InitProducerIdRequest

from ..world import Node


def request(transactional_id: str | None = None, producer_id: int = -1, epoch: int = -1) -> InitProducerIdRequest:
    return InitProducerIdRequest(
        transactional_id=transactional_id, transaction_timeout_ms=1000, producer_id=producer_id, producer_epoch=epoch
    )


@pytest.mark.parametrize("version", range(6))
def test_every_producer_has_an_id_of_its_own(node: Node, version: int) -> None:
    answers = [node.ask(request(), version) for _ in range(3)]
    assert [(one.error_code, one.producer_epoch) for one in answers] == [(0, 0)] * 3
    assert len({one.producer_id for one in answers}) == 3


def test_who_comes_back_without_a_transaction_gets_a_new_id(node: Node) -> None:
    first = node.ask(request())
    again = node.ask(request(producer_id=first.producer_id, epoch=0))
    assert (again.error_code, again.producer_epoch) == (0, 0)
    assert again.producer_id != first.producer_id


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (request("tx"), ErrorCode.UNSUPPORTED_VERSION),
        (request(""), ErrorCode.INVALID_REQUEST),
        (request(producer_id=5), ErrorCode.INVALID_REQUEST),
        (request(epoch=5), ErrorCode.INVALID_REQUEST),
    ],
)
def test_what_is_refused(node: Node, asked: InitProducerIdRequest, code: ErrorCode) -> None:
    answer = node.ask(asked)
    assert (answer.error_code, answer.producer_id, answer.producer_epoch) == (code, -1, -1)
