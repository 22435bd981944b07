"""What a node does from time to time: flush logs, write checkpoints, drop old segments, forget idle producers."""

from collections.abc import Callable

from broker.clock.port import Clock, Timer
from broker.config import BrokerConfig
from broker.log.log_manager import LogManager
from broker.replication.manager import ReplicaManager

PRODUCER_EXPIRATION_CHECK_MS = 600_000


class Upkeep:
    """One timer per task."""

    def __init__(self, config: BrokerConfig, clock: Clock, logs: LogManager, replicas: ReplicaManager) -> None:
        self._clock = clock
        self._timers: dict[int, Timer] = {}
        self._tasks: list[tuple[int, Callable[[], None]]] = [
            (config.log_flush_offset_checkpoint_interval_ms, logs.flush_soon),
            (config.replica_high_watermark_checkpoint_interval_ms, replicas.checkpoint_high_watermarks),
            (config.log_retention_check_interval_ms, replicas.apply_retention),
            (PRODUCER_EXPIRATION_CHECK_MS, lambda: logs.expire_producers(config.producer_id_expiration_ms)),
        ]

    def start(self) -> None:
        for number in range(len(self._tasks)):
            self._schedule(number)

    def _schedule(self, number: int) -> None:
        interval_ms, _ = self._tasks[number]
        self._timers[number] = self._clock.call_at(self._clock.monotonic_ms() + interval_ms, lambda: self._run(number))

    def _run(self, number: int) -> None:
        self._tasks[number][1]()
        self._schedule(number)

    def stop(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
