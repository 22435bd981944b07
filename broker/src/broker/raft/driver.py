"""The shell around the Raft core: the metadata log on disk, its fsyncs, the connections to the other voters, the timer.

Invariants: one persist is in flight, input goes on meanwhile and shares the next; what a persist is for is done after it.
Appends of one turn of the loop wake the followers once. Source: ``KafkaRaftClient``. Leaves out: requests of other nodes
(`requests`), what listeners are told (`publication`).
"""

import errno
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from broker.client.exchange import Outcome, RequestFailed
from broker.clock.port import Clock, Timer
from broker.clock.randomness import Randomness
from broker.config import BrokerConfig
from broker.log.failure import DISK_FULL
from broker.log.partition_log import PartitionLog
from broker.log.properties import DirectoryError
from broker.network.port import Network
from broker.protocol import codec
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.raft_records import LeaderChangeMessage, Voter
from broker.raft.core import RaftCore, RaftError
from broker.raft.election_store import ElectionState, ElectionStore
from broker.raft.messages import Append, Effect, EndEpoch, LoadSnapshot, LogChange, OpenEpoch, Reply, Request, Send, Truncate
from broker.raft.misfits import Misfits
from broker.raft.peers import Peers
from broker.raft.publication import Done, Listener, Publication
from broker.raft.quorum_log import QuorumLog
from broker.raft.requests import Requests
from broker.raft.roles import Role
from broker.raft.settings import QuorumSettings
from broker.raft.snapshot_transfer import Download
from broker.raft.snapshots import SnapshotStore
from broker.raft.snapshotting import Records, Snapshotting
from broker.raft.wire import Wire
from broker.record.builder import ControlType, build_batch, build_control_batch
from broker.record.records import Record
from broker.storage.port import Storage

log = logging.getLogger("broker.raft")
# While the disk is full: when the election state is tried to be written again.
DISK_FULL_RETRY_MS = 1000
# What reading the log or a snapshot, or a listener that does not understand it, may end in.
UNREADABLE = (KafkaError, codec.MalformedMessage, LookupError, DirectoryError)
# How long a stopping leader lets the others take its word that it goes.
FAREWELL_MS = 200


class World(Protocol):
    """The ports of a node."""

    @property
    def clock(self) -> Clock: ...

    @property
    def randomness(self) -> Randomness: ...

    @property
    def storage(self) -> Storage: ...

    @property
    def network(self) -> Network: ...


