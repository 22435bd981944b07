"""A log of the quorum as a list, on a disk that forgets what was not synced."""

import random
from dataclasses import dataclass, field

from broker.log.leader_epochs import LeaderEpochs
from broker.raft import divergence
from broker.raft.election_store import ElectionState
from broker.raft.messages import EpochEnd


@dataclass(frozen=True)
class Entry:
    epoch: int
    value: object


@dataclass
class Disk:
    """One node's election state and log, and what of them is durable. `base`: where the log begins, behind a snapshot."""

    election: ElectionState = field(default_factory=ElectionState)
    base: int = 0
    base_epoch: int = 0
    entries: list[Entry] = field(default_factory=list)
    durable: list[Entry] = field(default_factory=list)
    # So many entries at the start of both are the same.
    common: int = 0
    # A planted bug.
    never_parts: bool = False

    @property
    def end_offset(self) -> int:
        return self.base + len(self.entries)

    @property
    def start_offset(self) -> int:
        return self.base

    @property
    def persisted_end(self) -> int:
        return self.base + self.common

    @property
    def last_epoch(self) -> int:
        return self.entries[-1].epoch if self.entries else self.base_epoch

    @property
    def epochs(self) -> LeaderEpochs:
        found = LeaderEpochs([(self.base_epoch, self.base)] if self.base else [])
        for number, entry in enumerate(self.entries):
            found.assign(entry.epoch, self.base + number)
        return found

    def compare(self, offset: int, last_epoch: int) -> tuple[EpochEnd | None, EpochEnd | None]:
        if self.never_parts and self.base <= offset <= self.end_offset:
            return None, None
        snapshots = [EpochEnd(self.base_epoch, self.base)] if self.base else []
        return divergence.compare(self.epochs, self.base, self.end_offset, snapshots, EpochEnd(last_epoch, offset))

    def truncation_offset(self, end: EpochEnd) -> int:
        return divergence.truncation_offset(self.epochs, self.end_offset, end)

    def truncate(self, offset: int) -> None:
        del self.entries[max(0, offset - self.base) :]
        self.common = min(self.common, len(self.entries))

    def sync(self, entries: list[Entry]) -> None:
        """What was in the log when the sync began is durable, as far as it is still there."""
        same = 0
        while same < min(len(entries), len(self.entries)) and entries[same] == self.entries[same]:
            same += 1
        self.durable = self.entries[:same]
        self.common = same

    def restart_at(self, snapshot: EpochEnd) -> None:
        self.base, self.base_epoch = snapshot.end_offset, snapshot.epoch
        self.entries, self.durable, self.common = [], [], 0

    def compact(self, offset: int) -> None:
        """Move the start; what goes was durable."""
        count = offset - self.base
        self.base, self.base_epoch = offset, self.entries[count - 1].epoch
        self.entries, self.durable = self.entries[count:], self.durable[count:]
        self.common -= count

    def crash(self, rng: random.Random) -> None:
        """The power goes: some of what was not synced is lost."""
        if self.common < len(self.durable) and rng.randrange(2):
            self.entries = list(self.durable)
        else:
            del self.entries[self.common + rng.randrange(len(self.entries) - self.common + 1) :]
        self.durable = list(self.entries)
        self.common = len(self.entries)
