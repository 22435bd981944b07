"""Producer ids come in blocks from the controller; nobody gets one twice, whoever waits is served in order."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from broker.protocol.errors import ErrorCode
from broker.protocol.messages.allocate_producer_ids import AllocateProducerIdsRequest, AllocateProducerIdsResponse
from broker.server.producer_ids import WAITING_MAX, ProducerIds

Answer = tuple[str, int]


@dataclass
class Controller:
    """Gives blocks when it is told to."""

    asked: list[Callable[[Any], None]] = field(default_factory=list)

    def submit(self, request: Any, version: int, on_done: Callable[[Any], None]) -> None:
        assert isinstance(request, AllocateProducerIdsRequest)
        assert (request.broker_id, request.broker_epoch, version) == (1, 7, 0)
        self.asked.append(on_done)

    def give(self, start: int, length: int) -> None:
        self.asked.pop(0)(AllocateProducerIdsResponse(producer_id_start=start, producer_id_len=length))

    def refuse(self, code: ErrorCode) -> None:
        self.asked.pop(0)(AllocateProducerIdsResponse(error_code=code))


def taken(ids: ProducerIds, answers: list[Answer], count: int) -> None:
    for _ in range(count):
        ids.next_id(lambda code, producer_id: answers.append((code.name, producer_id)))


def test_a_block_serves_those_who_wait_and_those_who_come() -> None:
    controller = Controller()
    ids, answers = ProducerIds(controller, 1, lambda: 7), list[Answer]()
    taken(ids, answers, 2)
    assert (answers, len(controller.asked)) == ([], 1)
    controller.give(1000, 3)
    taken(ids, answers, 1)
    assert answers == [("NONE", 1000), ("NONE", 1001), ("NONE", 1002)]
    assert controller.asked == []


def test_more_wait_than_a_block_holds() -> None:
    controller = Controller()
    ids, answers = ProducerIds(controller, 1, lambda: 7), list[Answer]()
    taken(ids, answers, 5)
    controller.give(0, 2)
    assert (len(answers), len(controller.asked)) == (2, 1)
    controller.give(500, 2)
    controller.give(900, 2)
    assert [producer_id for _, producer_id in answers] == [0, 1, 500, 501, 900]


def test_who_cannot_be_served_is_asked_to_come_again() -> None:
    controller = Controller()
    ids, answers = ProducerIds(controller, 1, lambda: 7), list[Answer]()
    taken(ids, answers, 2)
    controller.refuse(ErrorCode.NOT_CONTROLLER)
    assert answers == [("COORDINATOR_LOAD_IN_PROGRESS", -1)] * 2
    taken(ids, answers, 1)
    controller.give(7, 1)
    assert answers[-1] == ("NONE", 7)


def test_so_many_may_wait() -> None:
    controller = Controller()
    ids, answers = ProducerIds(controller, 1, lambda: 7), list[Answer]()
    taken(ids, answers, WAITING_MAX)
    assert answers == []
    taken(ids, answers, 1)
    assert answers == [("COORDINATOR_LOAD_IN_PROGRESS", -1)]
