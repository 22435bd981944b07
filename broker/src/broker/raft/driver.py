"""The shell around the Raft core: the metadata log on disk, its fsyncs, and the listeners of what is committed.

Invariants: one persist is in flight, appends go on meanwhile and share the next; listeners see every committed batch once,
in order, and hear of a new leader only after everything before its epoch. Source: ``KafkaRaftClient``.
Not done: snapshots; the whole log is read at the start.
"""

import errno
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from broker.clock.port import Clock
from broker.log.partition_log import PartitionLog
from broker.protocol import codec
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.raft_records import LeaderChangeMessage, Voter
from broker.raft.core import RaftCore
from broker.raft.election_store import ElectionStore
from broker.raft.roles import Role
from broker.record.batch import iter_batches
from broker.record.builder import ControlType, build_batch, control_key
from broker.record.records import Record, iter_records

log = logging.getLogger("broker.raft")
READ_BYTES = 1 << 20
# Decisions that wait for their commit; more are refused.
PENDING_MAX = 100_000


class Listener(Protocol):
    """Whoever follows the metadata log."""

    def handle_commit(self, values: Sequence[bytes], last_offset: int) -> None:
        """The records of one batch are committed."""

    def handle_leader(self, epoch: int) -> None:
        """This node leads, and everything before `epoch` was given to `handle_commit`."""


class RaftDriver:
    """See the module."""

    def __init__(
        self, node_id: int, voters: tuple[int, ...], partition: PartitionLog, store: ElectionStore, clock: Clock
    ) -> None:
        self._store = store
        self._clock = clock
        self.log = partition
        self.core = RaftCore(node_id, voters, store.read(), partition.epochs.latest)
        self._listeners: list[Listener] = []
        self._pending: deque[tuple[int, Callable[[ErrorCode], None]]] = deque()
        self._delivered = 0
        self._announced = False
        self._persisting = False

    def register(self, listener: Listener) -> None:
        self._listeners.append(listener)

    # Elections.

    def start(self) -> None:
        """Stand for election; alone, a voter is its own majority. OSError when the disk refuses."""
        state = self.core.stand()
        self._store.write(state)
        if self.core.observe_vote(self.core.node_id, state.epoch):
            self._lead()

    def _lead(self) -> None:
        self._store.write(self.core.lead(self.log.log_end_offset))
        self.log.assign_epoch(self.core.epoch, self.log.log_end_offset)
        message = LeaderChangeMessage(
            leader_id=self.core.node_id,
            voters=[Voter(voter_id=voter) for voter in self.core.voters],
            granting_voters=[Voter(voter_id=voter) for voter in self.core.granting_voters],
        )
        now = self._clock.wall_ms()
        body = Record(0, now, control_key(ControlType.LEADER_CHANGE), b"".join(codec.encode(message, 0)))
        try:
            self.log.append_own(build_batch([body], control=True), self.core.epoch, now)
        except KafkaError as error:
            raise OSError(f"the metadata log takes no records: {error}") from error
        log.info("node %d leads the quorum in epoch %d", self.core.node_id, self.core.epoch)
        self._persist()

    # Appending.

    @property
    def epoch(self) -> int:
        return self.core.epoch

    @property
    def is_leader(self) -> bool:
        return self.core.role is Role.LEADER

    def append(self, values: Sequence[bytes], done: Callable[[ErrorCode], None]) -> int:
        """Append records as one batch; its last offset. `done` is called when it is committed.

        KafkaError, with nothing appended, when this node does not lead, too much is pending, or the disk refuses.
        """
        if not self.is_leader:
            raise KafkaError(ErrorCode.NOT_CONTROLLER)
        if len(self._pending) >= PENDING_MAX:
            raise KafkaError(ErrorCode.REQUEST_TIMED_OUT, f"{PENDING_MAX} changes of metadata wait for the disk already")
        now = self._clock.wall_ms()
        batch = build_batch([Record(0, now, None, value) for value in values])
        info = self.log.append_own(batch, self.core.epoch, now)
        self._pending.append((info.last_offset, done))
        self._persist()
        return info.last_offset

    def when_committed(self, done: Callable[[ErrorCode], None]) -> None:
        """Call `done` when everything appended so far is committed: the answer to a read of it."""
        if self.core.high_watermark >= self.log.log_end_offset:
            done(ErrorCode.NONE)
        else:
            self._pending.append((self.log.log_end_offset - 1, done))

    def _persist(self) -> None:
        if self._persisting:
            return
        self._persisting = True
        self.log.flush_soon(self._persisted)

    def _persisted(self, error: OSError | None) -> None:
        self._persisting = False
        if error is not None:
            return  # The log has told the node, which stops.
        if self.core.observe_persisted(self.core.node_id, self.core.epoch, self.log.persisted_end_offset):
            self._deliver()
        if self.is_leader and self.log.persisted_end_offset < self.log.log_end_offset:
            self._persist()

    # Committing.

    def _deliver(self) -> None:
        """Give the listeners what is committed, then answer those who waited for it."""
        try:
            while self._delivered < self.core.high_watermark:
                self._deliver_some()
        except (KafkaError, codec.MalformedMessage, LookupError) as error:
            self.log.fail(OSError(errno.EIO, f"the metadata log cannot be read from offset {self._delivered} on ({error!r})"))
            return
        if not self._announced:
            self._announced = True
            for listener in self._listeners:
                listener.handle_leader(self.core.epoch)
        while self._pending and self._pending[0][0] < self.core.high_watermark:
            self._pending.popleft()[1](ErrorCode.NONE)

    def _deliver_some(self) -> None:
        buffers = self.log.read(self._delivered, READ_BYTES, self.core.high_watermark)
        if not buffers:
            raise KafkaError(ErrorCode.CORRUPT_MESSAGE, "there is no batch")
        for buffer in buffers:
            for header, batch in iter_batches(buffer):
                self._delivered = header.next_offset
                if header.is_control:
                    continue
                values = [record.value or b"" for record in iter_records(batch, header)]
                for listener in self._listeners:
                    listener.handle_commit(values, header.last_offset)

    def stop(self) -> None:
        """Lead no more; what is pending is answered NOT_CONTROLLER."""
        self.core.resign()
        pending, self._pending = self._pending, deque()
        for _, done in pending:
            done(ErrorCode.NOT_CONTROLLER)
