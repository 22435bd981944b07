"""Opening a partition's directory: which segments there are, what of them stands, and what their producers and epochs are.

After a clean stop only what lies behind the indexes is read. Otherwise every segment that reaches past the recovery point is
checked batch by batch: its torn tail is cut, its indexes are rebuilt, and segments behind a cut are dropped: what was not
fsynced survives up to some offset, never with a hole. An index that is missing or does not agree with its log is rebuilt, an
index without a log is removed, and leader epochs without a file are read from all batch headers. Source: ``LogLoader``.
Not done: the swap files of an interrupted compaction of Kafka's own (refused by name).
"""

from dataclasses import dataclass, field

from broker.log import producer_snapshot
from broker.log.checkpoints import read_lines
from broker.log.file_names import (
    INDEX_SUFFIXES,
    LEADER_EPOCHS,
    LEFTOVER_SUFFIXES,
    LOG,
    SEGMENT_SUFFIXES,
    SNAPSHOT,
    SWAP,
    offset_in_name,
    segment_path,
)
from broker.log.leader_epochs import LeaderEpochs
from broker.log.open_files import OpenFiles
from broker.log.producer_state import ProducerState
from broker.log.properties import DirectoryError
from broker.log.scan import scan_batches, scan_headers
from broker.log.segment import Segment
from broker.record.batch import BatchHeader
from broker.storage.port import Storage

# How far before a snapshot of the producers their batches are looked for.
RECALLED_OFFSETS = 500


@dataclass
class Loaded:
    """What was found."""

    segments: list[Segment]
    epochs: LeaderEpochs
    end_offset: int = 0
    cut_bytes: int = 0
    producers: ProducerState = field(default_factory=ProducerState)


class LogLoader:
    """One opening of one directory. `recovery_point`: what lies below it was durable; `clean`: everything was.

    `compacted`: offsets may be missing at the end of a segment.
    """

    def __init__(
        self,
        files: OpenFiles,
        directory: str,
        *,
        index_interval_bytes: int,
        recovery_point: int,
        clean: bool,
        compacted: bool,
        now_ms: int,
    ) -> None:
        self._files = files
        self._storage = files.storage
        self._directory = directory
        self._interval = index_interval_bytes
        self._recovery_point = recovery_point
        self._clean = clean
        self._compacted = compacted
        self._now_ms = now_ms
        # (epoch, first offset) as the headers of checked batches show them, and where the checked batches begin.
        self._epochs_seen: list[tuple[int, int]] = []
        self._checked_from: int | None = None
        self._removed = False

    def load(self) -> Loaded:
        """Open all segments, recovering those that need it. An empty directory gets its first segment."""
        names = self._names()
        bases = sorted(base for name in names if (base := offset_in_name(name, LOG)) is not None)
        loaded = Loaded([], LeaderEpochs())
        hole = False
        for number, base in enumerate(bases):
            segment = self._segment(base, names)
            last = number == len(bases) - 1
            # One that is left by a roll that a full disk refused, or by a cut that a power cut has undone.
            needless = not segment.size and bool(loaded.segments) and (not last or self._reaches(loaded.segments[-1], base))
            hole = hole or (bool(loaded.segments) and not needless and self._lacks_something_before(base, loaded))
            if hole or needless:
                loaded.cut_bytes += segment.size
                segment.remove()
                self._removed = True
                if last and not hole:
                    self._recover(loaded.segments[-1], loaded)
                continue
            if loaded.segments and not self._clean:
                self._cut_overlap(loaded.segments[-1], base)
            suspect = not self._clean and (last or bases[number + 1] > self._recovery_point)
            self._open(segment, loaded, suspect=suspect, last=last)
        if not loaded.segments:
            first = self._segment(0, ())
            first.create()
            loaded.segments.append(first)
        loaded.epochs = self._epochs(loaded)
        loaded.producers, removed = load_producers(self._storage, self._directory, loaded.segments, loaded.end_offset)
        if self._removed or removed:
            # What is gone must not come back beside the batches that will take its place.
            self._storage.fsync_directory(self._directory)
        return loaded

    @staticmethod
    def _reaches(segment: Segment, offset: int) -> bool:
        """Whether a segment has a batch at or behind an offset."""
        return segment.position_of(offset) is not None

    def _cut_overlap(self, before: Segment, base: int) -> None:
        """A segment ends where the next one begins. It was cut there, and a power cut has brought back what was cut off."""
        if self._reaches(before, base):
            before.truncate_to(base, self._now_ms)
            before.seal()
            before.log.get().fsync()
            before.fsync_indexes()

    def _lacks_something_before(self, base: int, loaded: Loaded) -> bool:
        """Whether what was not fsynced does not go on with the segment at `base`: a cut, or batches that never arrived."""
        if loaded.cut_bytes:
            return True
        return not (self._clean or self._compacted) and base > self._recovery_point and loaded.end_offset != base

    def _names(self) -> list[str]:
        """The files of the directory, without what a crash has left over."""
        kept = []
        found = self._storage.list_directory(self._directory)
        logs = {offset_in_name(name, LOG) for name in found}
        for name in found:
            if name.endswith(LEFTOVER_SUFFIXES) or not _indexed_offsets(name) <= logs:
                self._storage.remove(f"{self._directory}/{name}")
            elif name.endswith(SWAP):
                raise DirectoryError(f"{self._directory}/{name} is of an unfinished compaction; let Apache Kafka finish it")
            else:
                kept.append(name)
        return kept

    def _segment(self, base: int, names: list[str] | tuple[()]) -> Segment:
        existing = [
            suffix for suffix in SEGMENT_SUFFIXES if segment_path(self._directory, base, suffix).rsplit("/", 1)[1] in names
        ]
        return Segment(
            self._files,
            self._directory,
            base,
            index_interval_bytes=self._interval,
            created_ms=self._now_ms,
            existing=existing,
        )

    def _open(self, segment: Segment, loaded: Loaded, *, suspect: bool, last: bool) -> None:
        loaded.segments.append(segment)
        if suspect:
            self._recover(segment, loaded)
            return
        if not segment.indexes_are_sound():
            segment.rebuild_indexes()
            segment.fsync_indexes()
        if not last:
            segment.load_sealed()
            return
        loaded.end_offset, garbage = segment.load()
        if garbage:
            self._recover(segment, loaded)

    def _recover(self, segment: Segment, loaded: Loaded) -> None:
        if self._checked_from is None:
            self._checked_from = segment.base_offset
        loaded.end_offset, cut = segment.recover(self._note_epoch)
        loaded.cut_bytes += cut

    def _note_epoch(self, header: BatchHeader) -> None:
        if not self._epochs_seen or self._epochs_seen[-1][0] != header.partition_leader_epoch:
            self._epochs_seen.append((header.partition_leader_epoch, header.base_offset))

    def _epochs(self, loaded: Loaded) -> LeaderEpochs:
        """From the checkpoint and, behind it, from the headers of the checked batches; from all headers without a checkpoint."""
        lines = read_lines(self._storage, f"{self._directory}/{LEADER_EPOCHS}")
        epochs = LeaderEpochs.parse(lines) if lines is not None else None
        if epochs is None or not _agree(epochs, loaded.segments):
            epochs = LeaderEpochs()
            self._epochs_seen.clear()
            for segment in loaded.segments:
                for _, header in scan_headers(segment.log, 0, segment.size):
                    self._note_epoch(header)
        # The checkpoint may be of a time before a truncation; what was checked says it by itself.
        epochs.truncate_from_end(loaded.end_offset if self._checked_from is None else self._checked_from)
        for epoch, offset in self._epochs_seen:
            if epoch > epochs.latest:
                epochs.assign(epoch, offset)
        return epochs


