"""A disk that hangs is noticed, one that is only slow is not taken for it."""

import errno

import pytest
from broker.clock.simulated import SimulatedClock
from broker.log.failure import LogDirFailure
from broker.node.disk_watch import CHECK_MS, HANGS_MS, DiskWatch
from broker.storage.simulated import SimulatedStorage


class World:
    """A disk with one file, watched."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.storage = SimulatedStorage(self.clock)
        self.storage.make_directory("/data")
        self.file = self.storage.open("/data/log")
        self.failures: list[LogDirFailure] = []
        self.watch = DiskWatch(self.storage, self.clock, "/data", self.failures.append)
        self.watch.start()

    def run(self, milliseconds: int) -> None:
        self.clock.run_until(self.clock.now_ms + milliseconds)

    def fsync(self, delay_ms: int) -> None:
        self.storage.fsync_delay_ms = delay_ms
        self.storage.fsync_soon([self.file], lambda error: None)


@pytest.fixture
def world() -> World:
    return World()


def test_a_disk_that_nobody_uses_does_not_hang(world: World) -> None:
    world.run(10 * HANGS_MS)
    world.fsync(HANGS_MS - CHECK_MS)
    world.run(10 * HANGS_MS)
    assert world.failures == []


def test_a_disk_that_never_answers(world: World) -> None:
    world.run(5 * HANGS_MS)
    world.fsync(100 * HANGS_MS)
    world.run(HANGS_MS - CHECK_MS)
    assert world.failures == []
    world.run(2 * CHECK_MS)
    (failure,) = world.failures
    assert failure.errno == errno.ETIMEDOUT
    assert str(failure.strerror).startswith("no fsync has come back for 120 s: the disk hangs on /data")
    world.run(10 * HANGS_MS)
    assert len(world.failures) == 1


def test_a_disk_that_moves_slowly_has_its_time(world: World) -> None:
    """A long line of slow fsyncs is none that hangs."""
    for _ in range(20):
        world.fsync(HANGS_MS // 2)
    world.run(11 * HANGS_MS)
    assert (world.failures, world.storage.fsyncs_waiting) == ([], 0)


def test_stopped_it_says_nothing(world: World) -> None:
    world.fsync(100 * HANGS_MS)
    world.watch.stop()
    world.run(10 * HANGS_MS)
    assert world.failures == []
