"""The metadata log as the quorum sees it: a partition's log, and the snapshots it begins behind. Source: ``KafkaRaftLog``.

Invariants: what is not in the log any more is in a snapshot; no snapshot ends before the log begins. By the epoch of the oldest
one a leader knows a follower that is where the log begins: with an older one it would send a snapshot again and again.
"""

from broker.log.partition_log import PartitionLog
from broker.log.properties import DirectoryError
from broker.raft import divergence
from broker.raft.messages import EpochEnd
from broker.raft.snapshots import SnapshotStore

NOTHING = EpochEnd(0, 0)


class QuorumLog:
    """See the module. Opening it brings log and snapshots together."""

    def __init__(self, log: PartitionLog, snapshots: SnapshotStore) -> None:
        self.log = log
        self.snapshots = snapshots
        newest = self.newest
        if log.log_end_offset < newest.end_offset or not self._agrees(newest):
            self.begin_behind(newest)
        if log.log_start_offset > newest.end_offset:
            raise DirectoryError(
                f"{log.directory} begins at offset {log.log_start_offset}, and no snapshot holds what was before; restore it"
            )
        if newest.end_offset == log.log_end_offset and newest.end_offset:
            log.assign_epoch(newest.epoch, newest.end_offset)
        self._drop_old_snapshots()

    def _agrees(self, snapshot: EpochEnd) -> bool:
        """Whether the log, where it holds what the snapshot ends with, has it from the same leader."""
        last = snapshot.end_offset - 1
        return not self.log.log_start_offset <= last < self.log.log_end_offset or self.log.epochs.epoch_at(last) == snapshot.epoch

    @property
    def newest(self) -> EpochEnd:
        return self.snapshots.latest or NOTHING

    @property
    def end_offset(self) -> int:
        return self.log.log_end_offset

    @property
    def start_offset(self) -> int:
        return self.log.log_start_offset

    @property
    def last_epoch(self) -> int:
        return max(self.log.epochs.latest, 0)

    @property
    def is_durable(self) -> bool:
        return self.log.persisted_end_offset >= self.log.log_end_offset

    def compare(self, offset: int, last_epoch: int) -> tuple[EpochEnd | None, EpochEnd | None]:
        other = EpochEnd(last_epoch, offset)
        return divergence.compare(self.log.epochs, self.start_offset, self.end_offset, self.snapshots.ids, other)

    def truncation_offset(self, end: EpochEnd) -> int:
        return divergence.truncation_offset(self.log.epochs, self.end_offset, end)

    def truncate_to(self, offset: int) -> None:
        """Cut what the leader does not have. A log of which nothing is left goes on in the epoch its snapshot ends with."""
        newest = self.newest
        if offset <= self.log.log_start_offset and offset == newest.end_offset:
            self.begin_behind(newest)
        else:
            self.log.truncate_to(offset)

    def begin_behind(self, snapshot: EpochEnd) -> None:
        """The log is of no use any more: it goes on where the snapshot ends."""
        self.log.truncate_fully(snapshot.end_offset, snapshot.epoch)
        self._drop_old_snapshots()

    def _drop_old_snapshots(self) -> None:
        for one in [one for one in self.snapshots.ids if one.end_offset < self.log.log_start_offset]:
            self.snapshots.remove(one)

    def clean(self, now_ms: int, retention_bytes: int, retention_ms: int) -> None:
        """Drop the oldest snapshots, and the log up to the next one, while all is too large or they are too old.

        The newest snapshot stays. `now_ms` is wall time; -1 is no bound.
        """
        while len(self.snapshots.ids) > 1:
            oldest, following = self.snapshots.ids[:2]
            size = self.log.size_bytes + sum(self.snapshots.size(one) for one in self.snapshots.ids)
            too_large = 0 <= retention_bytes < size
            too_old = 0 <= retention_ms < now_ms - self.snapshots.made_ms(oldest)
            if not (too_large or too_old):
                return
            self.snapshots.remove(oldest)
            self.log.advance_start(following.end_offset)
