"""A log against a list: any order of appends, rolls, fsyncs, retention, clean stops, kills and power cuts.

After a kill the log is what it was; after a power cut it is a prefix of it that holds all that was fsynced; reading, finding
by time, epochs and producers agree with the list at every step.
"""

from dataclasses import dataclass, field
from typing import Any

import pytest
from broker.clock.simulated import WALL_START_MS
from broker.log.partition_log import PartitionLog
from broker.protocol.errors import ErrorCode, KafkaError
from hypothesis import given, settings
from hypothesis import strategies as st

from .disk import Config, Disk, append, headers, records

PRODUCER = 9
Step = tuple[Any, ...]
STEPS = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 4), st.integers(0, 3000)),
    st.tuples(st.just("append"), st.integers(1, 4), st.integers(0, 3000)),
    st.tuples(st.just("produce"), st.integers(1, 3)),
    st.tuples(st.just("resend")),
    st.tuples(st.just("epoch")),
    st.tuples(st.just("roll")),
    st.tuples(st.just("flush")),
    st.tuples(st.just("flush and crash"), st.integers(0, 3), st.integers(0, 2**16)),
    st.tuples(st.just("retain"), st.integers(0, 4000)),
    st.tuples(st.just("stop")),
    st.tuples(st.just("kill")),
    st.tuples(st.just("power cut"), st.integers(0, 2**16)),
    st.tuples(st.just("full"), st.integers(0, 300), st.integers(1, 4)),
)


@dataclass
class Model:
    """What the log should hold: (offset, timestamp, epoch) of every record, also of those that retention dropped."""

    disk: Disk = field(default_factory=Disk)
    config: Config = field(default_factory=lambda: Config(segment_bytes=700, index_interval_bytes=150, retention_ms=1000))
    records: list[tuple[int, int, int]] = field(default_factory=list)
    # (first sequence number, first offset, count) of what the producer sent.
    produced: list[tuple[int, int, int]] = field(default_factory=list)
    epoch: int = 0
    start: int = 0

    def __post_init__(self) -> None:
        self.log: PartitionLog = self.disk.open(self.config)

    @property
    def end(self) -> int:
        return len(self.records)

    def step(self, step: Step) -> None:
        getattr(self, "do_" + step[0].replace(" ", "_"))(*step[1:])

    # What a broker does.

    def do_append(self, count: int, timestamp: int) -> None:
        info = append(self.log, count, epoch=self.epoch, timestamp=WALL_START_MS + timestamp)
        assert (info.first_offset, info.last_offset) == (self.end, self.end + count - 1)
        self.records += [(self.end + number, WALL_START_MS + timestamp + number, self.epoch) for number in range(count)]

    def do_produce(self, count: int) -> None:
        sequence = self.produced[-1][0] + self.produced[-1][2] if self.produced else 0
        info = self._produce(sequence, count)
        assert (info.first_offset, info.duplicate) == (self.end, False)
        self.produced.append((sequence, self.end, count))
        self.records += [(self.end + number, WALL_START_MS + number, self.epoch) for number in range(count)]

    def _produce(self, sequence: int, count: int) -> Any:
        ids = {"producer_id": PRODUCER, "producer_epoch": 0, "base_sequence": sequence}
        return append(self.log, count, epoch=self.epoch, **ids)

    def do_resend(self) -> None:
        """The newest batch is known after anything, as long as its records are there."""
        if self.produced and self.produced[-1][1] >= self.start:
            sequence, offset, count = self.produced[-1]
            info = self._produce(sequence, count)
            assert (info.first_offset, info.duplicate) == (offset, True)

    def do_epoch(self) -> None:
        self.epoch += 1
        self.log.assign_epoch(self.epoch, self.end)

    def do_roll(self) -> None:
        if self.log.active.size:
            self.log.roll(WALL_START_MS)

    def do_flush(self) -> None:
        self.log.flush_soon(lambda error: None)
        self.disk.settle()
        assert self.log.persisted_end_offset == self.log.recovery_point == self.end

    def do_retain(self, age: int) -> None:
        # What was never fsynced and is dropped could come back torn; so does Kafka's.
        self.do_flush()
        self.log.apply_retention(WALL_START_MS + 1000 + age, self.end, self.disk.clock.call_at)
        assert self.log.log_start_offset >= self.start
        self.start = self.log.log_start_offset
        kept = [segment for segment in self.log.segments if segment.size]
        assert all(age - (segment.max_timestamp - WALL_START_MS) <= 0 for segment in kept[:1])

    def do_full(self, left: int, count: int) -> None:
        """The disk is full for one append, which happens whole or not at all."""
        self.disk.storage.capacity_bytes = self.disk.storage.used_bytes + left
        try:
            self.do_append(count, 5)
        except KafkaError as error:
            assert error.code is ErrorCode.KAFKA_STORAGE_ERROR  # noqa: PT017 - it may or may not happen
        self.disk.storage.capacity_bytes = None

    # Its ends.

    def do_stop(self) -> None:
        self.log.close(clean=True)
        self._open(clean=True)
        assert self.log.recovery_point == self.end

    def do_kill(self) -> None:
        self.disk.crash()
        self._open()

    def do_power_cut(self, seed: int) -> None:
        point, persisted = self.log.recovery_point, self.log.persisted_end_offset
        self.disk.crash(seed, "torn")
        self.log = self.disk.open(self.config, recovery_point=point)
        assert persisted <= self.log.log_end_offset <= self.end
        # A removal whose name never reached the disk comes back.
        self.start = self.log.log_start_offset
        del self.records[self.log.log_end_offset :]
        self.produced = [one for one in self.produced if one[1] < self.end]

    def do_flush_and_crash(self, milliseconds: int, seed: int) -> None:
        self.log.flush_soon(lambda error: None)
        self.disk.clock.run_until(self.disk.clock.now_ms + milliseconds)
        self.do_power_cut(seed)

    def _open(self, *, clean: bool = False) -> None:
        point = self.log.recovery_point
        self.log = self.disk.open(self.config, recovery_point=point, clean=clean, start_offset=self.start)

    # What must hold.

    def check(self) -> None:
        log = self.log
        assert (log.log_start_offset, log.log_end_offset) == (self.start, self.end)
        there = self.records[self.start :]
        assert [(one.offset, one.timestamp) for one in records(log)] == [one[:2] for one in there]
        for header in headers(log):
            assert header.partition_leader_epoch == self.records[header.base_offset][2] == log.epochs.epoch_at(header.base_offset)
        for offset in range(self.start, self.end, 3):
            assert next(headers(log, offset, 200)).last_offset >= offset
        for wanted in range(WALL_START_MS - 1, WALL_START_MS + 3010, 331):
            expected = next((one for one in there if one[1] >= wanted), None)
            found = log.offset_for_timestamp(wanted, self.end)
            assert (found and (found.offset, found.timestamp, found.leader_epoch)) == (
                expected and (expected[0], expected[1], expected[2])
            )
        newest = max((one[1] for one in there), default=-1)
        latest = log.max_timestamp_offset()
        assert (latest.timestamp if latest else -1) == newest
        assert self.disk.failures == []


