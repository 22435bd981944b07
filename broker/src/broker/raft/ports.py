"""What the Raft core needs: a log it can read, and how long things take."""

from dataclasses import dataclass
from typing import Protocol

from broker.raft.messages import EpochEnd


class LogView(Protocol):
    """What the core reads of the log."""

    @property
    def end_offset(self) -> int: ...

    @property
    def start_offset(self) -> int: ...

    @property
    def last_epoch(self) -> int:
        """The epoch of the last record, of the snapshot when there is none behind it, 0 when there is nothing."""

    def compare(self, offset: int, last_epoch: int) -> tuple[EpochEnd | None, EpochEnd | None]:
        """How a log that ends at `offset` with a record of `last_epoch` relates to this one.

        (where they part, None); (None, the snapshot to begin with); or (None, None): it is a beginning of this one.
        """

    def truncation_offset(self, end: EpochEnd) -> int:
        """Where this log is to be cut when the leader's records of that epoch end there."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Kafka's `controller.quorum.*`, in milliseconds."""

    election_timeout_ms: int = 1000
    fetch_timeout_ms: int = 2000
    retry_backoff_ms: int = 20
    fetch_wait_ms: int = 500
    fetch_bytes: int = 1 << 20
    election_backoff_max_ms: int = 1000

    @property
    def check_quorum_ms(self) -> int:
        return self.fetch_timeout_ms * 3 // 2

    @property
    def begin_epoch_ms(self) -> int:
        return self.fetch_timeout_ms // 2
