"""Making snapshots of what was delivered, when there is enough news; and dropping what they make superfluous.

The records come from the owner of the image, a list at a time, and one list is written per turn of the loop; the image they
come from does not change meanwhile. Source: ``SnapshotGenerator``, ``KafkaRaftLog.maybeClean``.
"""

import logging
from collections.abc import Callable, Iterator, Sequence

from broker.clock.port import Clock
from broker.log.failure import DISK_FULL
from broker.raft.messages import EpochEnd
from broker.raft.publication import Publication
from broker.raft.quorum_log import QuorumLog
from broker.raft.settings import QuorumSettings
from broker.raft.snapshots import SnapshotWriter
from broker.storage.port import File

log = logging.getLogger("broker.raft")
Records = Callable[[], Iterator[Sequence[bytes]]]


class Snapshotting:
    """See the module. `records` gives the committed image's, as of the moment of the call; without it none are made."""

    def __init__(
        self,
        settings: QuorumSettings,
        clock: Clock,
        quorum_log: QuorumLog,
        publication: Publication,
        records: Records | None,
        *,
        on_failure: Callable[[OSError], None],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._log = quorum_log
        self._publication = publication
        self._records = records
        self._on_failure = on_failure
        self._bytes_then = 0
        # Since when there is news that no snapshot has, monotonic.
        self._news_since_ms: int | None = None
        self._writing = False
        self._stopped = False

    def next_deadline(self) -> int | None:
        """When news is old enough for a snapshot; monotonic."""
        interval_ms = self._settings.snapshot_interval_ms
        if self._news_since_ms is None or self._records is None or self._writing or not interval_ms:
            return None
        return self._news_since_ms + interval_ms

    def consider(self) -> None:
        """Something was delivered, or time has passed."""
        delivered = self._publication.delivered
        if self._records is None or self._writing or self._stopped or delivered <= self._log.newest.end_offset:
            return
        now = self._clock.monotonic_ms()
        if self._news_since_ms is None:
            self._news_since_ms = now
        enough = self._publication.delivered_bytes - self._bytes_then >= self._settings.snapshot_bytes
        deadline = self.next_deadline()
        if enough or (deadline is not None and deadline <= now):
            self._begin(EpochEnd(self._log.log.epochs.epoch_at(delivered - 1), delivered))

    def stop(self) -> None:
        self._stopped = True

    def _begin(self, snapshot: EpochEnd) -> None:
        assert self._records is not None
        self._news_since_ms = None
        self._bytes_then = self._publication.delivered_bytes
        try:
            file = self._log.snapshots.begin(snapshot)
            writer = SnapshotWriter(file, snapshot, self._publication.last_timestamp, self._clock.wall_ms())
        except OSError as error:
            self._refused(error)
            return
        self._writing = True
        self._go_on(snapshot, file, writer, self._records())

    def _go_on(self, snapshot: EpochEnd, file: File, writer: SnapshotWriter, batches: Iterator[Sequence[bytes]]) -> None:
        if self._stopped:
            return
        values = next(batches, None)
        try:
            if values is None:
                writer.finish()
                self._log.snapshots.finish(snapshot, file, lambda error: self._finished(snapshot, error))
                return
            if values:
                writer.append(values)
        except OSError as error:
            self._writing = False
            self._log.snapshots.abandon(snapshot, file)
            self._refused(error)
            return
        self._clock.call_soon(lambda: self._go_on(snapshot, file, writer, batches))

    def _finished(self, snapshot: EpochEnd, error: OSError | None) -> None:
        self._writing = False
        if error is not None:
            self._refused(error)
        elif not self._stopped:
            log.info("a snapshot of the metadata up to offset %d, epoch %d, was written", snapshot.end_offset, snapshot.epoch)
            self.clean()

    def clean(self) -> None:
        """Drop snapshots and log that are not needed."""
        settings = self._settings
        try:
            self._log.clean(self._clock.wall_ms(), settings.retention_bytes, settings.retention_ms)
        except OSError as error:
            self._refused(error)

    def _refused(self, error: OSError) -> None:
        """On a full disk the next occasion will do; anything else is the end of the directory."""
        if error.errno in DISK_FULL:
            log.warning("no snapshot of the metadata: %s", error)
        else:
            self._on_failure(error)
