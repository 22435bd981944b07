"""Disks slower than a session: nobody is fenced for them, everything is served; one that hangs for good is found out."""

import logging

import pytest
from broker.node.disk_watch import CHECK_MS, HANGS_MS
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.create_topics import CreatableTopic, CreateTopicsRequest

from .conftest import Machine
from .machines import IDS, Machines

SESSION_MS = 9000
SLOW_MS = 12_000
FOREVER_MS = 10**9


def fencings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [message for message in caplog.messages if message.startswith("fencing broker")]


def make(machines: Machines, node_id: int, name: str, timeout_ms: int = 20_000) -> ErrorCode:
    topic = CreatableTopic(name=name, num_partitions=1, replication_factor=2)
    response = machines.ask(node_id, CreateTopicsRequest(topics=[topic], timeout_ms=timeout_ms))
    return ErrorCode(response.topics[0].error_code)


def test_a_broker_alone_starts_and_stays(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    """What it asks of its own controller waits for the disk, and it says nothing more meanwhile."""
    caplog.set_level(logging.WARNING)
    machine.storage.fsync_delay_ms = SLOW_MS
    broker = machine.node()
    broker.start(machine.on_ready)
    machine.run(20 * SLOW_MS)
    assert (machine.ready, fencings(caplog)) == (1, [])
    assert not broker.metadata.image.brokers[1].fenced


@pytest.mark.parametrize("slow", IDS)
def test_one_slow_disk_holds_nobody_up(machines: Machines, slow: int, caplog: pytest.LogCaptureFixture) -> None:
    """The active controller's among them: the others are a majority."""
    caplog.set_level(logging.WARNING)
    controller = machines.controller
    machines[slow].storage.fsync_delay_ms = SLOW_MS
    asked = next(one for one in IDS if one != slow)
    began = machines.time.now_ms
    number = 0
    while machines.time.now_ms - began < 4 * SLOW_MS:
        number += 1
        assert make(machines, asked, f"t{number}") is ErrorCode.NONE
        assert machines.produce() is ErrorCode.NONE
        machines.run(1000)
    assert (machines.controller, fencings(caplog)) == (controller, [])
    assert machines.partition().isr == IDS


def test_slow_disks_of_a_majority_with_the_controller(machines: Machines, caplog: pytest.LogCaptureFixture) -> None:
    """Metadata waits for the second of two slow disks; records are acknowledged, and nobody is fenced."""
    caplog.set_level(logging.WARNING)
    controller = machines.controller
    other = next(one for one in IDS if one != controller)
    for slow in (controller, other):
        machines[slow].storage.fsync_delay_ms = SLOW_MS
    for number in range(3):
        assert make(machines, controller, f"t{number}") is ErrorCode.NONE
        assert machines.produce() is ErrorCode.NONE
    machines.run(3 * SLOW_MS)
    assert (machines.controller, fencings(caplog)) == (controller, [])


@pytest.mark.parametrize("quick", IDS)
def test_when_disks_are_quick_again_all_is_served(machines: Machines, quick: int) -> None:
    """Without a majority that follows nobody leads for long; what was there is there afterwards."""
    for one in IDS:
        if one != quick:
            machines[one].storage.fsync_delay_ms = SLOW_MS
    for number in range(20):
        make(machines, quick, f"t{number}", timeout_ms=2000)
    for one in IDS:
        machines[one].storage.fsync_delay_ms = 2
    machines.run(2 * SLOW_MS)
    assert machines.until(lambda: machines.partition().leader >= 0 and machines.partition().isr == IDS) <= 5000
    assert machines.produce() is ErrorCode.NONE


def test_a_disk_that_hangs_for_good_ends_its_broker(machines: Machines) -> None:
    slow = machines.partition().leader
    machines[slow].storage.fsync_delay_ms = FOREVER_MS
    make(machines, next(one for one in IDS if one != slow), "u")
    machines.until(lambda: machines[slow].broker.disk_watch._storage.fsyncs_waiting > 0)
    machines.run(HANGS_MS - CHECK_MS)
    assert machines[slow].fatal == []
    assert machines.produce() is ErrorCode.NONE, "it is served as long as it can be"
    machines.run(3 * CHECK_MS)
    assert ["the disk hangs" in reason for reason in machines[slow].fatal] == [True]
    machines[slow].kill()
    assert machines.until(lambda: machines.partition().leader not in (slow, -1)) <= 1000
    assert machines.produce() is ErrorCode.NONE
