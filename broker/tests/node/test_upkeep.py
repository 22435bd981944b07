"""What a node does from time to time, and that it stops when the node does."""

from collections import Counter
from typing import Any

from broker.clock.simulated import SimulatedClock
from broker.config import BrokerConfig
from broker.config.sources import SHIPPED
from broker.node.upkeep import PRODUCER_EXPIRATION_CHECK_MS, Upkeep


class Parts:
    """Counts what is done, for both the logs and the replicas."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.expiration_ms = 0

    def flush_soon(self) -> None:
        self.done["flush"] += 1

    def expire_producers(self, expiration_ms: int) -> None:
        self.done["expire"] += 1
        self.expiration_ms = expiration_ms

    def checkpoint_high_watermarks(self) -> None:
        self.done["checkpoint"] += 1

    def apply_retention(self) -> None:
        self.done["retention"] += 1


def upkeep() -> tuple[SimulatedClock, Parts, Upkeep]:
    config = BrokerConfig(
        SHIPPED
        | {
            "log.flush.offset.checkpoint.interval.ms": "1000",
            "replica.high.watermark.checkpoint.interval.ms": "300",
            "log.retention.check.interval.ms": "5000",
            "producer.id.expiration.ms": "1234",
        }
    )
    clock, parts = SimulatedClock(), Parts()
    both: Any = parts
    return clock, parts, Upkeep(config, clock, both, both)


def test_nothing_is_done_before_it_starts() -> None:
    clock, parts, _ = upkeep()
    clock.run_until(PRODUCER_EXPIRATION_CHECK_MS * 2)
    assert parts.done == {}


def test_each_task_has_an_interval_of_its_own() -> None:
    clock, parts, tasks = upkeep()
    tasks.start()
    clock.run_until(299)
    assert parts.done == {}
    clock.run_until(10_000)
    assert parts.done == {"flush": 10, "checkpoint": 33, "retention": 2}
    clock.run_until(PRODUCER_EXPIRATION_CHECK_MS)
    assert (parts.done["expire"], parts.expiration_ms) == (1, 1234)
    assert parts.done["flush"] == PRODUCER_EXPIRATION_CHECK_MS // 1000


def test_nothing_is_done_after_it_has_stopped() -> None:
    clock, parts, tasks = upkeep()
    tasks.start()
    clock.run_until(5000)
    before = dict(parts.done)
    tasks.stop()
    tasks.stop()
    clock.run_until(PRODUCER_EXPIRATION_CHECK_MS * 2)
    assert parts.done == before
    assert clock.next_ms() is None
