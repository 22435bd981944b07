"""Orders of events that are easily got wrong: two of three die at once, and one comes back; doors close while others open.

Whatever the order: service returns within a bound, and nothing that was acknowledged is lost.
"""

from itertools import permutations

import pytest
from broker.protocol.errors import ErrorCode

from .machines import IDS, Machines

# An election of the quorum, a registration, and a follower that catches up.
SERVED_MS = 5000


def end(machines: Machines, node_id: int) -> int:
    log = machines[node_id].broker.services.replicas.find("t", 0).log
    return int(log.log_end_offset)


def cut_off(machines: Machines, one: int, *others: int) -> None:
    """Nothing gets through between them, and what they had between them ends."""
    for other in others:
        machines.wires.part(machines[one].host, machines[other].host)
        machines.wires.part(machines[other].host, machines[one].host)
        machines.wires.cut_connections(machines[one].host, machines[other].host)


# Two of three at once.


@pytest.mark.parametrize("mode", ["process", "torn"])
@pytest.mark.parametrize(("survivor", "first", "last"), list(permutations(IDS)))
def test_two_of_three_die_in_the_same_moment_and_one_comes_back(
    machines: Machines, survivor: int, first: int, last: int, mode: str
) -> None:
    """The survivor is no majority: it decides nothing, and may not know what the others have committed."""
    acknowledged = 1
    for _ in range(5):
        acknowledged += machines.produce() is ErrorCode.NONE
    assert acknowledged == 6
    machines[first].kill()
    machines[last].kill("torn" if mode == "torn" else "process")
    machines.run(3000)
    assert not machines[survivor].broker.controller.active
    machines[first].start()
    took = machines.until(
        lambda: machines.partition().leader in (survivor, first) and sorted(machines.partition().isr) == sorted((survivor, first))
    )
    assert took <= SERVED_MS
    # The leader hears of its new ISR last, when the other one has heard first; what it refuses until then it has not appended.
    assert machines.until(lambda: machines.produce() is ErrorCode.NONE) <= SERVED_MS
    assert end(machines, machines.partition().leader) == acknowledged + 1, "nothing acknowledged is lost, nothing is there twice"
    machines.start(last)
    assert machines.wait_until_in_sync() <= SERVED_MS
    machines.run(1000)
    assert {end(machines, one) for one in IDS} == {acknowledged + 1}


@pytest.mark.parametrize("survivor", IDS)
def test_what_was_asked_of_the_survivor_is_answered_when_another_one_is_back(machines: Machines, survivor: int) -> None:
    """A commit of which it has not heard keeps nobody waiting for ever."""
    others = [one for one in IDS if one != survivor]
    machines.create("u", (survivor, *others))
    machines.wait_until_in_sync("u")
    for one in others:
        machines[one].kill()
    assert machines.produce("u", timeout_ms=1000) is ErrorCode.REQUEST_TIMED_OUT
    machines.start(others[0])
    machines.until(lambda: len(machines.partition("u").isr) == 2)
    assert machines.produce("u") is ErrorCode.NONE


# Doors.


def test_it_comes_back_while_it_is_being_fenced(machines: Machines) -> None:
    """Its fence is decided and not yet committed when its next life registers."""
    controller = machines.controller
    victim, other = (one for one in IDS if one != controller)
    for one in (controller, other):
        machines[one].storage.fsync_delay_ms = 400
    machines[victim].kill()
    active = machines[controller].broker.controller
    machines.until(lambda: active._image.brokers[victim].fenced)
    committed = machines[controller].broker.metadata.image.brokers[victim]
    assert not committed.fenced, "the test wants to be in between"
    machines[victim].start()
    machines.until(lambda: machines[victim].ready)
    assert machines.wait_until_in_sync() <= SERVED_MS
    known = machines[controller].broker.metadata.image.brokers[victim]
    assert known.epoch > committed.epoch
    assert not known.fenced
    assert machines.produce() is ErrorCode.NONE


def test_a_door_that_only_the_controller_cannot_reach(machines: Machines) -> None:
    """It is fenced, for who is not heard cannot be relied on; clients are served, and it is back when the way is."""
    controller = machines.controller
    victim, other = (one for one in IDS if one != controller)
    machines.create("u", (victim, other, controller))
    machines.wait_until_in_sync("u")
    assert machines.produce("u") is ErrorCode.NONE
    cut_off(machines, victim, controller)
    assert machines.until(lambda: machines.partition("u").leader in (controller, other)) <= 2000
    assert machines.produce("u") is ErrorCode.NONE
    machines.run(20_000)
    machines.wires.heal()
    assert machines.wait_until_in_sync("u") <= 2 * SERVED_MS
    assert machines.produce("u") is ErrorCode.NONE
    machines.run(1000)
    logs = [machines[one].broker.services.replicas.find("u", 0).log.log_end_offset for one in IDS]
    assert logs == [3, 3, 3]


@pytest.mark.parametrize("again", [False, True], ids=["stays dead", "is back at once"])
def test_the_dead_one_is_the_controller(machines: Machines, *, again: bool) -> None:
    """Who fences has to be elected first; it leads the partition as well, and may be back before it is fenced."""
    controller = machines.controller
    others = [one for one in IDS if one != controller]
    machines.create("u", (controller, *others))
    machines.wait_until_in_sync("u")
    assert machines.produce("u") is ErrorCode.NONE
    epoch = machines.partition("u").leader_epoch
    machines[controller].kill()
    if again:
        machines[controller].start()
    assert (
        machines.until(lambda: machines.partition("u").leader >= 0 and machines.partition("u").leader_epoch > epoch) <= SERVED_MS
    )
    assert machines.produce("u") is ErrorCode.NONE
    if not again:
        assert controller not in machines.partition("u").isr
        machines.start(controller)
    assert machines.wait_until_in_sync("u") <= SERVED_MS
    machines.run(1000)
    logs = [machines[one].broker.services.replicas.find("u", 0).log.log_end_offset for one in IDS]
    assert logs == [2, 2, 2]
