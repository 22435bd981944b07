"""Snapshots over the wire: giving pieces of one (FetchSnapshot, as the leader), and fetching one whole (as a follower).

Source: KIP-630, ``KafkaRaftClient.handleFetchSnapshotRequest``, ``handleFetchSnapshotResponse``.
"""

import logging
from collections.abc import Callable
from typing import Any

from broker.client.exchange import Outcome, RequestFailed
from broker.client.retriable import error_of
from broker.log.log_manager import METADATA_TOPIC
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.message import Response
from broker.protocol.messages.fetch_snapshot import (
    FetchSnapshotRequest,
    FetchSnapshotResponse,
    LeaderIdAndEpoch,
    ResponsePartitionSnapshot,
    ResponseSnapshotId,
    ResponseTopicSnapshot,
)
from broker.raft.core import RaftCore
from broker.raft.messages import NO_EPOCH, EpochEnd, LoadSnapshot
from broker.raft.peers import Peers
from broker.raft.quorum_log import QuorumLog
from broker.raft.roles import Role
from broker.raft.wire import Wire
from broker.storage.port import File

log = logging.getLogger("broker.raft")
PIECE_BYTES = 8 << 20


def give(request: FetchSnapshotRequest, core: RaftCore, quorum_log: QuorumLog, now: int) -> Response:
    """A piece of a snapshot, when this node leads."""
    if len(request.topics) != 1 or len(request.topics[0].partitions) != 1:
        return FetchSnapshotResponse(error_code=ErrorCode.INVALID_REQUEST)
    topic, asked = request.topics[0], request.topics[0].partitions[0]
    snapshot = EpochEnd(asked.snapshot_id.epoch, asked.snapshot_id.end_offset)
    data = ResponsePartitionSnapshot(
        index=asked.partition,
        snapshot_id=ResponseSnapshotId(end_offset=snapshot.end_offset, epoch=snapshot.epoch),
        current_leader=LeaderIdAndEpoch(leader_id=core.leader_id, leader_epoch=core.epoch),
        position=asked.position,
        unaligned_records=b"",
    )
    try:
        if topic.name != METADATA_TOPIC or asked.partition != 0:
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        _check_leader(core, asked.current_leader_epoch)
        if snapshot not in quorum_log.snapshots.ids:
            raise KafkaError(ErrorCode.SNAPSHOT_NOT_FOUND)
        core.observe_snapshot_fetch(request.replica_id, now)
        data.size = quorum_log.snapshots.size(snapshot)
        if not 0 <= asked.position < data.size:
            raise KafkaError(ErrorCode.POSITION_OUT_OF_RANGE)
        data.unaligned_records = quorum_log.snapshots.read(snapshot, asked.position, min(max(1, request.max_bytes), PIECE_BYTES))
    except KafkaError as error:
        data.error_code = error.code
    return FetchSnapshotResponse(topics=[ResponseTopicSnapshot(name=topic.name, partitions=[data])])


def _check_leader(core: RaftCore, epoch: int) -> None:
    if epoch != NO_EPOCH and epoch < core.epoch:
        raise KafkaError(ErrorCode.FENCED_LEADER_EPOCH)
    if epoch > core.epoch:
        raise KafkaError(ErrorCode.UNKNOWN_LEADER_EPOCH)
    if core.role is not Role.LEADER:
        raise KafkaError(ErrorCode.NOT_LEADER_OR_FOLLOWER)


class Download:
    """Fetches one snapshot from the leader of an epoch. `done(whole)` is called once, unless that leader is followed no more."""

    def __init__(
        self,
        load: LoadSnapshot,
        *,
        quorum_log: QuorumLog,
        peers: Peers,
        wire: Wire,
        timeout_ms: int,
        is_wanted: Callable[[], bool],
        on_progress: Callable[[], None],
        done: Callable[[OSError | None, bool], None],
    ) -> None:
        self._load = load
        self._log = quorum_log
        self._peers = peers
        self._wire = wire
        self._timeout_ms = timeout_ms
        self._is_wanted = is_wanted
        self._on_progress = on_progress
        self._done = done

    def start(self) -> None:
        log.info(
            "fetching the snapshot of the metadata up to offset %d from node %d",
            self._load.snapshot.end_offset,
            self._load.leader_id,
        )
        try:
            file = self._log.snapshots.begin(self._load.snapshot)
        except OSError as error:
            self._done(error, False)
            return
        self._ask(file)

    def _ask(self, file: File) -> None:
        request = self._wire.snapshot_request(self._load.snapshot, self._load.epoch, file.size, PIECE_BYTES)
        self._peers.ask(self._load.leader_id, request, self._timeout_ms, lambda outcome: self._answered(file, outcome))

    def _answered(self, file: File, outcome: Outcome) -> None:
        if not self._is_wanted():
            self._log.snapshots.abandon(self._load.snapshot, file)
            return
        try:
            data = self._piece(outcome, file.size)
            file.append([data.unaligned_records])
        except KafkaError as error:
            log.warning("the snapshot could not be fetched from node %d: %s", self._load.leader_id, error)
            self._give_up(file, None)
            return
        except OSError as error:
            self._give_up(file, error)
            return
        self._on_progress()
        if file.size < data.size:
            self._ask(file)
        else:
            self._log.snapshots.finish(self._load.snapshot, file, self._finished)

    @staticmethod
    def _piece(outcome: Outcome, position: int) -> Any:
        if isinstance(outcome, RequestFailed):
            raise KafkaError(ErrorCode.NETWORK_EXCEPTION, str(outcome))
        assert isinstance(outcome, FetchSnapshotResponse)
        if outcome.error_code != ErrorCode.NONE:
            raise KafkaError(error_of(outcome.error_code))
        data = outcome.topics[0].partitions[0] if outcome.topics and outcome.topics[0].partitions else None
        if data is None or data.position != position or (data.error_code == ErrorCode.NONE and not data.unaligned_records):
            raise KafkaError(ErrorCode.INVALID_REQUEST, "the answer is not what was asked for")
        if data.error_code != ErrorCode.NONE:
            raise KafkaError(error_of(data.error_code))
        return data

    def _give_up(self, file: File, error: OSError | None) -> None:
        self._log.snapshots.abandon(self._load.snapshot, file)
        self._done(error, False)

    def _finished(self, error: OSError | None) -> None:
        if self._is_wanted():
            self._done(error, error is None)
