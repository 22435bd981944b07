"""The simulated cluster bites: bugs that are planted in the broker are found, each by an invariant that knows nothing of it.

Two are planted deeper than where one would look first, because the broker has a second line of defence there:

- A leader, or a controller, that takes requests of any leader epoch does no harm: a follower's last epoch is compared with the
  leader's log, an answer counts only in the epoch it was asked in, and the controller looks at broker epochs and members as
  well. Planted is a leader that goes on writing in the epoch before.
- Fetches of an earlier life that count as those of the new one (KIP-903) do no harm alone: such a replica has left the ISR by
  its registration, and its first own fetch says what it has. Planted is a controller that takes a new life for the old one.
"""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from broker.controller import brokers
from broker.controller.elections import PartitionChange
from broker.controller.manager import DECISIONS
from broker.log.partition_log import PartitionLog
from broker.log.producer_state import ProducerState
from broker.node.offsets_log import NodeOffsetsLog
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.broker_registration import BrokerRegistrationRequest
from broker.raft.election_store import TEMPORARY, ElectionState, ElectionStore
from broker.replication.leader_state import LeaderState
from broker.replication.manager import ReplicaManager
from broker.replication.partition import Partition
from simulation.biting import assert_found

SEEDS_MAX = 30


def nothing_is_truncated(patch: pytest.MonkeyPatch) -> None:
    """A leader gives a follower what begins at its offset, whatever came before."""

    def careless(self: Partition, fetch: Any, max_bytes: int, *, at_least_one: bool) -> Any:
        self._check_range(fetch.offset)
        return self.log.read(fetch.offset, max_bytes, self.log.log_end_offset, at_least_one=at_least_one)

    patch.setattr(Partition, "read_as_follower", careless)


def fenced_replicas_count_for_the_minimum(patch: pytest.MonkeyPatch) -> None:
    """The replicas that a partition has are compared with min.insync.replicas, whether they are in the ISR or fenced."""

    def counted(self: LeaderState, min_insync_replicas: int) -> bool:
        return len(self.image.replicas) < min_insync_replicas

    patch.setattr(LeaderState, "is_under_minimum", counted)


def elections_take_whoever_is_alive(patch: pytest.MonkeyPatch) -> None:
    """In the order of the replicas, in the ISR or not."""

    def first_alive(self: PartitionChange) -> tuple[int, bool]:
        for replica in (self._before.leader, *self._before.replicas):
            if self._acceptable(replica):
                return replica, replica not in self._isr
        return -1, False

    patch.setattr(PartitionChange, "_elect", first_alive)


def acknowledged_at_the_log_end_offset(patch: pytest.MonkeyPatch) -> None:
    def hasty(self: ReplicaManager, partition: Partition, info: Any, timeout_ms: int, answer: Any) -> None:
        answer(ErrorCode.NONE)

    patch.setattr(ReplicaManager, "when_committed", hasty)


def votes_are_not_synced(patch: pytest.MonkeyPatch) -> None:
    """`quorum-state` is written, and nobody waits for the disk: a voter whose power failed does not know how it voted."""

    def lazy(self: ElectionStore, state: ElectionState, done: Callable[[OSError | None], None]) -> None:
        temporary = self._path + TEMPORARY
        try:
            file = self._storage.open(temporary)
            file.truncate(0)
            file.append([self._render(state)])
            file.close()
            self._storage.rename(temporary, self._path)
        except OSError as error:
            done(error)
            return
        done(None)

    patch.setattr(ElectionStore, "write_soon", lazy)


def the_committed_isr_counts(patch: pytest.MonkeyPatch) -> None:
    """Whoever is about to join the ISR, or may be in it by now, is not waited for."""
    patch.setattr(LeaderState, "maximal_isr", property(lambda self: self.image.isr))
    patch.setattr(LeaderState, "_is_about_to_join", lambda self, replica, leader_end, now_ms: False)


def followers_cut_to_their_high_watermark(patch: pytest.MonkeyPatch) -> None:
    """As Kafka did before KIP-101."""
    follow = Partition.follow

    def old(self: Partition, image: Any) -> None:
        changed = self.leader_epoch != image.leader_epoch
        follow(self, image)
        if changed:
            self.truncate_to(self.high_watermark)

    patch.setattr(Partition, "follow", old)


