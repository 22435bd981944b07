"""What the leader of a partition knows of its followers, and the ISR that follows from it. Pure: no log, no clock, no network.

Invariants: one change of the ISR is under way at a time, and until the controller has decided on it the *maximal* ISR counts
for the high watermark, so that nothing is committed that a replica which may still be in the ISR lacks; the partition epoch
never goes back; a replica joins only with all up to the high watermark, unfenced, and with the epoch it is registered under.
Source: ``Partition``, ``Replica`` (KIP-497, KIP-841, KIP-903).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from broker.metadata.image import PartitionImage
from broker.replication.news import LONG_AGO_MS, News

UNKNOWN_OFFSET = -1
NO_BROKER_EPOCH = -1


@dataclass(slots=True)
class Follower:
    """One other replica as its fetches show it. Times are monotonic milliseconds."""

    log_end_offset: int = UNKNOWN_OFFSET
    log_start_offset: int = UNKNOWN_OFFSET
    broker_epoch: int = NO_BROKER_EPOCH
    # When it last had all the leader had; and what the leader had at its last fetch.
    caught_up_ms: int = LONG_AGO_MS
    fetched_ms: int = LONG_AGO_MS
    leader_end_at_fetch: int = -1
    # Set while it is quiet: then each of its fetches says that it had all the leader had.
    quiet: News | None = None

    def observe_fetch(self, offset: int, start_offset: int, broker_epoch: int, leader_end: int, now_ms: int) -> None:
        """It asks for what begins at `offset`, so it has everything before."""
        if self.quiet is not None:
            self.caught_up_ms = self.fetched_ms = max(self.fetched_ms, self.quiet.fetched_ms)
            self.quiet = None
        if offset >= leader_end:
            self.caught_up_ms = max(self.caught_up_ms, now_ms)
        elif offset >= self.leader_end_at_fetch:
            self.caught_up_ms = max(self.caught_up_ms, self.fetched_ms)
        self.log_end_offset, self.log_start_offset, self.broker_epoch = offset, start_offset, broker_epoch
        self.leader_end_at_fetch, self.fetched_ms = leader_end, now_ms

    def is_stale(self, broker_epoch: int) -> bool:
        """Whether a fetch comes from a life of this replica that is over: it still lay in a connection (KIP-903)."""
        return NO_BROKER_EPOCH < broker_epoch < self.broker_epoch

    def is_caught_up(self, leader_end: int, now_ms: int, lag_max_ms: int) -> bool:
        if self.log_end_offset == leader_end or now_ms - self.caught_up_ms <= lag_max_ms:
            return True
        return self.quiet is not None and now_ms - self.quiet.fetched_ms <= lag_max_ms


@dataclass(slots=True)
class LeaderState:
    """See the module. `eligible(broker id, broker epoch)`: whether the metadata lets this replica into an ISR."""

    node_id: int
    image: PartitionImage
    # Where the leader's epoch begins.
    epoch_start_offset: int
    lag_max_ms: int
    eligible: Callable[[int, int], bool]
    followers: dict[int, Follower] = field(default_factory=dict)
    # The ISR that the controller was asked for, until it is decided on.
    pending_isr: tuple[int, ...] | None = None

    @classmethod
    def elected(
        cls,
        node_id: int,
        image: PartitionImage,
        epoch_start_offset: int,
        lag_max_ms: int,
        eligible: Callable[[int, int], bool],
        *,
        now_ms: int,
    ) -> "LeaderState":
        """At the start of an epoch those in the ISR are given time to show themselves."""
        state = cls(node_id, image, epoch_start_offset, lag_max_ms, eligible)
        for replica in image.replicas:
            if replica != node_id:
                state.followers[replica] = Follower(caught_up_ms=now_ms if replica in image.isr else LONG_AGO_MS)
        return state

    @property
    def isr(self) -> tuple[int, ...]:
        """As the controller committed it."""
        return self.image.isr

    @property
    def maximal_isr(self) -> tuple[int, ...]:
        """Everybody who is, or may soon be, in the ISR."""
        if self.pending_isr is None:
            return self.image.isr
        return (*self.image.isr, *(replica for replica in self.pending_isr if replica not in self.image.isr))

    def is_under_minimum(self, min_insync_replicas: int) -> bool:
        """A partition with fewer replicas than the minimum needs all of them."""
        return len(self.image.isr) < min(min_insync_replicas, len(self.image.replicas))

    # The high watermark.

    def next_high_watermark(self, current: int, leader_end: int, min_insync_replicas: int, now_ms: int) -> int:
        """The largest offset that everybody in the maximal ISR has; under the minimum it does not move (KIP-966)."""
        if self.is_under_minimum(min_insync_replicas):
            return current
        smallest = leader_end
        maximal = self.maximal_isr
        for replica, follower in self.followers.items():
            if follower.log_end_offset < smallest and (replica in maximal or self._is_about_to_join(replica, leader_end, now_ms)):
                smallest = follower.log_end_offset
        return max(current, smallest)

    def _is_about_to_join(self, replica: int, leader_end: int, now_ms: int) -> bool:
        follower = self.followers[replica]
        return follower.is_caught_up(leader_end, now_ms, self.lag_max_ms) and self.eligible(replica, follower.broker_epoch)

    # The ISR.

    def expanded_isr(self, replica: int, high_watermark: int) -> tuple[int, ...] | None:
        """The ISR to ask for after a fetch of `replica`; None when nothing is to be asked."""
        follower = self.followers.get(replica)
        if self.pending_isr is not None or follower is None or replica in self.image.isr:
            return None
        has_enough = follower.log_end_offset >= max(high_watermark, self.epoch_start_offset)
        if not has_enough or not self.eligible(replica, follower.broker_epoch):
            return None
        return (*self.image.isr, replica)

    def shrunk_isr(self, leader_end: int, now_ms: int) -> tuple[int, ...] | None:
        """The ISR without those who fell behind for replica.lag.time.max.ms; None when nobody did."""
        if self.pending_isr is not None:
            return None
        kept = tuple(
            replica
            for replica in self.image.isr
            if replica == self.node_id
            or (replica in self.followers and self.followers[replica].is_caught_up(leader_end, now_ms, self.lag_max_ms))
        )
        return kept if kept != self.image.isr else None

    def settle(self, image: PartitionImage) -> bool:
        """The controller has decided, or told of a change; True when it is news. What was asked for is void then."""
        if image.partition_epoch <= self.image.partition_epoch:
            return False
        for replica in image.replicas:
            if replica != self.node_id and replica not in self.followers:
                self.followers[replica] = Follower()
        for replica in [replica for replica in self.followers if replica not in image.replicas]:
            del self.followers[replica]
        self.image, self.pending_isr = image, None
        return True

    def withdraw(self) -> None:
        """What was asked for was refused for good: the committed ISR holds."""
        self.pending_isr = None
