"""One partition on this node: what its role lets it do, what consumers may see of it, and who waits for it.

Invariants: high watermark <= log end offset, and it never goes back while a replica lives; a role holds for one leader
epoch, and requests of another one are refused; waiters are woken at most once per turn of the loop (`ReplicaManager`).
Leaves out: how the ISR follows from the followers' fetches (`leader_state`), how a follower gets its records (`fetcher`).
Source: ``Partition``, ``UnifiedLog``.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from broker.log.partition_log import AppendInfo, PartitionLog
from broker.metadata.image import PartitionImage
from broker.protocol.errors import ErrorCode, KafkaError
from broker.replication.leader_state import LeaderState
from broker.replication.news import News
from broker.replication.waiting import ProduceWaiters
from broker.storage.port import Buffer

ALL_REPLICAS = -1
NO_EPOCH = -1
Waiter = Callable[[], None]


class EpochEnd(NamedTuple):
    """Where an epoch ends in the leader's log: what a follower whose log differs is told."""

    epoch: int
    end_offset: int


@dataclass(slots=True, frozen=True)
class FollowerFetch:
    """What a follower asks of its leader."""

    replica_id: int
    broker_epoch: int
    offset: int
    last_fetched_epoch: int
    log_start_offset: int


@dataclass(slots=True)
class Limits:
    """Settings a partition obeys: of its topic, and of the node."""

    min_insync_replicas: int
    lag_max_ms: int


