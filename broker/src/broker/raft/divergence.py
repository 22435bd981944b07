"""Where two logs part, found by the epoch of one's last record and the epochs of the other.

Source: ``ReplicatedLog.validateOffsetAndEpoch``, ``truncateToEndOffset``, KIP-101, KIP-595.
"""

from broker.log.leader_epochs import UNDEFINED_EPOCH, LeaderEpochs
from broker.raft.messages import EpochEnd


def _end_of(epochs: LeaderEpochs, end_offset: int, epoch: int) -> EpochEnd:
    """The largest epoch of a log that is not above `epoch`, and where it ends; the end of the log when there is none."""
    known, end = epochs.end_offset(epoch, end_offset)
    return EpochEnd(max(epochs.latest, 0), end_offset) if known == UNDEFINED_EPOCH else EpochEnd(known, end)


def compare(
    epochs: LeaderEpochs, start_offset: int, end_offset: int, snapshots: list[EpochEnd], other: EpochEnd
) -> tuple[EpochEnd | None, EpochEnd | None]:
    """How another log, whose last record has that epoch and ends there, relates to this one.

    (where they part, None); (None, the newest snapshot) when the other can only begin with that; or (None, None): the other
    is a beginning of this one. `snapshots` of this log, the oldest first.
    """
    if snapshots:
        before_start = other.end_offset < start_offset or other.epoch < snapshots[0].epoch
        if before_start or (other.end_offset == start_offset and other.epoch != snapshots[0].epoch):
            return None, snapshots[-1]
    own = _end_of(epochs, end_offset, other.epoch)
    if own.epoch != other.epoch or own.end_offset < other.end_offset:
        return own, None
    return None, None


def truncation_offset(epochs: LeaderEpochs, end_offset: int, leaders: EpochEnd) -> int:
    """Where this log is to be cut when the leader's records of that epoch end there."""
    own = _end_of(epochs, end_offset, leaders.epoch)
    if leaders.epoch in (0, own.epoch):
        return min(own.end_offset, leaders.end_offset)
    return own.end_offset
