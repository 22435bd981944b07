"""Giving the listeners of the quorum what is committed, once and in order, and who leads.

Invariant: the leader's own listeners hear of its office only after everything before its epoch; those who wait for an offset are
answered after the listeners have it. Source: ``KafkaRaftClient.ListenerContext``.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from broker.protocol.errors import ErrorCode, KafkaError
from broker.raft.election_store import NOBODY
from broker.raft.messages import EpochEnd
from broker.raft.quorum_log import QuorumLog
from broker.record.batch import NO_TIMESTAMP, iter_batches
from broker.record.records import iter_records

log = logging.getLogger("broker.raft")
READ_BYTES = 1 << 20
# Decisions that wait for their commit; more are refused.
PENDING_MAX = 100_000
Done = Callable[[ErrorCode], None]


class Listener(Protocol):
    """Whoever follows the metadata log."""

    def handle_commit(self, values: Sequence[bytes], last_offset: int) -> None:
        """The records of one batch are committed."""

    def handle_snapshot(self, batches: Iterator[Sequence[bytes]], last_offset: int, last_epoch: int) -> None:
        """Everything up to `last_offset`, instead of what was heard before."""

    def handle_leader_change(self, leader_id: int, epoch: int) -> None:
        """Who leads, -1 when it is not known."""


class Publication:
    """See the module."""

    def __init__(self, node_id: int, log: QuorumLog) -> None:
        self._node_id = node_id
        self._log = log
        self._listeners: list[Listener] = []
        self._pending: deque[tuple[int, Done]] = deque()
        self._told = (NOBODY, -1)
        # What the listeners have; how much that was, and of when (wall time).
        self.delivered = 0
        self.delivered_bytes = 0
        self.last_timestamp = NO_TIMESTAMP

    def register(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def load(self, snapshot: EpochEnd) -> None:
        """Begin with a snapshot of this node's."""
        for listener in self._listeners:
            listener.handle_snapshot(self._log.snapshots.values(snapshot), snapshot.end_offset - 1, snapshot.epoch)
        self.delivered = snapshot.end_offset

    def deliver(self, high_watermark: int) -> None:
        """Everything that is committed and was not given yet."""
        while self.delivered < high_watermark:
            before = self.delivered
            for buffer in self._log.log.read(before, READ_BYTES, high_watermark):
                for header, batch in iter_batches(buffer):
                    self.delivered = header.next_offset
                    self.delivered_bytes += header.size
                    self.last_timestamp = max(self.last_timestamp, header.max_timestamp)
                    if not header.is_control:
                        values = [record.value or b"" for record in iter_records(batch, header)]
                        for listener in self._listeners:
                            listener.handle_commit(values, header.last_offset)
            if self.delivered == before:
                raise KafkaError(ErrorCode.CORRUPT_MESSAGE, "there is no batch")

    def announce(self, leader_id: int, epoch: int, epoch_start_offset: int) -> None:
        """Tell who leads, when that is news. `epoch_start_offset` counts for this node's own office alone."""
        own = leader_id == self._node_id
        if (leader_id, epoch) == self._told or (own and self.delivered < epoch_start_offset):
            return
        if own and self._told[0] == self._node_id:
            self._tell(NOBODY, epoch)
        self._tell(leader_id, epoch)

    def _tell(self, leader_id: int, epoch: int) -> None:
        if leader_id not in (NOBODY, self._node_id):
            log.info("node %d follows node %d in epoch %d of the quorum", self._node_id, leader_id, epoch)
        self._told = (leader_id, epoch)
        for listener in self._listeners:
            listener.handle_leader_change(leader_id, epoch)

    # Who waits.

    @property
    def is_full(self) -> bool:
        return len(self._pending) >= PENDING_MAX

    def wait(self, offset: int, done: Done) -> None:
        """Call when the record at `offset` was delivered. Offsets come in order."""
        self._pending.append((offset, done))

    def answer(self) -> None:
        """Those whose offsets are delivered."""
        while self._pending and self._pending[0][0] < self.delivered:
            self._pending.popleft()[1](ErrorCode.NONE)

    def refuse(self) -> None:
        """This node leads no more: whether what they wait for gets committed is not known."""
        pending, self._pending = self._pending, deque()
        for _, done in pending:
            done(ErrorCode.NOT_CONTROLLER)