class Partition:
    """See the module. `eligible(broker id, broker epoch)`: whether a replica may be in an ISR, as the metadata says."""

    def __init__(
        self,
        topic: str,
        topic_id: uuid.UUID,
        index: int,
        log: PartitionLog,
        node_id: int,
        *,
        limits: Limits,
        eligible: Callable[[int, int], bool],
        high_watermark: int,
    ) -> None:
        self.topic = topic
        self.topic_id = topic_id
        self.index = index
        self.log = log
        self.limits = limits
        self.image: PartitionImage | None = None
        self.leader: LeaderState | None = None
        self.high_watermark = min(high_watermark, log.log_end_offset)
        self._node_id = node_id
        self._eligible = eligible
        self.produces = ProduceWaiters()
        # What this node does itself when its own appends are committed; before their answers.
        self.commits = ProduceWaiters()
        # Called once when consumers can read more, and when followers can.
        self.consumers: dict[Waiter, None] = {}
        self.followers: dict[Waiter, None] = {}

        # What followers that fetch in sessions have to be told, by their node ids.
        self.news: dict[int, News] = {}

    def mark(self) -> None:
        """Something changed that followers are told."""
        for news in self.news.values():
            news.changed[self.topic_id, "", self.index] = None

    def take_consumers(self) -> dict[Waiter, None]:
        """Who waits for consumers' records; they wait no more."""
        taken, self.consumers = self.consumers, {}
        return taken

    def take_followers(self) -> dict[Waiter, None]:
        taken, self.followers = self.followers, {}
        for news in self.news.values():
            if news.wake is not None:
                taken[news.wake] = None
        return taken

    def __repr__(self) -> str:
        return f"{self.topic}-{self.index}"

    # The role.

    def lead(self, image: PartitionImage, now_ms: int) -> None:
        """Lead in the epoch of `image`, or follow a change within it. `now_ms` is monotonic."""
        before, self.image = self.image, image
        self.mark()
        if self.leader is not None and before is not None and before.leader_epoch == image.leader_epoch:
            self.leader.settle(image)
        else:
            # Followers ask anew, in the new epoch.
            self.news.clear()
            self.log.assign_epoch(image.leader_epoch, self.log.log_end_offset)
            start = self.log.log_end_offset
            self.leader = LeaderState.elected(self._node_id, image, start, self.limits.lag_max_ms, self._eligible, now_ms=now_ms)
        self.advance(now_ms)

    def follow(self, image: PartitionImage) -> None:
        """Follow the leader of `image`, or nobody when there is none; who waits for this node to lead is told."""
        self.image = image
        self.leader = None
        self.mark()
        self._fail_waiting()

    def close(self) -> None:
        """The partition is no more here."""
        self.image, self.leader = None, None
        self.mark()
        self._fail_waiting()

    def _fail_waiting(self) -> None:
        self.commits.fail(ErrorCode.NOT_LEADER_OR_FOLLOWER)
        self.produces.fail(ErrorCode.NOT_LEADER_OR_FOLLOWER)

    @property
    def leader_epoch(self) -> int:
        return self.image.leader_epoch if self.image is not None else NO_EPOCH

    @property
    def is_leader(self) -> bool:
        return self.leader is not None

    def leading(self, claimed_epoch: int = NO_EPOCH) -> LeaderState:
        """The leader's state. KafkaError when this node does not lead, or not in the epoch the other side knows (-1: any)."""
        if claimed_epoch not in (NO_EPOCH, self.leader_epoch):
            older = claimed_epoch < self.leader_epoch
            raise KafkaError(ErrorCode.FENCED_LEADER_EPOCH if older else ErrorCode.UNKNOWN_LEADER_EPOCH)
        if self.leader is None:
            raise KafkaError(ErrorCode.NOT_LEADER_OR_FOLLOWER)
        return self.leader

    # Appending.

    def append(self, batch: Buffer, required_acks: int, now_ms: int, wall_ms: int) -> AppendInfo:
        """Append a client's batch. KafkaError when it is refused."""
        self._check_acks(required_acks)
        info = self.log.append_as_leader(batch, self.leader_epoch, wall_ms)
        self.advance(now_ms)
        return info

    def append_own(self, batch: Buffer, required_acks: int, now_ms: int, wall_ms: int) -> AppendInfo:
        """Append a batch this node made itself (an internal topic's)."""
        self._check_acks(required_acks)
        info = self.log.append_own(batch, self.leader_epoch, wall_ms)
        self.advance(now_ms)
        return info

    def _check_acks(self, required_acks: int) -> None:
        leader = self.leading()
        if required_acks == ALL_REPLICAS and leader.is_under_minimum(self.limits.min_insync_replicas):
            raise KafkaError(
                ErrorCode.NOT_ENOUGH_REPLICAS,
                f"the ISR {list(leader.isr)} is smaller than min.insync.replicas={self.limits.min_insync_replicas}",
            )

    def advance(self, now_ms: int) -> bool:
        """Move the high watermark as far as the followers let it; whether it moved."""
        if self.leader is None:
            return False
        after = self.leader.next_high_watermark(
            self.high_watermark, self.log.log_end_offset, self.limits.min_insync_replicas, now_ms
        )
        if after == self.high_watermark:
            return False
        self.high_watermark = after
        self.mark()
        return True

    def answer_produces(self) -> None:
        """Tell those whose records are committed. Under the minimum nothing more will be for a while, and the rest is told that.

        Kafka lets the rest wait for its time-out, since the high watermark stands still (docs/adr/0011).
        """
        if self.commits:
            self.commits.advance(self.high_watermark, ErrorCode.NONE)
        if self.leader is not None and self.produces:
            self.produces.advance(self.high_watermark, ErrorCode.NONE)
            if self.leader.is_under_minimum(self.limits.min_insync_replicas):
                self.produces.fail(ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND)

    # Reading.

    def read(self, offset: int, max_bytes: int, *, at_least_one: bool) -> list[Buffer]:
        """What a consumer may see from `offset` on. KafkaError(OFFSET_OUT_OF_RANGE) outside the log."""
        self._check_range(offset)
        if offset >= self.high_watermark:
            return []
        return self.log.read(offset, max_bytes, self.high_watermark, at_least_one=at_least_one)

    def read_as_follower(self, fetch: FollowerFetch, max_bytes: int, *, at_least_one: bool) -> list[Buffer] | EpochEnd:
        """What a follower lacks, committed or not; or where its log differs. KafkaError(OFFSET_OUT_OF_RANGE)."""
        if fetch.last_fetched_epoch == NO_EPOCH:
            if fetch.offset > self.log.log_end_offset:
                # It begins behind a log that is no more (an unclean election), and knows no epoch to compare.
                return EpochEnd(self.leader_epoch, self.log.log_end_offset)
        else:
            epoch, end_offset = self.log.end_offset_for_epoch(fetch.last_fetched_epoch)
            if epoch == NO_EPOCH:
                why = f"epoch {fetch.last_fetched_epoch} of {self} is older than its log"
                raise KafkaError(ErrorCode.OFFSET_OUT_OF_RANGE, why)
            if epoch < fetch.last_fetched_epoch or end_offset < fetch.offset:
                return EpochEnd(epoch, end_offset)
        self._check_range(fetch.offset)
        return self.log.read(fetch.offset, max_bytes, self.log.log_end_offset, at_least_one=at_least_one)

    def _check_range(self, offset: int) -> None:
        if offset < self.log.log_start_offset or offset > self.log.log_end_offset:
            raise KafkaError(
                ErrorCode.OFFSET_OUT_OF_RANGE,
                f"offset {offset} of {self} is not within {self.log.log_start_offset}..{self.log.log_end_offset}",
            )

    # Following.

    def take_from_leader(self, records: Buffer, high_watermark: int, log_start_offset: int) -> None:
        """Append what the leader sent and follow its high watermark. KafkaError when the batches do not fit."""
        if records:
            self.log.append_as_follower(records)
        self.high_watermark = max(self.high_watermark, min(high_watermark, self.log.log_end_offset))
        self.log.advance_start(min(log_start_offset, self.high_watermark))

    def truncate(self, end: EpochEnd) -> None:
        """Cut what the leader does not have. Where this log does not know the leader's epoch it is cut to the end of the one
        before, and the next fetch compares again (KIP-279, ``AbstractFetcherThread.getOffsetTruncationState``)."""
        epoch, own_end = self.log.end_offset_for_epoch(end.epoch)
        if epoch == NO_EPOCH:
            own_end = end.end_offset
        elif epoch == end.epoch:
            own_end = min(own_end, end.end_offset)
        self.truncate_to(min(own_end, self.log.log_end_offset))

    def truncate_to(self, offset: int) -> None:
        self.log.truncate_to(offset)
        # The log is cut at the batch that holds the offset, which may be before it.
        self.high_watermark = min(self.high_watermark, self.log.log_end_offset)

    def restart_at(self, offset: int) -> None:
        """The leader's log begins behind the end of this one: nothing here is of use."""
        self.log.truncate_fully(offset)
        self.high_watermark = offset