def followers_forget_producers(patch: pytest.MonkeyPatch) -> None:
    """What a follower appends leaves nothing in the state of the producers, so that a new leader knows none of them."""
    append = PartitionLog.append_as_follower

    def forgetful(self: PartitionLog, buffer: Any) -> Any:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(ProducerState, "update", lambda state, header, batch=None: None)
            return append(self, buffer)

    patch.setattr(PartitionLog, "append_as_follower", forgetful)


def the_coordinator_answers_before_commit(patch: pytest.MonkeyPatch) -> None:
    append = NodeOffsetsLog.append

    def hasty(self: NodeOffsetsLog, partition: int, records: Any, committed: Any, done: Callable[[ErrorCode], None]) -> None:
        codes: list[ErrorCode] = []
        append(self, partition, records, lambda: None, codes.append)
        if any(code is not ErrorCode.NONE for code in codes):
            done(codes[0])
            return
        committed()
        done(ErrorCode.NONE)

    patch.setattr(NodeOffsetsLog, "append", hasty)


def a_leader_goes_on_in_the_epoch_before(patch: pytest.MonkeyPatch) -> None:
    append = PartitionLog.append_as_leader

    def stale(self: PartitionLog, buffer: Any, leader_epoch: int, now_ms: int) -> Any:
        before = [epoch for epoch, start in self.epochs.entries if start < self.log_end_offset]
        return append(self, buffer, before[-1] if before else leader_epoch, now_ms)

    patch.setattr(PartitionLog, "append_as_leader", stale)


def a_new_life_keeps_the_epoch_of_the_old_one(patch: pytest.MonkeyPatch) -> None:
    register = brokers.register

    def blind(request: Any, context: Any) -> Any:
        known = context.image.brokers.get(request.broker_id)
        if known is not None:
            request.incarnation_id = known.incarnation_id
        return register(request, context)

    decisions: dict[Any, Any] = DECISIONS
    patch.setitem(decisions, BrokerRegistrationRequest, (blind, *decisions[BrokerRegistrationRequest][1:]))


# The bug, the kind of the runs, what is said to be broken, and the first seed.
LOST = "|".join(
    (
        "is committed at .* of the ISR has",
        "offset .* was .*, and now is",
        "below the high watermark of",
        "the high watermark went back",
        "does not reach .*, from where it was read",
        "group .* stands at",
    )
)
BUGS = [
    (nothing_is_truncated, "cluster", f"{LOST}|after the last fault, .* and ISR", 0),
    (fenced_replicas_count_for_the_minimum, "cluster-disk", f"{LOST}|OUT_OF_ORDER_SEQUENCE_NUMBER, though no batch", 3),
    (elections_take_whoever_is_alive, "cluster", f"{LOST}|OUT_OF_ORDER_SEQUENCE_NUMBER, though no batch", 3),
    (acknowledged_at_the_log_end_offset, "cluster", LOST, 0),
    (votes_are_not_synced, "cluster-disk", "has voted twice|two leaders|broker-. is not ready", 0),
    (the_committed_isr_counts, "cluster", LOST, 5),
    (followers_cut_to_their_high_watermark, "cluster", LOST, 0),
    (followers_forget_producers, "cluster", "and again at|OUT_OF_ORDER_SEQUENCE_NUMBER, though no batch", 0),
    (a_leader_goes_on_in_the_epoch_before, "cluster", "two replicas have different batches at .* in epoch", 0),
    (the_coordinator_answers_before_commit, "cluster", "group .* stands at", 0),
    (a_new_life_keeps_the_epoch_of_the_old_one, "cluster-disk", f"{LOST}|after the last fault, .* and ISR", 1),
]


@pytest.mark.timeout(900)  # mostly a few seconds; all of the seeds when it is not found
@pytest.mark.parametrize(("plant", "kind", "invariant", "first"), BUGS, ids=[bug[0].__name__ for bug in BUGS])
def test_it_is_found(
    plant: Callable[[pytest.MonkeyPatch], None],
    kind: str,
    invariant: str,
    first: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL, "broker")
    plant(monkeypatch)
    assert_found(kind, range(first, first + SEEDS_MAX), invariant)
