"""The ISR and the high watermark as the leader derives them from its followers' fetches."""

from broker.metadata.image import PartitionImage
from broker.replication.leader_state import LeaderState

LAG_MAX_MS = 10_000


def state(isr: tuple[int, ...] = (1, 2, 3), *, replicas: tuple[int, ...] = (1, 2, 3), eligible: bool = True) -> LeaderState:
    image = PartitionImage(replicas, isr, leader=1, leader_epoch=4, partition_epoch=7)
    return LeaderState.elected(1, image, 0, LAG_MAX_MS, lambda broker, epoch: eligible, now_ms=0)


def fetched(leader: LeaderState, replica: int, offset: int, leader_end: int, now_ms: int = 1) -> None:
    leader.followers[replica].observe_fetch(offset, 0, 5, leader_end, now_ms)


def settled(leader: LeaderState, isr: tuple[int, ...]) -> PartitionImage:
    before = leader.image
    return PartitionImage(before.replicas, isr, before.leader, before.leader_epoch, before.partition_epoch + 1)


def test_the_high_watermark_is_what_everybody_in_the_isr_has() -> None:
    leader = state()
    assert leader.next_high_watermark(0, 10, 2, 1) == 0
    fetched(leader, 2, 10, 10)
    assert leader.next_high_watermark(0, 10, 2, 1) == 0
    fetched(leader, 3, 6, 10)
    assert leader.next_high_watermark(0, 10, 2, 1) == 6


def test_the_high_watermark_never_goes_back() -> None:
    leader = state()
    fetched(leader, 2, 3, 10)
    fetched(leader, 3, 3, 10)
    assert leader.next_high_watermark(8, 10, 2, 1) == 8


def test_under_the_minimum_the_high_watermark_stands_still() -> None:
    """KIP-966: what is acknowledged with acks=1 is not committed by one replica alone."""
    leader = state((1,))
    assert leader.next_high_watermark(4, 10, 2, LAG_MAX_MS * 9) == 4
    assert leader.next_high_watermark(4, 10, 1, LAG_MAX_MS * 9) == 10


def test_a_topic_with_fewer_replicas_than_the_minimum_needs_all_of_them() -> None:
    leader = state((1,), replicas=(1,))
    assert not leader.is_under_minimum(2)
    assert leader.next_high_watermark(0, 10, 2, 1) == 10


def test_while_a_replica_may_join_it_counts() -> None:
    leader = state((1, 2))
    fetched(leader, 2, 10, 10)
    fetched(leader, 3, 8, 10)
    leader.pending_isr = leader.expanded_isr(3, 8)
    assert leader.pending_isr == (1, 2, 3)
    assert leader.maximal_isr == (1, 2, 3)
    assert leader.next_high_watermark(8, 10, 2, LAG_MAX_MS * 9) == 8


def test_while_a_replica_may_leave_it_still_counts() -> None:
    leader = state()
    late = LAG_MAX_MS + 2
    fetched(leader, 2, 10, 10, late)
    leader.pending_isr = leader.shrunk_isr(10, late)
    assert leader.pending_isr == (1, 2)
    assert leader.next_high_watermark(0, 10, 2, late) == 0
    assert leader.settle(settled(leader, (1, 2)))
    assert leader.pending_isr is None
    assert leader.next_high_watermark(0, 10, 2, late) == 10


def test_a_replica_about_to_join_is_waited_for() -> None:
    """It is caught up and eligible, but outside the ISR: committing past it would keep it outside for ever."""
    leader = state((1, 2))
    fetched(leader, 2, 10, 10)
    fetched(leader, 3, 9, 9)
    assert leader.next_high_watermark(9, 10, 2, 2) == 9


def test_who_is_not_eligible_neither_joins_nor_is_waited_for() -> None:
    leader = state((1, 2), eligible=False)
    fetched(leader, 2, 10, 10)
    fetched(leader, 3, 9, 9)
    assert leader.next_high_watermark(9, 10, 2, 2) == 10
    assert leader.expanded_isr(3, 9) is None


def test_a_replica_joins_only_with_all_that_is_committed_and_the_start_of_the_epoch() -> None:
    leader = state((1, 2))
    fetched(leader, 3, 7, 10)
    assert leader.expanded_isr(3, 8) is None
    assert leader.expanded_isr(3, 7) == (1, 2, 3)
    leader.epoch_start_offset = 9
    assert leader.expanded_isr(3, 7) is None


def test_one_change_at_a_time() -> None:
    leader = state((1, 2))
    fetched(leader, 3, 10, 10)
    leader.pending_isr = (1, 2, 3)
    assert leader.expanded_isr(3, 10) is None
    assert leader.shrunk_isr(10, LAG_MAX_MS * 9) is None
    leader.withdraw()
    assert leader.expanded_isr(3, 10) == (1, 2, 3)


def test_a_follower_that_keeps_up_is_never_behind_though_it_never_has_all() -> None:
    """Each fetch asks for what the leader had at the fetch before: that is as caught up as one can be under load."""
    leader = state((1, 2))
    end = 0
    for now_ms in range(0, LAG_MAX_MS * 5, 1000):
        fetched(leader, 2, end, end + 100, now_ms)
        end += 100
    assert leader.shrunk_isr(end + 100, LAG_MAX_MS * 5) is None


def test_a_follower_that_stands_still_falls_behind() -> None:
    leader = state((1, 2))
    for now_ms in range(0, LAG_MAX_MS * 3, 1000):
        fetched(leader, 2, 50, 100 + now_ms, now_ms)
    assert leader.shrunk_isr(LAG_MAX_MS * 3, LAG_MAX_MS * 3) == (1,)


def test_an_old_decision_changes_nothing() -> None:
    leader = state()
    newer = settled(leader, (1, 2))
    assert leader.settle(newer)
    assert not leader.settle(newer)
    assert leader.isr == (1, 2)


def test_a_new_replica_begins_to_be_watched_and_one_that_went_is_forgotten() -> None:
    leader = state()
    image = PartitionImage((1, 3, 4), (1, 3), 1, 4, 8)
    assert leader.settle(image)
    assert sorted(leader.followers) == [3, 4]
