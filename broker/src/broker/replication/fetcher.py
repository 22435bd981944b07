"""Fetching from one leader for all partitions this node follows it in: one request under way, in an incremental session.

Invariants: what a partition asks for begins at its log end offset, with the epoch before it, so that the leader can tell where
the two logs part; an answer counts only for a partition that is still followed in the epoch the request was made in; what the
leader has not got is cut off before anything is appended. A partition with an error rests before it asks again.
Source: ``AbstractFetcherThread``, ``ReplicaFetcherThread``, ``FetchSessionHandler``.
Not done: fetching from followers, throttles.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from broker.client.connection import ClientConnection
from broker.client.exchange import Outcome, RequestFailed
from broker.clock.port import Clock, Timer
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.fetch import (
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    ForgottenTopic,
    PartitionData,
    ReplicaState,
)
from broker.protocol.types import UUID
from broker.replication.partition import EpochEnd, Partition

log = logging.getLogger("broker.replication")
VERSION = 17
NO_SESSION, INITIAL_EPOCH = 0, 0
EPOCH_MAX = 2**31 - 1
# How long a partition rests at first whose leader, or who itself, has not heard of the latest metadata yet: doubled each time.
SKEW_REST_MS = 10
SKEW = (
    ErrorCode.UNKNOWN_LEADER_EPOCH,
    ErrorCode.FENCED_LEADER_EPOCH,
    ErrorCode.NOT_LEADER_OR_FOLLOWER,
    ErrorCode.UNKNOWN_TOPIC_ID,
)
# Beyond the time the leader may hold a fetch.
REQUEST_SLACK_MS = 30_000
Key = tuple[UUID, int]
# (fetch offset, last fetched epoch, log start offset, leader epoch): what the leader was told last.
Asked = tuple[int, int, int, int]


@dataclass(frozen=True)
class FetchLimits:
    """replica.fetch.*: the bounds of one request."""

    partition_max_bytes: int
    response_max_bytes: int
    min_bytes: int
    max_wait_ms: int
    backoff_ms: int


class ReplicaFetcher:
    """See the module."""

    def __init__(
        self,
        node_id: int,
        leader_id: int,
        connection: ClientConnection,
        clock: Clock,
        limits: FetchLimits,
        *,
        own_epoch: Callable[[], int],
    ) -> None:
        self._node_id = node_id
        self.leader_id = leader_id
        self._connection = connection
        self._clock = clock
        self._limits = limits
        self._own_epoch = own_epoch
        self._partitions: dict[Key, Partition] = {}
        # Partitions that rest after an error, until when.
        self._resting: dict[Key, int] = {}
        # How long those rest next time that rested because metadata comes to nodes at different moments.
        self._skew_ms: dict[Key, int] = {}
        # What the leader has to be told of: partitions that may ask for something else now, and those that ask for nothing.
        self._changed: dict[Key, None] = {}
        self._dropped: dict[Key, None] = {}
        self._session_id, self._session_epoch = NO_SESSION, INITIAL_EPOCH
        self._told: dict[Key, Asked] = {}
        self._under_way = False
        self._timer: Timer | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._partitions)

    # Which partitions.

    def follow(self, partitions: Iterable[Partition]) -> None:
        """Fetch for these as well; harmless for those that are fetched for already."""
        for partition in partitions:
            key = (partition.topic_id, partition.index)
            if key not in self._partitions:
                self._partitions[key] = partition
                self._changed[key] = None
        self._schedule()

    def remove(self, partition: Partition) -> None:
        key = (partition.topic_id, partition.index)
        if self._partitions.get(key) is partition:
            del self._partitions[key]
            self._resting.pop(key, None)
            self._skew_ms.pop(key, None)
            self._drop(key)

    def _drop(self, key: Key) -> None:
        """Nothing is asked of this partition for now."""
        self._changed.pop(key, None)
        if key in self._told:
            self._dropped[key] = None

    def close(self) -> None:
        self._closed = True
        self._partitions.clear()
        if self._timer is not None:
            self._timer.cancel()
        self._connection.close()

    # Asking.

    def _schedule(self, delay_ms: int = 0) -> None:
        if self._timer is None and not self._under_way and not self._closed:
            self._timer = self._clock.call_at(self._clock.monotonic_ms() + delay_ms, self._send)

    def _send(self) -> None:
        self._timer = None
        if self._closed or self._under_way:
            return
        self._wake_rested()
        if len(self._resting) == len(self._partitions):
            if self._resting:
                self._schedule(max(1, min(self._resting.values()) - self._clock.monotonic_ms()))
            return
        self._under_way = True
        timeout_ms = self._limits.max_wait_ms + REQUEST_SLACK_MS
        self._connection.submit(self._request(), timeout_ms, self._answered, version_max=VERSION)

    def _wake_rested(self) -> None:
        now = self._clock.monotonic_ms()
        for key in [key for key, until in self._resting.items() if until <= now]:
            del self._resting[key]
            self._changed[key] = None

    def _request(self) -> FetchRequest:
        """In a session only what changed is said."""
        if self._session_id == NO_SESSION:
            self._told, self._dropped = {}, {}
            self._changed = {key: None for key in self._partitions if key not in self._resting}
        changed, self._changed = self._changed, {}
        dropped, self._dropped = self._dropped, {}
        topics: dict[UUID, FetchTopic] = {}
        for key in changed:
            dropped.pop(key, None)
            one = self._partitions[key]
            asked = (one.log.log_end_offset, one.log.epochs.latest, one.log.log_start_offset, one.leader_epoch)
            if self._told.get(key) != asked:
                self._told[key] = asked
                offset, last_epoch, start, leader_epoch = asked
                data = FetchPartition(
                    partition=key[1],
                    current_leader_epoch=leader_epoch,
                    fetch_offset=offset,
                    last_fetched_epoch=last_epoch,
                    log_start_offset=start,
                    partition_max_bytes=self._limits.partition_max_bytes,
                )
                topics.setdefault(key[0], FetchTopic(topic_id=key[0])).partitions.append(data)
        forgotten: dict[UUID, ForgottenTopic] = {}
        for key in dropped:
            del self._told[key]
            forgotten.setdefault(key[0], ForgottenTopic(topic_id=key[0])).partitions.append(key[1])
        return FetchRequest(
            replica_state=ReplicaState(replica_id=self._node_id, replica_epoch=self._own_epoch()),
            max_wait_ms=self._limits.max_wait_ms,
            min_bytes=self._limits.min_bytes,
            max_bytes=self._limits.response_max_bytes,
            session_id=self._session_id,
            session_epoch=self._session_epoch,
            topics=list(topics.values()),
            forgotten_topics_data=list(forgotten.values()),
        )

    # Answers.

    def _answered(self, outcome: Outcome) -> None:
        self._under_way = False
        if self._closed:
            return
        if isinstance(outcome, RequestFailed):
            self._lose_session()
            self._schedule(self._limits.backoff_ms)
            return
        assert isinstance(outcome, FetchResponse)
        if outcome.error_code != ErrorCode.NONE:
            self._lose_session()
            lost_track = outcome.error_code in (ErrorCode.FETCH_SESSION_ID_NOT_FOUND, ErrorCode.INVALID_FETCH_SESSION_EPOCH)
            self._schedule(0 if lost_track else self._limits.backoff_ms)
            return
        self._go_on_in(outcome.session_id)
        for topic in outcome.responses:
            for data in topic.partitions:
                self._take(topic.topic_id, data)
        self._send()

    def _lose_session(self) -> None:
        self._session_id, self._session_epoch = NO_SESSION, INITIAL_EPOCH

    def _go_on_in(self, session_id: int) -> None:
        if session_id == NO_SESSION:
            self._lose_session()
        elif session_id != self._session_id:
            self._session_id, self._session_epoch = session_id, 1
        else:
            self._session_epoch = 1 if self._session_epoch == EPOCH_MAX else self._session_epoch + 1

    def _take(self, topic_id: UUID, data: PartitionData) -> None:
        """One partition's part of an answer."""
        key = (topic_id, data.partition_index)
        partition, question = self._partitions.get(key), self._told.get(key)
        if partition is None or question is None or key in self._resting:
            return
        self._changed[key] = None
        offset, _, _, epoch = question
        if partition.is_leader or partition.leader_epoch != epoch or partition.log.log_end_offset != offset:
            return
        code = ErrorCode(data.error_code)
        try:
            if code is ErrorCode.OFFSET_OUT_OF_RANGE:
                self._out_of_range(partition, data)
            elif code is not ErrorCode.NONE:
                self._rest(key, partition, code.name, self._backoff_ms(key, code))
            elif data.diverging_epoch.epoch >= 0:
                end = EpochEnd(data.diverging_epoch.epoch, data.diverging_epoch.end_offset)
                partition.truncate(end)
                log.info("%s parts from its leader %d; cut to %d", partition, self.leader_id, partition.log.log_end_offset)
            else:
                assert not isinstance(data.records, list | tuple)
                self._skew_ms.pop(key, None)
                partition.take_from_leader(data.records or b"", data.high_watermark, data.log_start_offset)  # type: ignore[arg-type]
        except KafkaError as error:
            self._rest(key, partition, f"{error.code.name}: {error.message}")

    def _backoff_ms(self, key: Key, code: ErrorCode) -> int:
        """The next one's is twice as long when only one side has heard of a new leader yet, and never longer than the usual."""
        if code not in SKEW:
            return self._limits.backoff_ms
        rest_ms = min(self._skew_ms.get(key, SKEW_REST_MS), self._limits.backoff_ms)
        self._skew_ms[key] = rest_ms * 2
        return rest_ms

    def _rest(self, key: Key, partition: Partition, why: str, rest_ms: int | None = None) -> None:
        log.debug("%s rests: its leader %d says %s", partition, self.leader_id, why)
        self._resting[key] = self._clock.monotonic_ms() + (self._limits.backoff_ms if rest_ms is None else rest_ms)
        self._drop(key)

    def _out_of_range(self, partition: Partition, data: PartitionData) -> None:
        """The leader's log begins behind ours, or ends before it (``AbstractFetcherThread.fetchOffsetAndTruncate``)."""
        if data.log_start_offset > partition.log.log_end_offset:
            partition.restart_at(data.log_start_offset)
            log.warning("%s begins anew at %d, where its leader %d begins", partition, data.log_start_offset, self.leader_id)
        else:
            self._rest((partition.topic_id, partition.index), partition, "OFFSET_OUT_OF_RANGE")