@settings(max_examples=150)
@given(st.lists(STEPS, max_size=25))
def test_a_log_is_a_list(steps: list[Step]) -> None:
    model = Model()
    for step in steps:
        model.step(step)
        model.check()
    model.do_stop()
    model.check()


@pytest.mark.parametrize("ends", [["kill"] * 3, ["stop"] * 3, ["stop", "kill", "stop", "kill"]], ids=" ".join)
def test_ends_one_after_the_other(ends: list[str]) -> None:
    model = Model()
    for end in ends:
        for step in (("produce", 3), ("append", 4, 2000), ("epoch",), ("produce", 2), ("roll",), ("append", 1, 5), (end,)):
            model.step(step)
            model.check()
        model.step(("resend",))
        model.check()


def test_what_a_recovery_removed_does_not_come_back() -> None:
    model = Model()
    for step in (("flush",), ("append", 1, 0), ("roll",), ("power cut", 0), ("power cut", 2)):
        model.step(step)
        model.check()


def test_a_snapshot_of_another_history_is_not_believed() -> None:
    """Its offset is reached again by other batches."""
    for seed in range(300):
        model = Model()
        for step in (("produce", 3), ("flush",), ("produce", 3), ("roll",), ("power cut", seed)):
            model.step(step)
        lost = 6 - model.end
        if lost:
            model.do_append(lost, 7)
        model.do_power_cut(seed + 1000)
        model.check()
        model.do_resend()
        model.do_produce(1)
        model.check()
