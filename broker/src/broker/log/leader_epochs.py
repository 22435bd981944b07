"""Where each leader epoch begins in a log: the cache, and the content of its `leader-epoch-checkpoint` file.

Followers find out by it where their log diverges, clients whether theirs was truncated (KIP-101, KIP-320). The file is
written before the recovery point passes what it says; behind that, the batch headers say it. Source: ``LeaderEpochFileCache``.
"""

from itertools import pairwise

from broker.log.checkpoints import encode_lines

UNDEFINED_EPOCH = -1
UNDEFINED_OFFSET = -1


class LeaderEpochs:
    """(epoch, start offset) entries, both strictly growing. `dirty`: the file does not say the same."""

    __slots__ = ("dirty", "entries")

    def __init__(self, entries: list[tuple[int, int]] | None = None) -> None:
        self.entries: list[tuple[int, int]] = entries or []
        self.dirty = False

    @classmethod
    def parse(cls, lines: list[str]) -> "LeaderEpochs | None":
        """From the lines of the checkpoint; None when they are broken."""
        try:
            entries = [(int(epoch), int(start)) for epoch, start in (line.split() for line in lines)]
        except ValueError:
            return None
        grows = all(one[0] < two[0] and one[1] <= two[1] for one, two in pairwise(entries))
        return cls(entries) if grows else None

    def render(self) -> bytes:
        return encode_lines([f"{epoch} {start}" for epoch, start in self.entries])

    @property
    def latest(self) -> int:
        return self.entries[-1][0] if self.entries else UNDEFINED_EPOCH

    def assign(self, epoch: int, start_offset: int) -> bool:
        """Note that `epoch` begins at `start_offset`; True when that was news. Entries it contradicts are dropped."""
        if epoch < 0 or (self.entries and self.entries[-1][0] == epoch and self.entries[-1][1] <= start_offset):
            return False
        kept = [entry for entry in self.entries if entry[0] < epoch and entry[1] < start_offset]
        self._replace([*kept, (epoch, start_offset)])
        return True

    def epoch_at(self, offset: int) -> int:
        """The epoch of the record at `offset`; -1 when it is not known."""
        found = UNDEFINED_EPOCH
        for epoch, start in self.entries:
            if start > offset:
                break
            found = epoch
        return found

    def end_offset(self, epoch: int, log_end_offset: int) -> tuple[int, int]:
        """The largest known epoch not above `epoch`, and where it ends; (-1, -1) when none is known."""
        if epoch == UNDEFINED_EPOCH or not self.entries or epoch > self.latest:
            return UNDEFINED_EPOCH, UNDEFINED_OFFSET
        if epoch == self.latest:
            return epoch, log_end_offset
        below = [number for number, (known, _) in enumerate(self.entries) if known <= epoch]
        if not below:
            # Everything known is newer: the epoch asked for ended where the first known one begins.
            return epoch, self.entries[0][1]
        return self.entries[below[-1]][0], self.entries[below[-1] + 1][1]

    def truncate_from_end(self, end_offset: int) -> None:
        """The log now ends at `end_offset`."""
        self._replace([entry for entry in self.entries if entry[1] < end_offset])

    def truncate_from_start(self, start_offset: int) -> None:
        """The log now begins at `start_offset`; the epoch that covers it begins there."""
        covering = [entry for entry in self.entries if entry[1] <= start_offset]
        later = [entry for entry in self.entries if entry[1] > start_offset]
        self._replace(([(covering[-1][0], start_offset)] if covering else []) + later)

    def clear(self) -> None:
        self._replace([])

    def _replace(self, entries: list[tuple[int, int]]) -> None:
        if entries != self.entries:
            self.entries = entries
            self.dirty = True
