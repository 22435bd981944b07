"""Elections, ISR and ELR: what one change makes of a partition."""

import uuid
from collections.abc import Iterable

from broker.controller.elections import RECOVERED, RECOVERING, Election, PartitionChange
from broker.metadata.image import NO_LEADER, MetadataImage, PartitionImage, TopicImage
from broker.protocol.messages.metadata_records import PartitionRecord, TopicRecord

TOPIC_ID = uuid.UUID(int=7)


def partition(
    isr: tuple[int, ...],
    leader: int = 1,
    *,
    elr: tuple[int, ...] = (),
    last: tuple[int, ...] = (),
    state: int = RECOVERED,
    replicas: tuple[int, ...] = (1, 2, 3),
) -> PartitionImage:
    return PartitionImage(replicas, isr, leader, 5, 8, (), elr, last, state)


def after(
    before: PartitionImage,
    alive: Iterable[int],
    *,
    isr: tuple[int, ...] | None = None,
    election: Election = Election.ONLINE,
    unclean: tuple[int, ...] = (),
    minimum: int = 2,
    state: int | None = None,
) -> PartitionImage:
    """The partition behind the change, as everybody who replays the record has it."""
    living = set(alive)
    change = PartitionChange(
        before,
        minimum,
        lambda replica: replica in living,
        target_isr=isr,
        election=election,
        unclean_shutdowns=unclean,
        leader_recovery_state=state,
    )
    record = change.record(TopicImage("t", TOPIC_ID, {0: before}), 0)
    if record is None:
        return before
    made = [
        TopicRecord(name="t", topic_id=TOPIC_ID),
        PartitionRecord(
            partition_id=0,
            topic_id=TOPIC_ID,
            replicas=list(before.replicas),
            isr=list(before.isr),
            leader=before.leader,
            leader_epoch=before.leader_epoch,
            partition_epoch=before.partition_epoch,
            eligible_leader_replicas=list(before.elr),
            last_known_elr=list(before.last_known_elr),
            leader_recovery_state=before.leader_recovery_state,
        ),
        record,
    ]
    return MetadataImage().apply(made, 2).topics["t"].partitions[0]


def test_nothing_changes_when_nothing_is_to_be_changed() -> None:
    before = partition((1, 2, 3))
    assert after(before, {1, 2, 3}) is before


def test_the_next_in_the_isr_leads_in_a_new_epoch() -> None:
    found = after(partition((1, 2, 3)), {2, 3}, isr=(2, 3))
    assert (found.leader, found.isr, found.leader_epoch, found.partition_epoch) == (2, (2, 3), 6, 9)
    assert found.elr == ()


def test_a_shrunk_isr_changes_no_epoch_of_the_leader() -> None:
    found = after(partition((1, 2, 3)), {1, 2}, isr=(1, 2))
    assert (found.leader, found.leader_epoch, found.partition_epoch) == (1, 5, 9)


def test_who_leaves_an_isr_under_the_minimum_is_eligible() -> None:
    found = after(partition((1, 2)), {1}, isr=(1,))
    assert (found.isr, found.elr) == ((1,), (2,))
    back = after(found, {1, 2}, isr=(1, 2))
    assert (back.isr, back.elr) == ((1, 2), ())


def test_an_empty_isr_is_led_from_the_elr() -> None:
    one = after(partition((1, 2)), {1}, isr=(1,))
    nobody = after(one, set(), isr=())
    assert (nobody.leader, nobody.isr, nobody.elr, nobody.last_known_elr) == (NO_LEADER, (), (2, 1), (1,))
    found = after(nobody, {2, 3})
    assert (found.leader, found.isr, found.elr, found.last_known_elr) == (2, (2,), (1,), ())
    assert found.leader_recovery_state == RECOVERED


def test_while_somebody_is_in_the_isr_the_elr_does_not_lead() -> None:
    found = after(partition((1,), elr=(2,)), {2, 3})
    assert (found.leader, found.isr, found.elr) == (NO_LEADER, (1,), (2,))


def test_an_unclean_shutdown_leaves_isr_and_elr() -> None:
    before = partition((1,), elr=(2, 3))
    found = after(before, {1}, unclean=(2,))
    assert found.elr == (3,)
    found = after(partition((1, 2)), {2, 3}, isr=(2,), unclean=(1,))
    assert (found.leader, found.isr, found.elr) == (2, (2,), ())


def test_when_nobody_is_eligible_the_last_known_leader_leads_and_has_to_recover() -> None:
    before = partition((), NO_LEADER, last=(3,))
    assert after(before, {1, 2}).leader == NO_LEADER
    found = after(before, {1, 2, 3})
    assert (found.leader, found.isr, found.last_known_elr) == (3, (3,), ())
    assert found.leader_recovery_state == RECOVERING


def test_an_unclean_election_takes_anybody_alive() -> None:
    before = partition((1,))
    assert after(before, {2}).leader == NO_LEADER
    found = after(before, {2}, election=Election.UNCLEAN)
    assert (found.leader, found.isr, found.elr, found.leader_recovery_state) == (2, (2,), (), RECOVERING)


def test_an_unclean_election_is_clean_when_it_can_be() -> None:
    found = after(partition((1, 3)), {2, 3}, election=Election.UNCLEAN)
    assert (found.leader, found.leader_recovery_state) == (3, RECOVERED)


def test_the_preferred_leader_is_given_back() -> None:
    before = partition((1, 2, 3), 2)
    assert after(before, {1, 2, 3}).leader == 2
    assert after(before, {1, 2, 3}, election=Election.PREFERRED).leader == 1
    assert after(before, {2, 3}, election=Election.PREFERRED).leader == 2


def test_the_leader_says_when_it_has_recovered() -> None:
    found = after(partition((3,), 3, state=RECOVERING), {2, 3}, isr=(3, 2), state=RECOVERED)
    assert (found.isr, found.leader_recovery_state) == ((3, 2), RECOVERED)


def test_the_minimum_is_not_more_than_the_replicas() -> None:
    found = after(partition((1,), replicas=(1,)), set(), isr=(), minimum=2)
    assert (found.leader, found.isr, found.elr) == (NO_LEADER, (), (1,))
    assert after(found, {1}).leader == 1
