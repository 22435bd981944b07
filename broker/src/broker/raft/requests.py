"""What other nodes ask this replica of the quorum: the half of the driver that the handlers of the controller listener call.

Every `handle_*` answers by `context.respond`, at once or later. A request of another cluster is refused whole
(INCONSISTENT_CLUSTER_ID), one that is for another voter (INVALID_VOTER_KEY) or from none (INCONSISTENT_VOTER_SET) likewise.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from broker.client.exchange import Outcome, RequestFailed
from broker.clock.port import Clock
from broker.log.log_manager import METADATA_TOPIC
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.message import Response
from broker.protocol.messages import describe_quorum as quorum
from broker.protocol.messages.begin_quorum_epoch import BeginQuorumEpochRequest
from broker.protocol.messages.end_quorum_epoch import EndQuorumEpochRequest
from broker.protocol.messages.fetch import FetchRequest
from broker.protocol.messages.fetch_snapshot import FetchSnapshotRequest
from broker.protocol.messages.vote import VoteRequest
from broker.raft import snapshot_transfer, wire
from broker.raft.core import RaftCore
from broker.raft.leader_state import UNKNOWN, Progress
from broker.raft.messages import AnyAnswer, BeginEpoch, EndEpoch, Fetch, Request, Vote
from broker.raft.peers import Peers
from broker.raft.quorum_log import QuorumLog
from broker.raft.settings import QuorumSettings
from broker.raft.wire import Wire
from broker.storage.port import Buffer

NODES_SINCE = 2


class Context(Protocol):
    """The asker, as the server knows it."""

    @property
    def api_version(self) -> int: ...

    def respond(self, response: Response, /) -> None:
        """Called once."""

    def is_peer(self, node_id: int, /) -> None:
        """That node is at the other end."""


class Requests:
    """See the module."""

    core: RaftCore
    clock: Clock
    peers: Peers
    settings: QuorumSettings
    quorum_log: QuorumLog
    addresses: dict[int, tuple[str, int]]

    def __init__(self, wire_: Wire) -> None:
        self.wire = wire_
        self._tokens = 0
        # Requests that were not answered yet.
        self._asked: dict[int, tuple[Any, Context]] = {}

    def pump(self) -> None:
        raise NotImplementedError

    # The quorum's own.

    def handle_vote(self, request: VoteRequest, context: Context) -> None:
        self._take(request, context)

    def handle_begin_quorum_epoch(self, request: BeginQuorumEpochRequest, context: Context) -> None:
        self._take(request, context)

    def handle_end_quorum_epoch(self, request: EndQuorumEpochRequest, context: Context) -> None:
        self._take(request, context)

    def handle_fetch(self, request: FetchRequest, context: Context) -> None:
        self._take(request, context)

    def _take(self, request: Any, context: Context) -> None:
        try:
            if self.wire.is_foreign(request):
                raise KafkaError(ErrorCode.INCONSISTENT_CLUSTER_ID)
            asked = self.wire.asked_by(request, context.api_version)
        except KafkaError as error:
            context.respond(wire.refusal(request, error.code))
            return
        asker = _asker(asked)
        if asker in self.core.peers:
            context.is_peer(asker)
        self._tokens += 1
        token = self._tokens
        self._asked[token] = request, context
        now = self.clock.monotonic_ms()
        if isinstance(asked, Vote):
            self.core.observe_vote(token, asked, now)
        elif isinstance(asked, BeginEpoch):
            self.core.observe_begin_epoch(token, asked, now)
        elif isinstance(asked, EndEpoch):
            self.core.observe_end_epoch(token, asked, now)
        else:
            assert isinstance(asked, Fetch)
            self.core.observe_fetch(token, asked, now)
        self.pump()

    def reply(self, token: int, answer: AnyAnswer, records: Sequence[Buffer]) -> None:
        """The core has answered."""
        request, context = self._asked.pop(token)
        context.respond(self.wire.response(request, context.api_version, answer, records))

    def handle_fetch_snapshot(self, request: FetchSnapshotRequest, context: Context) -> None:
        if self.wire.is_foreign(request):
            context.respond(wire.refusal(request, ErrorCode.INCONSISTENT_CLUSTER_ID))
            return
        context.respond(snapshot_transfer.give(request, self.core, self.quorum_log, self.clock.monotonic_ms()))

    # For whoever looks in.

    def handle_describe_quorum(self, request: quorum.DescribeQuorumRequest, context: Context, *, relay: bool) -> None:
        """How far every replica is, which the leader alone knows; `relay`: ask it, when this node does not lead."""
        leader_id = self.core.leader_id
        if relay and self.core.leader is None and leader_id in self.core.peers:
            self.peers.ask(leader_id, request, self.settings.request_timeout_ms, lambda outcome: self._relay(outcome, context))
            return
        topics = []
        for topic in request.topics:
            known = topic.topic_name == METADATA_TOPIC
            partitions = [self._describe(item.partition_index, known=known) for item in topic.partitions]
            topics.append(quorum.ResponseTopicData(topic_name=topic.topic_name, partitions=partitions))
        nodes = self._nodes() if context.api_version >= NODES_SINCE else []
        context.respond(quorum.DescribeQuorumResponse(error_message=None, topics=topics, nodes=nodes))

    @staticmethod
    def _relay(outcome: Outcome, context: Context) -> None:
        if isinstance(outcome, RequestFailed):
            outcome = quorum.DescribeQuorumResponse(error_code=ErrorCode.REQUEST_TIMED_OUT, error_message=str(outcome))
        if context.api_version < NODES_SINCE and isinstance(outcome, quorum.DescribeQuorumResponse):
            outcome.nodes = []
        context.respond(outcome)

    def _describe(self, index: int, *, known: bool) -> quorum.ResponsePartitionData:
        core, leader = self.core, self.core.leader
        data = quorum.ResponsePartitionData(
            partition_index=index, error_message=None, leader_id=core.leader_id, leader_epoch=core.epoch, high_watermark=-1
        )
        if not known or index != 0:
            data.error_code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            data.leader_id = data.leader_epoch = 0
            data.high_watermark = 0
        elif leader is None:
            data.error_code = ErrorCode.NOT_LEADER_OR_FOLLOWER
        else:
            data.high_watermark = core.high_watermark
            data.current_voters = [self._replica(one, progress) for one, progress in sorted(leader.voters.items())]
            data.observers = [self._replica(one, progress) for one, progress in sorted(leader.observers.items())]
        return data

    def _replica(self, replica_id: int, progress: Progress) -> quorum.ReplicaState:
        """Times are wall time on the wire, -1 for never; the leader itself is always there."""
        monotonic, wall = self.clock.monotonic_ms(), self.clock.wall_ms()

        def at(known_ms: int) -> int:
            return UNKNOWN if known_ms == UNKNOWN else wall - (monotonic - known_ms)

        own = replica_id == self.core.node_id
        return quorum.ReplicaState(
            replica_id=replica_id,
            log_end_offset=self.quorum_log.end_offset if own else progress.end_offset,
            last_fetch_timestamp=wall if own else at(progress.last_fetch_ms),
            last_caught_up_timestamp=wall if own else at(progress.last_caught_up_ms),
        )

    def _nodes(self) -> list[quorum.Node]:
        """The voters' controller listeners."""
        name = self.settings.listener_name
        return [
            quorum.Node(node_id=node_id, listeners=[quorum.Listener(name=name, host=host, port=port)])
            for node_id, (host, port) in sorted(self.addresses.items())
        ]


def _asker(asked: Request) -> int:
    """Which node asks."""
    if isinstance(asked, Vote):
        return asked.candidate_id
    return asked.replica_id if isinstance(asked, Fetch) else asked.leader_id
