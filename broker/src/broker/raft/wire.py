"""The core's messages as Kafka's requests and answers, and back. Everything is about partition 0 of `__cluster_metadata`.

Malformed: `KafkaError` with the code to answer. Source: ``RaftUtil``, and the schemas of the requests.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from broker.client.retriable import error_of
from broker.log.log_manager import METADATA_TOPIC
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.message import Request as KafkaRequest
from broker.protocol.message import Response as KafkaResponse
from broker.protocol.messages import begin_quorum_epoch, end_quorum_epoch, fetch, fetch_snapshot, vote
from broker.raft.messages import (
    NO_LIMIT,
    Answer,
    AnyAnswer,
    BeginEpoch,
    EndEpoch,
    EpochEnd,
    Fetch,
    FetchAnswer,
    Request,
    Vote,
    VoteAnswer,
)
from broker.storage.port import Buffer

TOPIC_ID = uuid.UUID(int=1)
NO_REPLICA = -1
TOPIC_IDS_SINCE, REPLICA_STATES_SINCE = 13, 15
# Fetches before this version cannot say where logs part; answers before those cannot say where the leader is.
FETCH_VERSION_MIN, FETCH_ENDPOINTS_SINCE, ENDPOINTS_SINCE = 12, 16, 1


class Wire:
    """One node's end. `addresses`: host and port of every voter's controller listener."""

    def __init__(self, cluster_id: str, node_id: int, addresses: Mapping[int, tuple[str, int]], listener: str) -> None:
        self.cluster_id = cluster_id
        self._node_id = node_id
        self._addresses = addresses
        self._listener = listener

    # Asking.

    def request(self, peer: int, asked: Request) -> KafkaRequest:
        """What is sent to a voter."""
        if isinstance(asked, Vote):
            ballot = vote.PartitionData(
                partition_index=0,
                replica_epoch=asked.epoch,
                replica_id=asked.candidate_id,
                last_offset_epoch=asked.last_epoch,
                last_offset=asked.last_offset,
                pre_vote=asked.pre_vote,
            )
            topic = vote.TopicData(topic_name=METADATA_TOPIC, partitions=[ballot])
            return vote.VoteRequest(cluster_id=self.cluster_id, voter_id=peer, topics=[topic])
        if isinstance(asked, BeginEpoch):
            return self._begin(peer, asked)
        if isinstance(asked, EndEpoch):
            return self._end(asked)
        return self._fetch(asked)

    def _begin(self, peer: int, asked: BeginEpoch) -> KafkaRequest:
        data = begin_quorum_epoch.PartitionData(partition_index=0, leader_id=asked.leader_id, leader_epoch=asked.epoch)
        host, port = self._addresses[self._node_id]
        return begin_quorum_epoch.BeginQuorumEpochRequest(
            cluster_id=self.cluster_id,
            voter_id=peer,
            topics=[begin_quorum_epoch.TopicData(topic_name=METADATA_TOPIC, partitions=[data])],
            leader_endpoints=[begin_quorum_epoch.LeaderEndpoint(name=self._listener, host=host, port=port)],
        )

    def _end(self, asked: EndEpoch) -> KafkaRequest:
        data = end_quorum_epoch.PartitionData(
            partition_index=0,
            leader_id=asked.leader_id,
            leader_epoch=asked.epoch,
            preferred_successors=list(asked.successors),
            preferred_candidates=[end_quorum_epoch.ReplicaInfo(candidate_id=one) for one in asked.successors],
        )
        host, port = self._addresses[self._node_id]
        return end_quorum_epoch.EndQuorumEpochRequest(
            cluster_id=self.cluster_id,
            topics=[end_quorum_epoch.TopicData(topic_name=METADATA_TOPIC, partitions=[data])],
            leader_endpoints=[end_quorum_epoch.LeaderEndpoint(name=self._listener, host=host, port=port)],
        )

    def _fetch(self, asked: Fetch) -> KafkaRequest:
        data = fetch.FetchPartition(
            partition=0,
            current_leader_epoch=asked.epoch,
            fetch_offset=asked.offset,
            last_fetched_epoch=asked.last_epoch,
            partition_max_bytes=asked.max_bytes,
            high_watermark=asked.high_watermark,
        )
        return fetch.FetchRequest(
            cluster_id=self.cluster_id,
            replica_state=fetch.ReplicaState(replica_id=asked.replica_id),
            max_wait_ms=asked.max_wait_ms,
            min_bytes=0,
            max_bytes=asked.max_bytes,
            topics=[fetch.FetchTopic(topic_id=TOPIC_ID, partitions=[data])],
        )

    def answer_of(self, response: Any) -> AnyAnswer:
        """What a voter said. KafkaError when it refused the whole request, or said nothing of the partition."""
        if response.error_code != ErrorCode.NONE:
            raise KafkaError(error_of(response.error_code))
        if isinstance(response, fetch.FetchResponse):
            data = _only(_only(response.responses).partitions)
            known = data.diverging_epoch.epoch >= 0
            diverging = EpochEnd(data.diverging_epoch.epoch, data.diverging_epoch.end_offset) if known else None
            snapshot = EpochEnd(data.snapshot_id.epoch, data.snapshot_id.end_offset) if data.snapshot_id.epoch >= 0 else None
            return FetchAnswer(
                error_of(data.error_code),
                data.current_leader.leader_epoch,
                data.current_leader.leader_id,
                data.high_watermark,
                data.log_start_offset,
                diverging,
                snapshot,
                data.records or b"",
            )
        data = _only(_only(response.topics).partitions)
        error = error_of(data.error_code)
        if isinstance(response, vote.VoteResponse):
            return VoteAnswer(error, data.leader_epoch, data.leader_id, data.vote_granted)
        return Answer(error, data.leader_epoch, data.leader_id)

    # Being asked.

    def asked_by(self, request: Any, api_version: int) -> Request:
        """What another node asks; KafkaError with what it is to be told."""
        if isinstance(request, fetch.FetchRequest):
            return self._fetch_of(request, api_version)
        data = _partition(request)
        if isinstance(request, vote.VoteRequest):
            self._check_voter(request.voter_id)
            return Vote(data.replica_id, data.replica_epoch, data.last_offset_epoch, data.last_offset, data.pre_vote)
        if isinstance(request, begin_quorum_epoch.BeginQuorumEpochRequest):
            self._check_voter(request.voter_id)
            return BeginEpoch(data.leader_id, data.leader_epoch)
        successors = data.preferred_successors or [one.candidate_id for one in data.preferred_candidates]
        return EndEpoch(data.leader_id, data.leader_epoch, tuple(successors))

    def _fetch_of(self, request: fetch.FetchRequest, api_version: int) -> Fetch:
        if api_version < FETCH_VERSION_MIN:
            raise KafkaError(ErrorCode.UNSUPPORTED_VERSION)
        topic = _only(request.topics)
        data = _only(topic.partitions)
        known = topic.topic_id == TOPIC_ID if api_version >= TOPIC_IDS_SINCE else topic.topic == METADATA_TOPIC
        if not known or data.partition != 0:
            raise KafkaError(
                ErrorCode.UNKNOWN_TOPIC_ID if api_version >= TOPIC_IDS_SINCE else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            )
        replica_id = request.replica_state.replica_id if api_version >= REPLICA_STATES_SINCE else request.replica_id
        return Fetch(
            replica_id,
            data.current_leader_epoch,
            data.fetch_offset,
            data.last_fetched_epoch,
            data.high_watermark if data.high_watermark >= 0 else NO_LIMIT,
            max(0, request.max_wait_ms),
            max(0, min(request.max_bytes, data.partition_max_bytes)),
        )

    def _check_voter(self, voter_id: int) -> None:
        if voter_id not in (NO_REPLICA, self._node_id):
            raise KafkaError(ErrorCode.INVALID_VOTER_KEY)

    def is_foreign(self, request: Any) -> bool:
        """Whether it comes from another cluster."""
        return request.cluster_id is not None and request.cluster_id != self.cluster_id

    # Answering.

    def response(self, request: Any, api_version: int, answer: AnyAnswer, records: Sequence[Buffer] = ()) -> KafkaResponse:
        """What the asker is told, as far as the version can say it; `records` of a fetch, not joined."""
        if isinstance(answer, FetchAnswer):
            return self._fetch_response(api_version, answer, records)
        fields = {
            "partition_index": 0,
            "error_code": answer.error,
            "leader_id": answer.leader_id,
            "leader_epoch": answer.epoch,
        }
        messages: Any = (
            begin_quorum_epoch if isinstance(request, begin_quorum_epoch.BeginQuorumEpochRequest) else end_quorum_epoch
        )
        if isinstance(answer, VoteAnswer):
            messages = vote
            fields["vote_granted"] = answer.granted
        topic = messages.ResponseTopicData(topic_name=METADATA_TOPIC, partitions=[messages.ResponsePartitionData(**fields)])
        cls = next(value for name, value in vars(messages).items() if name.endswith("Response") and name != "Response")
        endpoints = self._endpoints(messages, answer.leader_id) if api_version >= ENDPOINTS_SINCE else []
        return cls(topics=[topic], node_endpoints=endpoints)  # type: ignore[no-any-return]

    def _fetch_response(self, api_version: int, answer: FetchAnswer, records: Sequence[Buffer]) -> KafkaResponse:
        data = fetch.PartitionData(
            partition_index=0,
            error_code=answer.error,
            high_watermark=answer.high_watermark,
            last_stable_offset=answer.high_watermark,
            log_start_offset=answer.log_start_offset,
            current_leader=fetch.LeaderIdAndEpoch(leader_id=answer.leader_id, leader_epoch=answer.epoch),
            aborted_transactions=None,
            records=list(records) or b"",
        )
        if answer.diverging is not None:
            data.diverging_epoch = fetch.EpochEndOffset(epoch=answer.diverging.epoch, end_offset=answer.diverging.end_offset)
        if answer.snapshot is not None:
            data.snapshot_id = fetch.SnapshotId(end_offset=answer.snapshot.end_offset, epoch=answer.snapshot.epoch)
        topic = fetch.FetchableTopicResponse(topic=METADATA_TOPIC, topic_id=TOPIC_ID, partitions=[data])
        endpoints = self._endpoints(fetch, answer.leader_id) if api_version >= FETCH_ENDPOINTS_SINCE else []
        return fetch.FetchResponse(responses=[topic], node_endpoints=endpoints)

    def _endpoints(self, messages: Any, leader_id: int) -> list[Any]:
        """Where the leader is."""
        if leader_id not in self._addresses:
            return []
        host, port = self._addresses[leader_id]
        return [messages.NodeEndpoint(node_id=leader_id, host=host, port=port)]

    # Snapshots.

    def snapshot_request(self, snapshot: EpochEnd, epoch: int, position: int, max_bytes: int) -> KafkaRequest:
        data = fetch_snapshot.PartitionSnapshot(
            partition=0,
            current_leader_epoch=epoch,
            snapshot_id=fetch_snapshot.SnapshotId(end_offset=snapshot.end_offset, epoch=snapshot.epoch),
            position=position,
        )
        topic = fetch_snapshot.TopicSnapshot(name=METADATA_TOPIC, partitions=[data])
        return fetch_snapshot.FetchSnapshotRequest(
            cluster_id=self.cluster_id, replica_id=self._node_id, max_bytes=max_bytes, topics=[topic]
        )


def refusal(request: Any, code: ErrorCode) -> KafkaResponse:
    """The answer that refuses a request as a whole."""
    if isinstance(request, fetch.FetchRequest):
        return fetch.FetchResponse(error_code=code)
    if isinstance(request, vote.VoteRequest):
        return vote.VoteResponse(error_code=code)
    if isinstance(request, begin_quorum_epoch.BeginQuorumEpochRequest):
        return begin_quorum_epoch.BeginQuorumEpochResponse(error_code=code)
    if isinstance(request, end_quorum_epoch.EndQuorumEpochRequest):
        return end_quorum_epoch.EndQuorumEpochResponse(error_code=code)
    return fetch_snapshot.FetchSnapshotResponse(error_code=code)


def _only(items: Sequence[Any]) -> Any:
    if len(items) != 1:
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"one partition is expected, there are {len(items)}")
    return items[0]


def _partition(request: Any) -> Any:
    """The one partition that a request of the quorum is about."""
    topic = _only(request.topics)
    data = _only(topic.partitions)
    if topic.topic_name != METADATA_TOPIC or data.partition_index != 0:
        raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    return data
