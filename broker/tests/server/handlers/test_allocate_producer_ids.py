"""AllocateProducerIds through its handler: blocks that are given once, to brokers that are registered."""

from typing import Any

import pytest
from broker.protocol.messages.allocate_producer_ids import AllocateProducerIdsRequest

from ..world import Node, codes
from .brokers import enter

BLOCK = 1000


def ask(node: Node, broker_id: int, epoch: int) -> Any:
    request = AllocateProducerIdsRequest(broker_id=broker_id, broker_epoch=epoch)
    return node.ask(request, 0, listener="CONTROLLER")


def test_every_block_is_given_once_and_when_that_is_committed(node: Node) -> None:
    epoch = enter(node, 2)
    first = node.send(AllocateProducerIdsRequest(broker_id=2, broker_epoch=epoch), listener="CONTROLLER")
    second = node.send(AllocateProducerIdsRequest(broker_id=2, broker_epoch=epoch), listener="CONTROLLER")
    assert first.answers == second.answers == []
    node.until(lambda: bool(second.answers))
    blocks = [(one.answers[0].producer_id_start, one.answers[0].producer_id_len) for one in (first, second)]  # type: ignore[attr-defined]
    assert blocks == [(0, BLOCK), (BLOCK, BLOCK)]
    assert node.services.metadata.image.next_producer_id == 2 * BLOCK


@pytest.mark.parametrize(("broker_id", "difference"), [(2, -1), (2, 1), (3, 0)])
def test_another_life_gets_none(node: Node, broker_id: int, difference: int) -> None:
    response = ask(node, broker_id, enter(node, 2) + difference)
    assert (codes([response]), response.producer_id_len) == (["STALE_BROKER_EPOCH"], 0)
    assert node.services.metadata.image.next_producer_id == 0


def test_a_controller_that_is_not_active(node: Node) -> None:
    epoch = enter(node, 2)
    node.broker.controller.stop()
    assert codes([ask(node, 2, epoch)]) == ["NOT_CONTROLLER"]


def test_a_full_disk(node: Node) -> None:
    epoch = enter(node, 2)
    storage = node.broker.world.storage
    storage.capacity_bytes = storage.used_bytes
    assert codes([ask(node, 2, epoch)]) == ["KAFKA_STORAGE_ERROR"]
    storage.capacity_bytes = None
    assert ask(node, 2, epoch).producer_id_start == 0, "nothing was given"
