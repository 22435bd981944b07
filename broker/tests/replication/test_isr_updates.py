"""What leaders ask of the controller: many partitions at once, one request under way, nothing taken back that may be done."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from broker.clock.simulated import SimulatedClock
from broker.metadata.image import PartitionImage
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.alter_partition import (
    AlterPartitionRequest,
    AlterPartitionResponse,
    ResponsePartitionData,
    ResponseTopicData,
)
from broker.replication.isr_updates import ABANDONED, RETRY_MS, WITHDRAWN, IsrUpdates
from broker.replication.partition import Partition

from .node import Node, topic_id

EPOCH = 77


class World:
    """Two partitions that this node leads alone, with two more replicas; what the controller is asked lies in `asked`."""

    def __init__(self) -> None:
        self.node = Node()
        self.node.create(partitions=2, replicas=[1, 2, 3], isr=[1], leader_epoch=4, partition_epoch=8)
        self.partitions = [self.node.replicas.find("t", index) for index in (0, 1)]
        self.clock = SimulatedClock()
        self.asked: list[tuple[AlterPartitionRequest, Callable[[Any], None]]] = []
        self.settled: list[Partition] = []
        self.updates = IsrUpdates(1, self.clock, self, lambda: EPOCH, self.settled.append)

    def submit(self, request: Any, version: int, on_done: Callable[[Any], None]) -> None:
        self.asked.append((request, on_done))

    def propose(self, index: int, isr: tuple[int, ...] = (1, 2)) -> None:
        self.updates.propose(self.partitions[index], isr)

    def turn(self, milliseconds: int = 0) -> None:
        self.clock.run_until(self.clock.now_ms + milliseconds)

    def answer(self, *answers: ResponsePartitionData, code: ErrorCode = ErrorCode.NONE) -> None:
        """To the one request that is under way."""
        ((_, on_done),) = self.asked
        self.asked.clear()
        topics = [ResponseTopicData(topic_id=topic_id(1), partitions=list(answers))] if answers else []
        on_done(AlterPartitionResponse(error_code=code, topics=topics))

    def pending(self, index: int = 0) -> tuple[int, ...] | None:
        leader = self.partitions[index].leader
        assert leader is not None
        return leader.pending_isr

    def isr(self, index: int = 0) -> tuple[int, ...]:
        leader = self.partitions[index].leader
        assert leader is not None
        return leader.isr


@pytest.fixture
def world() -> World:
    return World()


def decided(index: int, isr: tuple[int, ...] = (1, 2), partition_epoch: int = 9) -> ResponsePartitionData:
    return ResponsePartitionData(
        partition_index=index, leader_id=1, leader_epoch=4, isr=list(isr), partition_epoch=partition_epoch
    )


def refused(index: int, code: ErrorCode) -> ResponsePartitionData:
    return ResponsePartitionData(partition_index=index, error_code=code)


def test_what_is_wanted_in_one_turn_is_asked_together(world: World) -> None:
    leader = world.partitions[0].leader
    assert leader is not None
    leader.followers[2].observe_fetch(0, 0, 55, 0, 1)
    world.propose(0)
    world.propose(1, (1, 3))
    assert world.asked == []
    world.turn()
    ((request, _),) = world.asked
    assert (request.broker_id, request.broker_epoch) == (1, EPOCH)
    ((topic),) = request.topics
    assert topic.topic_id == topic_id(1)
    found = [
        (p.partition_index, p.leader_epoch, p.partition_epoch, [(m.broker_id, m.broker_epoch) for m in p.new_isr_with_epochs])
        for p in topic.partitions
    ]
    assert found == [(0, 4, 8, [(1, EPOCH), (2, 55)]), (1, 4, 8, [(1, EPOCH), (3, -1)])]


def test_one_request_is_under_way(world: World) -> None:
    world.propose(0)
    world.turn()
    world.propose(1)
    world.turn(10_000)
    assert len(world.asked) == 1
    world.answer(decided(0))
    world.turn()
    assert [p.partition_index for topic in world.asked[0][0].topics for p in topic.partitions] == [1]


def test_a_decision_holds_at_once(world: World) -> None:
    world.propose(0)
    world.turn()
    world.answer(decided(0))
    assert (world.isr(), world.pending(), world.settled) == ((1, 2), None, [world.partitions[0]])
    world.turn(10_000)
    assert world.asked == []


@pytest.mark.parametrize("code", sorted(WITHDRAWN))
def test_what_is_refused_for_good_is_withdrawn(world: World, code: ErrorCode) -> None:
    world.propose(0)
    world.turn()
    world.answer(refused(0, code))
    assert (world.isr(), world.pending()) == ((1,), None)
    assert world.settled == [world.partitions[0]], "the high watermark waits for nobody outside any more"


@pytest.mark.parametrize("code", sorted(ABANDONED))
def test_what_may_have_been_done_stays_until_the_metadata_says_more(world: World, code: ErrorCode) -> None:
    world.propose(0)
    world.turn()
    world.answer(refused(0, code))
    world.turn(10_000)
    assert (world.isr(), world.pending(), world.asked, world.settled) == ((1,), (1, 2), [], [])


@pytest.mark.parametrize("whole", [True, False])
def test_what_nobody_decided_on_is_asked_again_after_a_while(world: World, whole: bool) -> None:
    """Not at once: a controller that answers out of its own process would be asked without end."""
    world.propose(0)
    world.turn()
    code = ErrorCode.NOT_CONTROLLER
    if whole:
        world.answer(code=code)
    else:
        world.answer(refused(0, code))
    world.turn(RETRY_MS - 1)
    assert (world.asked, world.pending()) == ([], (1, 2))
    world.turn(1)
    assert len(world.asked) == 1
    world.answer(decided(0))
    assert world.isr() == (1, 2)


def test_an_answer_without_the_partition_is_none(world: World) -> None:
    world.propose(0)
    world.propose(1)
    world.turn()
    world.answer(decided(0))
    world.turn(RETRY_MS)
    assert [p.partition_index for topic in world.asked[0][0].topics for p in topic.partitions] == [1]


def test_an_answer_of_another_epoch_is_nobodys(world: World) -> None:
    world.propose(0)
    world.turn()
    partition = world.partitions[0]
    assert partition.image is not None
    partition.lead(replace(partition.image, leader_epoch=5, partition_epoch=9), 0)
    world.answer(decided(0, partition_epoch=10))
    assert (world.isr(), world.pending()) == ((1,), None)
    world.turn(10_000)
    assert world.asked == []


def test_an_answer_that_the_metadata_was_faster_than(world: World) -> None:
    world.propose(0)
    world.turn()
    partition = world.partitions[0]
    assert partition.image is not None
    partition.lead(replace(partition.image, isr=(1, 2, 3), partition_epoch=10), 0)
    world.answer(decided(0))
    assert world.isr() == (1, 2, 3)


def test_who_leads_no_more_asks_nothing(world: World) -> None:
    world.propose(0)
    image = PartitionImage((1, 2, 3), (2,), 2, 5, 9)
    world.partitions[0].follow(image)
    world.turn(10_000)
    assert world.asked == []


def test_a_controller_that_answers_at_once(world: World) -> None:
    """This node's own may be the active one, or nobody is."""

    def submit(request: AlterPartitionRequest, version: int, on_done: Callable[[Any], None]) -> None:
        world.asked.append((request, on_done))
        on_done(AlterPartitionResponse(error_code=ErrorCode.NOT_CONTROLLER))

    world.submit = submit  # type: ignore[method-assign]
    world.propose(0)
    world.turn(RETRY_MS * 4)
    assert len(world.asked) == 5
