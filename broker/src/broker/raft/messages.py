"""What the replicas of the quorum say to each other, as the core sees it, and what the core wants done.

Kafka's requests are made of these in `wire`. Errors are `ErrorCode`s; leader -1 is nobody; an end is the offset after the last.
"""

from dataclasses import dataclass
from typing import NamedTuple

from broker.protocol.errors import ErrorCode
from broker.raft.election_store import ElectionState

NO_EPOCH = -1
NO_LIMIT = 2**63 - 1


class EpochEnd(NamedTuple):
    """An epoch and where it ends; a snapshot is named by the end of what it contains and the epoch of its last record."""

    epoch: int
    end_offset: int


@dataclass(frozen=True, slots=True)
class Vote:
    """A candidate asks for a vote, or, with `pre_vote`, whether it would get one. Its log ends at `last_offset`."""

    candidate_id: int
    epoch: int
    last_epoch: int
    last_offset: int
    pre_vote: bool


@dataclass(frozen=True, slots=True)
class VoteAnswer:
    error: ErrorCode
    epoch: int
    leader_id: int
    granted: bool


@dataclass(frozen=True, slots=True)
class BeginEpoch:
    """A leader says that it leads."""

    leader_id: int
    epoch: int


@dataclass(frozen=True, slots=True)
class EndEpoch:
    """A leader gives up; the first of `successors` may stand at once."""

    leader_id: int
    epoch: int
    successors: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered to BeginEpoch and EndEpoch."""

    error: ErrorCode
    epoch: int
    leader_id: int


@dataclass(frozen=True, slots=True)
class Fetch:
    """A replica asks for what follows `offset`, which is also what it has persisted. -1 is a reader that is no replica."""

    replica_id: int
    epoch: int
    offset: int
    last_epoch: int
    high_watermark: int = NO_LIMIT
    max_wait_ms: int = 0
    max_bytes: int = 2**31 - 1


@dataclass(frozen=True, slots=True)
class FetchAnswer:
    """Batches from the offset asked for; or where the logs part; or the snapshot to begin with."""

    error: ErrorCode
    epoch: int
    leader_id: int
    high_watermark: int = -1
    log_start_offset: int = -1
    diverging: EpochEnd | None = None
    snapshot: EpochEnd | None = None
    # The shell of the leader puts them in, before the answer goes out.
    records: bytes | bytearray | memoryview = b""


Request = Vote | BeginEpoch | EndEpoch | Fetch
AnyAnswer = VoteAnswer | Answer | FetchAnswer


# What the core wants done.


@dataclass(frozen=True, slots=True)
class Send:
    """Ask another replica."""

    peer: int
    request: Request


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer the request that came in under this token. `read_from`: put in what the log has from there."""

    token: int
    answer: AnyAnswer
    read_from: int = -1
    max_bytes: int = 0


@dataclass(frozen=True, slots=True)
class OpenEpoch:
    """This replica leads: append the record that opens its epoch."""

    epoch: int
    granting_voters: tuple[int, ...]


Effect = Send | Reply | OpenEpoch


@dataclass(frozen=True, slots=True)
class Ready:
    """What is to be done: `at_once`; and, when `election` and everything in the log now are durable, `after_persist`."""

    at_once: list[Effect]
    after_persist: list[Effect]
    election: ElectionState | None

    @property
    def empty(self) -> bool:
        return not self.at_once and not self.after_persist and self.election is None


# What a follower's shell has to do with its log, before it calls `log_changed`.


@dataclass(frozen=True, slots=True)
class Append:
    records: bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Truncate:
    offset: int


@dataclass(frozen=True, slots=True)
class LoadSnapshot:
    """Fetch the snapshot from the leader and begin the log anew behind it."""

    leader_id: int
    epoch: int
    snapshot: EpochEnd


LogChange = Append | Truncate | LoadSnapshot