def drop_snapshots_before(storage: Storage, directory: str, start_offset: int) -> None:
    """Remove the snapshots of producers that nobody needs who begins at `start_offset`."""
    for name in storage.list_directory(directory):
        offset = offset_in_name(name, SNAPSHOT)
        if offset is not None and offset < start_offset:
            storage.remove(f"{directory}/{name}")


def load_producers(storage: Storage, directory: str, segments: list[Segment], end_offset: int) -> tuple[ProducerState, bool]:
    """A log's producers, from the newest usable snapshot and the batches after it, and whether a snapshot was removed.

    Removed are those that are beyond the end, damaged, or belong to no segment.
    """
    bases = {segment.base_offset for segment in segments}
    state, start = ProducerState(), 0
    found = removed = False
    names = storage.list_directory(directory)
    for offset in sorted((o for name in names if (o := offset_in_name(name, SNAPSHOT)) is not None), reverse=True):
        path = segment_path(directory, offset, SNAPSHOT)
        if offset > end_offset or (found and offset not in bases):
            storage.remove(path)
            removed = True
        elif not found:
            decoded = producer_snapshot.decode(storage.read(path))
            if decoded is None:
                storage.remove(path)
                removed = True
            else:
                state, start, found = decoded, offset, True
    _recall(state, start, segments)
    _replay(state, start, segments, end_offset)
    return state, removed


def _recall(state: ProducerState, start: int, segments: list[Segment]) -> None:
    """Learn from the last batches before a snapshot what it leaves out.

    In Kafka a leader that was restarted knows the last batch of a producer alone, and refuses a retry of one that was sent
    with it as out of order, which is the end of an idempotent producer. Brokers that are back at once meet such retries.
    """
    if not len(state):
        return
    for segment in [one for one in segments if one.base_offset < start][-2:]:
        found = segment.position_of(max(start - RECALLED_OFFSETS, segment.base_offset))
        for _, header in scan_headers(segment.log, found[0], segment.size) if found is not None else ():
            if header.base_offset >= start:
                return
            state.recall(header)


def _replay(state: ProducerState, start: int, segments: list[Segment], end_offset: int) -> None:
    for number, segment in enumerate(segments):
        following = segments[number + 1].base_offset if number + 1 < len(segments) else end_offset
        if following <= start:
            continue
        found = segment.position_of(max(start, segment.base_offset))
        if found is None:
            continue
        for position, header in scan_headers(segment.log, found[0], segment.size):
            if header.is_control:
                batch = next(scan_batches(segment.log, position, segment.size))[2]
                if header.producer_id >= 0:
                    state.update(header, batch)
            elif header.producer_id >= 0:
                state.update(header)


def _agree(epochs: LeaderEpochs, segments: list[Segment]) -> bool:
    """Whether the epochs are those of the first batch of each segment, as far as they reach. The file may be torn."""
    for segment in segments:
        _, first = next(scan_headers(segment.log, 0, segment.size), (0, None))
        if first is None or first.partition_leader_epoch > epochs.latest:
            continue
        if epochs.epoch_at(first.base_offset) != first.partition_leader_epoch:
            return False
    return True


def _indexed_offsets(name: str) -> set[int]:
    """The offset in the name of an index file; nothing for another file."""
    return {offset for suffix in INDEX_SUFFIXES if (offset := offset_in_name(name, suffix)) is not None}
