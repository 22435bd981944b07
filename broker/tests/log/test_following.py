"""What a follower does to a log: appending the leader's batches, truncating, beginning anew, moving the start."""

from dataclasses import dataclass

import pytest
from broker.clock.simulated import SimulatedClock
from broker.log.file_names import LEADER_EPOCHS
from broker.log.log_config import LogConfig
from broker.log.open_files import OpenFiles
from broker.log.partition_log import PartitionLog
from broker.protocol.errors import ErrorCode, KafkaError
from broker.record.batch import iter_headers
from broker.record.builder import build_batch
from broker.storage.simulated import SimulatedStorage

DIRECTORY = "/data/t-0"


@dataclass
class Settings:
    """Small segments."""

    segment_bytes: int = 400
    segment_ms: int = 2**62
    segment_index_bytes: int = 10 * 2**20
    index_interval_bytes: int = 100
    max_message_bytes: int = 2**20
    message_timestamp_type: str = "CreateTime"
    message_timestamp_before_max_ms: int = 2**63 - 1
    message_timestamp_after_max_ms: int = 2**63 - 1
    retention_ms: int = -1
    retention_bytes: int = -1
    file_delete_delay_ms: int = 60_000
    cleanup_policy: str = "delete"


class Node:
    """A disk and the log on it."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.storage = SimulatedStorage(self.clock)
        self.storage.make_directory(DIRECTORY)
        self.log = self.open()

    def open(self, *, clean: bool = False, recovery_point: int = 0) -> PartitionLog:
        settings: LogConfig = Settings()

        def failed(failure: OSError) -> None:
            raise failure

        self.log = PartitionLog(
            OpenFiles(self.storage),
            DIRECTORY,
            settings,
            recovery_point=recovery_point,
            start_offset=0,
            clean=clean,
            now_ms=0,
            on_failure=failed,
        )
        return self.log

    def files(self, suffix: str) -> list[int]:
        return [int(name.split(".")[0]) for name in self.storage.list_directory(DIRECTORY) if name.endswith(suffix)]

    def offsets(self) -> list[int]:
        found: list[int] = []
        offset = self.log.log_start_offset
        while buffers := self.log.read(offset, 1 << 20, self.log.log_end_offset):
            for header, _ in iter_headers(buffers[0]):
                found += range(header.base_offset, header.next_offset)
                offset = header.next_offset
        return found


def batch(base: int, count: int = 1, epoch: int = 1, *, size: int = 40, producer: int = -1, sequence: int = -1) -> bytes:
    return build_batch(
        [(None, b"x" * size)] * count,
        1000 + base,
        base_offset=base,
        leader_epoch=epoch,
        producer_id=producer,
        producer_epoch=0 if producer >= 0 else -1,
        base_sequence=sequence,
    )


def many(first: int, count: int, epoch: int = 1) -> bytes:
    return b"".join(batch(offset, epoch=epoch) for offset in range(first, first + count))


def test_a_follower_takes_batches_as_they_are() -> None:
    node = Node()
    info = node.log.append_as_follower(batch(0, 3, epoch=2) + batch(3, 2, epoch=5))
    assert (info.first_offset, info.last_offset) == (0, 4)
    assert node.log.epochs.entries == [(2, 0), (5, 3)]
    assert node.offsets() == [0, 1, 2, 3, 4]


def test_many_batches_roll_segments_on_the_way() -> None:
    node = Node()
    node.log.append_as_follower(many(0, 20))
    assert node.log.log_end_offset == 20
    assert len(node.log.segments) > 3
    assert all(segment.size <= 400 for segment in node.log.segments)
    assert node.offsets() == list(range(20))


def test_a_torn_last_batch_is_left_out() -> None:
    node = Node()
    node.log.append_as_follower(many(0, 2) + batch(2)[:-1])
    assert node.log.log_end_offset == 2


@pytest.mark.parametrize(
    "wrong",
    [batch(1), batch(0)[:-1] + b"!", many(0, 2) + batch(3), batch(0)[:30]],
    ids=["gap", "checksum", "gap inside", "no batch"],
)
def test_what_does_not_fit_is_refused_whole(wrong: bytes) -> None:
    node = Node()
    with pytest.raises(KafkaError):
        node.log.append_as_follower(wrong)
    assert node.log.log_end_offset == 0
    assert node.offsets() == []


def test_a_batch_that_was_there_already_is_refused() -> None:
    node = Node()
    node.log.append_as_follower(many(0, 3))
    with pytest.raises(KafkaError) as caught:
        node.log.append_as_follower(batch(2))
    assert caught.value.code == ErrorCode.OFFSET_OUT_OF_RANGE


def test_a_follower_knows_the_producers_and_forgets_what_is_cut() -> None:
    node = Node()
    for number in range(8):
        node.log.append_as_follower(batch(number, producer=7, sequence=number))
    assert node.log.producers.producers[7].last_sequence == 7
    assert node.log.truncate_to(3)
    assert node.log.producers.producers[7].last_sequence == 2
    assert node.log.truncate_to(0)
    assert len(node.log.producers) == 0


@pytest.mark.parametrize("end", range(20))
def test_truncation_leaves_the_log_as_if_the_rest_had_never_come(end: int) -> None:
    node, other = Node(), Node()
    node.log.append_as_follower(many(0, 7, epoch=1) + many(7, 6, epoch=3) + many(13, 7, epoch=4))
    assert node.log.truncate_to(end)
    for first, count, epoch in ((0, 7, 1), (7, 6, 3), (13, 7, 4)):
        if first < end:
            other.log.append_as_follower(many(first, min(count, end - first), epoch))
    assert node.log.log_end_offset == end
    assert node.log.epochs.entries == other.log.epochs.entries
    assert node.offsets() == list(range(end))
    node.log.append_as_follower(many(end, 4, epoch=9))
    assert node.offsets() == list(range(end + 4))
    assert node.log.end_offset_for_epoch(9) == (9, end + 4)
    node.log.close(clean=True)
    node.open(clean=True)
    assert node.offsets() == list(range(end + 4))
    assert node.log.epochs.latest == 9


def test_truncation_in_the_middle_of_a_batch_cuts_all_of_it() -> None:
    node = Node()
    node.log.append_as_follower(batch(0, 3) + batch(3, 3))
    assert node.log.truncate_to(4)
    assert node.log.log_end_offset == 3
    assert not node.log.truncate_to(3)


def test_an_epoch_without_records_goes_even_when_nothing_is_cut() -> None:
    """Else its node, which led for a moment, asks by it for ever and is told the same for ever."""
    node = Node()
    node.log.append_as_follower(batch(0, 3))
    epoch = node.log.epochs.latest
    node.log.assign_epoch(epoch + 1, node.log.log_end_offset)
    assert not node.log.truncate_to(node.log.log_end_offset)
    assert node.log.epochs.latest == epoch
    assert node.storage.files()[f"{DIRECTORY}/{LEADER_EPOCHS}"] == node.log.epochs.render()


def test_an_fsync_in_flight_does_not_vouch_for_what_is_cut_meanwhile() -> None:
    node = Node()
    node.log.append_as_follower(many(0, 3))
    node.log.flush_soon(lambda error: None)
    node.log.truncate_to(1)
    node.log.append_as_follower(many(1, 2, epoch=2))
    node.clock.run_until(100)
    assert node.log.persisted_end_offset == 1
    node.log.flush_soon(lambda error: None)
    node.clock.run_until(200)
    assert node.log.persisted_end_offset == 3


def test_truncating_everything_begins_anew_at_an_offset() -> None:
    node = Node()
    node.log.append_as_follower(many(0, 12))
    node.log.truncate_fully(100, 4)
    assert (node.log.log_start_offset, node.log.log_end_offset) == (100, 100)
    assert node.log.epochs.entries == [(4, 100)]
    assert node.files(".log") == [100]
    node.log.append_as_follower(many(100, 3, epoch=5))
    node.log.close(clean=True)
    node.open(clean=True)
    assert node.log.log_start_offset == 100
    assert node.offsets() == [100, 101, 102]


def test_the_start_moves_and_segments_before_it_go() -> None:
    node = Node()
    node.log.append_as_follower(many(0, 6, epoch=1) + many(6, 14, epoch=2))
    second = node.log.segments[2].base_offset
    assert node.log.advance_start(second + 1)
    assert node.log.log_start_offset == second + 1
    assert node.files(".log")[0] == second
    assert node.log.epochs.entries[0][1] == second + 1
    assert not node.log.advance_start(second)
    assert node.log.advance_start(1000)
    assert node.log.log_start_offset == 20


def test_after_a_crash_epochs_are_what_the_batches_say() -> None:
    node = Node()
    node.log.append_as_follower(many(0, 6, epoch=1) + many(6, 6, epoch=2))
    path = f"{DIRECTORY}/leader-epoch-checkpoint"
    # Written for a log that was truncated and grew again, none of which reached the disk.
    node.storage.write_atomically(path, b"0\n2\n1 0\n7 6\n")
    assert node.open().epochs.entries == [(1, 0), (2, 6)]
    # Torn.
    node.storage.write_atomically(path, b"0\n2\n1 0\n")
    assert node.open(recovery_point=12).epochs.entries == [(1, 0), (2, 6)]
    node.storage.remove(path)
    assert node.open(recovery_point=12).epochs.entries == [(1, 0), (2, 6)]