class RaftDriver(Requests):
    """See the module. `voters`: where the controller listener of each is."""

    def __init__(
        self,
        config: BrokerConfig,
        cluster_id: str,
        voters: Mapping[int, tuple[str, int]],
        partition: PartitionLog,
        store: ElectionStore,
        *,
        world: World,
        on_peer_lost: Callable[[int], None] = lambda node_id: None,
        snapshot: Records | None = None,
        settings: QuorumSettings | None = None,
    ) -> None:
        """`on_peer_lost` is told whose connection has ended; `snapshot` gives the records of what was committed so far."""
        self.settings = settings or QuorumSettings.of(config)
        self.clock = world.clock
        self.addresses = dict(voters)
        self.log = partition
        self.quorum_log = QuorumLog(partition, SnapshotStore(world.storage, partition.directory))
        self.core = RaftCore(
            config.node_id,
            tuple(voters),
            store.read(),
            self.quorum_log,
            randomness=world.randomness,
            timing=self.settings.timing,
            committed=self.quorum_log.newest.end_offset,
        )
        super().__init__(Wire(cluster_id, config.node_id, voters, self.settings.listener_name))
        self._store = store
        self.peers = Peers(config.node_id, voters, world.network, world.clock, on_peer_lost)
        self._publication = Publication(config.node_id, self.quorum_log)
        self._snapshotting = Snapshotting(
            self.settings, self.clock, self.quorum_log, self._publication, snapshot, on_failure=partition.fail
        )
        self._durable_epoch = self.core.epoch
        self._held: list[Effect] = []
        self._unsaved: ElectionState | None = None
        self._persisting = False
        self._pumping = self._again = False
        self._grown = False
        self._misfits = Misfits(config.node_id, self.addresses)
        # The download whose end counts; one of before the leader was asked again is none any more.
        self._download_wanted: object = None
        self._timer: Timer | None = None
        self._timer_at_ms = -1
        self._stopped = False

    # What the node and its controller see.

    def register(self, listener: Listener) -> None:
        """Before `start`."""
        self._publication.register(listener)

    @property
    def epoch(self) -> int:
        return self.core.epoch

    @property
    def leader_id(self) -> int:
        """-1 when it is not known."""
        return self.core.leader_id

    @property
    def is_leader(self) -> bool:
        return self.core.role is Role.LEADER

    @property
    def high_watermark(self) -> int:
        return self.core.high_watermark

    @property
    def voters(self) -> tuple[int, ...]:
        return self.core.voters

    def start(self) -> None:
        """Load the newest snapshot and take part. DirectoryError when the snapshot is damaged."""
        snapshot = self.quorum_log.snapshots.latest
        if snapshot is not None:
            self._publication.load(snapshot)
        self.core.start(self.now)
        self.pump()

    def append(self, values: Sequence[bytes], done: Done) -> int:
        """Append records as one batch; its last offset. `done` is called when it is committed, or with NOT_CONTROLLER.

        KafkaError, with nothing appended, when this node does not lead, too much is pending, or the disk refuses. Who refuses
        leads no more when there are others: they may have room, and whatever the cluster needs is decided there.
        """
        if not self.is_leader or self._stopped:
            raise KafkaError(ErrorCode.NOT_CONTROLLER)
        if self._publication.is_full:
            raise KafkaError(ErrorCode.REQUEST_TIMED_OUT, "too many changes of metadata wait for the disk already")
        now = self.clock.wall_ms()
        batch = build_batch([Record(0, now, None, value) for value in values])
        try:
            info = self.log.append_own(batch, self.core.epoch, now)
        except KafkaError as error:
            if error.code is ErrorCode.KAFKA_STORAGE_ERROR and len(self.core.voters) > 1:
                log.error("node %d cannot lead the quorum any longer: %s", self.core.node_id, error.message)
                self.clock.call_soon(self._resign)
            raise
        self._publication.wait(info.last_offset, done)
        self._wake()
        return info.last_offset

    def _resign(self) -> None:
        if not self._stopped:
            self.core.resign(self.now)
            self.pump()

    def when_committed(self, done: Done) -> None:
        """Call `done` when everything appended so far is committed: the answer to a read of it."""
        if not self.is_leader:
            done(ErrorCode.NOT_CONTROLLER)
        elif self._publication.delivered >= self.log.log_end_offset:
            done(ErrorCode.NONE)
        else:
            self._publication.wait(self.log.log_end_offset - 1, done)

    def door_closed(self, node_id: int) -> None:
        """That node does not open when one knocks: as a leader it is given up at once."""
        if not self._stopped:
            self.core.door_closed(node_id, self.now)
            self.pump()

    def stop(self) -> None:
        """Lead no more, and tell the others; what is pending is answered NOT_CONTROLLER. The log is left alone from now on."""
        if self._stopped:
            return
        self.core.resign(self.now)
        self._stopped = True
        self._snapshotting.stop()
        ready = self.core.take_ready()
        for effect in ready.at_once:
            if isinstance(effect, Reply) or (isinstance(effect, Send) and isinstance(effect.request, EndEpoch)):
                self._perform(effect)
        self._publication.refuse()
        if self._timer is not None:
            self._timer.cancel()
        self.clock.call_at(self.now + FAREWELL_MS, self.peers.close)

    # The loop.

    @property
    def now(self) -> int:
        return self.clock.monotonic_ms()

    def _wake(self) -> None:
        """The log has grown: see to it when this turn of the loop is over."""
        if not self._grown:
            self._grown = True
            self.clock.call_soon(self._on_grown)

    def _on_grown(self) -> None:
        self._grown = False
        if not self._stopped:
            self.core.observe_appended(self.now)
            self.pump()

    def pump(self) -> None:
        """Do what the core wants, until it wants nothing more for now."""
        self._again = True
        if self._pumping or self._stopped:
            return
        self._pumping = True
        try:
            # Listeners may give the core more to do.
            while self._again and not self._stopped:
                self._again = False
                self._drain()
                self._publish()
        finally:
            self._pumping = False
        if not self._stopped:
            self._persist()
            self._set_timer()

    def _drain(self) -> None:
        while not (ready := self.core.take_ready()).empty:
            if ready.election is not None:
                self._unsaved = ready.election
            self._held += ready.after_persist
            for effect in ready.at_once:
                self._perform(effect)

    def _publish(self) -> None:
        if not self.is_leader:
            self._publication.refuse()
        try:
            self._publication.deliver(self.core.high_watermark)
        except UNREADABLE as error:
            place = f"the metadata log cannot be read from offset {self._publication.delivered} on"
            self._fail(OSError(errno.EIO, f"{place} ({error!r})"))
            return
        start = self.core.leader.epoch_start_offset if self.core.leader is not None else 0
        self._publication.announce(self.core.leader_id, self.core.epoch, start)
        self._publication.answer()
        self._snapshotting.consider()

    def _fail(self, error: OSError) -> None:
        """Nothing here may be trusted any more: say and do nothing until the node is gone."""
        self._stopped = True
        self._snapshotting.stop()
        self.log.fail(error)

    def _set_timer(self) -> None:
        deadlines = [at for at in (self.core.next_deadline(), self._snapshotting.next_deadline()) if at is not None]
        due = min(deadlines, default=None)
        if self._timer is not None:
            if due == self._timer_at_ms:
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer_at_ms = due
            self._timer = self.clock.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if not self._stopped:
            self.core.on_deadline(self.now)
            self.pump()

    # Making things durable.

    def _persist(self) -> None:
        """Begin to make everything of this moment durable, unless that is under way or there is nothing to do."""
        if self._persisting or not (self._held or self._unsaved is not None or not self.quorum_log.is_durable):
            return
        self._persisting = True
        held, self._held = self._held, []
        election, self._unsaved = self._unsaved, None

        def saved(error: OSError | None) -> None:
            if self._stopped:
                return
            if error is not None:
                self._not_saved(error, held, election)
                return
            self._durable_epoch = self._durable_epoch if election is None else election.epoch
            if self.quorum_log.is_durable:
                self._persisted(held)
            else:
                self.log.flush_soon(flushed)

        def flushed(error: OSError | None) -> None:
            # The log has told the node of an error, and the node stops.
            if error is None and not self._stopped:
                self._persisted(held)

        if election is None:
            saved(None)
        else:
            self._store.write_soon(election, saved)

    def _persisted(self, held: list[Effect]) -> None:
        self._persisting = False
        self.core.persisted(self._durable_epoch, self.log.persisted_end_offset, self.now)
        for effect in held:
            self._perform(effect)
        self.pump()

    def _not_saved(self, error: OSError, held: list[Effect], election: ElectionState | None) -> None:
        """Without its election state a voter says nothing. A full disk may have room later; anything else is the end."""
        if error.errno not in DISK_FULL:
            self._fail(error)
            return
        log.error("the vote of this node cannot be written: %s", error)
        self._held = held + self._held
        self._unsaved = self._unsaved or election

        def again() -> None:
            self._persisting = False
            if not self._stopped:
                self._persist()

        self.clock.call_at(self.now + DISK_FULL_RETRY_MS, again)

    # Doing.

    def _perform(self, effect: Effect) -> None:
        if isinstance(effect, Send):
            self._send(effect.peer, effect.request)
        elif isinstance(effect, OpenEpoch):
            self._open_epoch(effect)
        else:
            records = self.log.read(effect.read_from, effect.max_bytes, self.log.log_end_offset) if effect.read_from >= 0 else []
            self.reply(effect.token, effect.answer, records)

    def _open_epoch(self, effect: OpenEpoch) -> None:
        """The first record of an epoch says who leads. Without it nothing of the epoch can be committed: resign."""
        message = LeaderChangeMessage(
            leader_id=self.core.node_id,
            voters=[Voter(voter_id=voter) for voter in self.core.voters],
            granting_voters=[Voter(voter_id=voter) for voter in effect.granting_voters],
        )
        now = self.clock.wall_ms()
        batch = build_control_batch(ControlType.LEADER_CHANGE, b"".join(codec.encode(message, 0)), now)
        log.info("node %d leads the quorum in epoch %d", self.core.node_id, effect.epoch)
        try:
            self.log.append_own(batch, effect.epoch, now)
        except KafkaError as error:
            log.error("the epoch %d could not be opened: %s", effect.epoch, error)
            self.core.resign(self.now)
        else:
            self._wake()

    def _send(self, peer: int, request: Request) -> None:
        asked = self.wire.request(peer, request)
        self.peers.ask(peer, asked, self.settings.request_timeout_ms, lambda outcome: self._answered(peer, request, outcome))

    def _answered(self, peer: int, request: Request, outcome: Outcome) -> None:
        if self._stopped:
            return
        answer = None
        if not isinstance(outcome, RequestFailed):
            try:
                answer = self.wire.answer_of(outcome)
                self._misfits.answered(peer, answer.error)
                if answer.epoch == self.core.epoch:
                    leads = self.core.role in (Role.LEADER, Role.RESIGNED)
                    self._misfits.told_of_leader(peer, answer.leader_id, leads=leads, now_ms=self.now)
            except KafkaError as error:
                self._misfits.answered(peer, error.code)
        try:
            change = self.core.observe_answer(peer, request, answer, self.now)
        except RaftError as error:
            self._fail(OSError(errno.EIO, str(error)))
            return
        if change is not None:
            self._change_log(change)
        self.pump()

    def _change_log(self, change: LogChange) -> None:
        """What the leader's answer means for this follower's log. Whatever was under way before means nothing any more."""
        self._download_wanted = None
        if isinstance(change, LoadSnapshot):
            self._download(change)
            return
        refused = False
        try:
            if isinstance(change, Truncate):
                log.info("the log of the metadata is cut back from offset %d to %d", self.log.log_end_offset, change.offset)
                self.quorum_log.truncate_to(change.offset)
            elif isinstance(change, Append):
                self.log.append_as_follower(change.records)
        except KafkaError as error:
            log.error("the log of the metadata cannot follow the leader: %s", error)
            refused = True
        self.core.log_changed(self.now, refused=refused)

    def _download(self, load: LoadSnapshot) -> None:
        core = self.core
        wanted = self._download_wanted = object()

        def is_wanted() -> bool:
            current = self._download_wanted is wanted
            return current and not self._stopped and core.role is Role.FOLLOWER and core.epoch == load.epoch and core.busy

        def progressed() -> None:
            core.observe_snapshot_progress(self.now)
            self._set_timer()

        def done(error: OSError | None, whole: bool) -> None:
            if error is not None and error.errno not in DISK_FULL:
                self._fail(error)
                return
            if whole:
                try:
                    self.quorum_log.begin_behind(load.snapshot)
                    self._publication.load(load.snapshot)
                except UNREADABLE as unreadable:
                    self._fail(OSError(errno.EIO, f"the snapshot from node {load.leader_id} cannot be used ({unreadable!r})"))
                    return
                core.snapshot_loaded(load.snapshot.end_offset)
            core.log_changed(self.now, refused=not whole)
            self.pump()

        Download(
            load,
            quorum_log=self.quorum_log,
            peers=self.peers,
            wire=self.wire,
            timeout_ms=self.settings.request_timeout_ms,
            is_wanted=is_wanted,
            on_progress=progressed,
            done=done,
        ).start()
