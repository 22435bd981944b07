"""The simulation bites: bugs that are planted in the broker are found, each by an invariant that knows nothing of it."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from broker.controller.manager import DECISIONS
from broker.core import Result
from broker.log.open_files import LogFile
from broker.log.partition_log import AppendInfo, PartitionLog
from broker.log.producer_state import ProducerState
from broker.log.segment import Segment
from broker.node.offsets_log import NodeOffsetsLog
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.delete_topics import DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse
from broker.record.batch import read_header
from broker.replication.manager import ReplicaManager
from simulation.biting import assert_found

SEEDS_MAX = 12
LATE_MS = 30
METADATA_DIRECTORY = "__cluster_metadata"


def acknowledged_before_it_is_written(patch: pytest.MonkeyPatch) -> None:
    append = ReplicaManager.append

    def hasty(self: ReplicaManager, partition: Any, batch: Any, required_acks: int) -> AppendInfo:
        kept, header, end = bytes(batch), read_header(batch), partition.log.log_end_offset

        def late() -> None:
            append(self, partition, kept, required_acks)

        self._clock.call_at(self._clock.monotonic_ms() + LATE_MS, late)
        return AppendInfo(end, end + header.last_offset_delta, -1)

    patch.setattr(ReplicaManager, "append", hasty)


def torn_tail_stays(patch: pytest.MonkeyPatch) -> None:
    recover = Segment.recover

    def careless(self: Segment, *arguments: Any) -> Any:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(LogFile, "truncate", lambda file, size: None)
            return recover(self, *arguments)

    patch.setattr(Segment, "recover", careless)


def producers_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("broker.log.recovery.load_producers", lambda *arguments: (ProducerState(), False))


def commit_answered_before_it_is_written(patch: pytest.MonkeyPatch) -> None:
    append = NodeOffsetsLog.append

    def hasty(
        self: NodeOffsetsLog,
        partition: int,
        records: Any,
        committed: Callable[[], None],
        done: Callable[[ErrorCode], None],
    ) -> None:
        clock = self._clock
        clock.call_at(clock.monotonic_ms() + LATE_MS, lambda: append(self, partition, records, lambda: None, lambda code: None))
        committed()
        done(ErrorCode.NONE)

    patch.setattr(NodeOffsetsLog, "append", hasty)


def metadata_answered_before_it_is_durable(patch: pytest.MonkeyPatch) -> None:
    without_fsync(patch, lambda log: METADATA_DIRECTORY in log.directory)


def recovery_point_without_fsync(patch: pytest.MonkeyPatch) -> None:
    without_fsync(patch, lambda log: METADATA_DIRECTORY not in log.directory)


def without_fsync(patch: pytest.MonkeyPatch, concerns: Callable[[PartitionLog], bool]) -> None:
    """Some logs say that they are durable, and are not."""
    flush = PartitionLog.flush_soon

    def lazy(self: PartitionLog, done: Callable[[OSError | None], None]) -> None:
        if not concerns(self):
            flush(self, done)
            return
        claim_durable(self, self.log_end_offset)
        done(None)

    patch.setattr(PartitionLog, "flush_soon", lazy)


def claim_durable(log: PartitionLog, end_offset: int) -> None:
    log.durability.persisted_end_offset = log.durability.recovery_point = end_offset


def clean_marker_without_fsync(patch: pytest.MonkeyPatch) -> None:
    close = PartitionLog.close

    def lazy(self: PartitionLog, *, clean: bool) -> None:
        end = self.log_end_offset
        close(self, clean=False)
        claim_durable(self, end)

    patch.setattr(PartitionLog, "close", lazy)


def committed_offsets_are_not_read_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(NodeOffsetsLog, "read_all", lambda self, partition: iter(()))


def high_watermark_stands_still(patch: pytest.MonkeyPatch) -> None:
    """A reader that waits is never woken, and what it is shown at a time-out is the state of when it asked."""
    patch.setattr("broker.replication.partition.Partition.advance", lambda self, now_ms: False)


def deleted_topics_come_back(patch: pytest.MonkeyPatch) -> None:
    def deletes_nothing(request: DeleteTopicsRequest, context: Any) -> Any:
        results = [DeletableTopicResult(name="", topic_id=topic.topic_id) for topic in request.topics]
        return Result(DeleteTopicsResponse(responses=results))

    decisions: dict[Any, Any] = DECISIONS
    patch.setitem(decisions, DeleteTopicsRequest, (deletes_nothing, decisions[DeleteTopicsRequest][1]))


BUGS = [
    (acknowledged_before_it_is_written, "process", "offset|stood at|high watermark"),
    (torn_tail_stays, "process", "is damaged|stood at|asked|has not got|high watermark|stands at"),
    (producers_are_forgotten, "process", "and again at"),
    (commit_answered_before_it_is_written, "process", "group .* stands at"),
    (
        metadata_answered_before_it_is_durable,
        "machine",
        "was made, and is gone|was set to|partitions, .* were made|was deleted|was durable",
    ),
    (recovery_point_without_fsync, "machine", "was durable"),
    (clean_marker_without_fsync, "machine", "was durable"),
    (committed_offsets_are_not_read_again, "process", "group .* stands at"),
    (high_watermark_stands_still, "process", "ms after the last fault"),
    (deleted_topics_come_back, "process", "was deleted, and is back"),
]


@pytest.mark.parametrize(("plant", "kind", "invariant"), BUGS, ids=[plant.__name__ for plant, _, _ in BUGS])
def test_it_is_found(
    plant: Callable[[pytest.MonkeyPatch], None],
    kind: str,
    invariant: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL, "broker")
    plant(monkeypatch)
    assert_found(kind, range(SEEDS_MAX), invariant)
