"""How requests of other replicas are judged: whether they are refused, whether a vote is given, and plain answers.

Functions of a core's state that change nothing. Source: ``QuorumState`` (``canGrantVote`` of each role), ``KafkaRaftClient``.
"""

from typing import TYPE_CHECKING

from broker.protocol.errors import ErrorCode
from broker.raft.election_store import NOBODY
from broker.raft.messages import NO_EPOCH, Answer, BeginEpoch, EndEpoch, Fetch, FetchAnswer, Vote
from broker.raft.roles import Role

if TYPE_CHECKING:
    from broker.raft.core import RaftCore
    from broker.raft.replica import Replica


def vote_error(core: "RaftCore", vote: Vote) -> ErrorCode:
    if vote.candidate_id not in core.peers or not core.is_voter:
        return ErrorCode.INCONSISTENT_VOTER_SET
    if vote.epoch < core.epoch:
        return ErrorCode.FENCED_LEADER_EPOCH
    if vote.epoch < 0 or vote.last_epoch < 0 or vote.last_offset < 0 or vote.last_epoch > vote.epoch:
        return ErrorCode.INVALID_REQUEST
    if not vote.pre_vote and vote.last_epoch == vote.epoch:
        # A log that has records of an epoch had its leader already.
        return ErrorCode.INVALID_REQUEST
    return ErrorCode.NONE


def may_grant(core: "RaftCore", vote: Vote, now: int) -> bool:
    """Whether a vote in this replica's epoch is given, or a pre-vote."""
    up_to_date = (vote.last_epoch, vote.last_offset) >= (core.log.last_epoch, core.log.end_offset)
    if core.role is Role.LEADER:
        return False
    if vote.pre_vote:
        if core.role is Role.FOLLOWER and not core.would_change_leader:
            return False
        return up_to_date and core.ranks_behind(vote, now)
    if core.election.voted_id != NOBODY:
        return core.election.voted_id == vote.candidate_id
    return up_to_date and core.leader_id == NOBODY and core.role is not Role.RESIGNED


def begin_error(core: "RaftCore", request: BeginEpoch | EndEpoch) -> ErrorCode:
    """Of a request that only the leader of an epoch sends."""
    if request.leader_id not in core.voters:
        return ErrorCode.INCONSISTENT_VOTER_SET
    if request.epoch < core.epoch:
        return ErrorCode.FENCED_LEADER_EPOCH
    if request.leader_id == core.node_id or (request.epoch == core.epoch and core.leader_id not in (NOBODY, request.leader_id)):
        # There would be two leaders of one epoch.
        return ErrorCode.INVALID_REQUEST
    return ErrorCode.NONE


def fetch_error(core: "RaftCore", fetch: Fetch) -> ErrorCode:
    """Of a request that only a leader answers."""
    if fetch.epoch != NO_EPOCH:
        if fetch.epoch < core.epoch:
            return ErrorCode.FENCED_LEADER_EPOCH
        if fetch.epoch > core.epoch:
            return ErrorCode.UNKNOWN_LEADER_EPOCH
    if core.role is not Role.LEADER:
        return ErrorCode.NOT_LEADER_OR_FOLLOWER
    if fetch.offset < 0 or fetch.replica_id == core.node_id:
        return ErrorCode.INVALID_REQUEST
    return ErrorCode.NONE


def answer(core: "RaftCore", error: ErrorCode) -> Answer:
    return Answer(error, core.epoch, core.leader_id)


def fetched(core: "Replica") -> FetchAnswer:
    """What a leader answers, without the records."""
    return FetchAnswer(ErrorCode.NONE, core.epoch, core.leader_id, core.high_watermark, core.log.start_offset)
