"""The consumer of one group: reads, hands each event to its projection, and commits behind the effect.

Invariants: the projection's own position decides where reading goes on; Kafka's committed offset follows it, and goes back
with it when the projection was emptied, was rebuilt, or is older than it was, which an idle consumer looks for as well. A
record is done when its effect, or its dead letter, is there. Trouble of the store pauses reading and is waited out; a record
that cannot be read is a dead letter at once, one whose effect fails so after TRIES_MAX; BRAKE_AFTER dead letters in a row
stop the consumer, because then it is more likely us who are wrong.
"""

import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from events.envelope import BadEvent, Envelope, UnknownType, decode

from servicekit import crash_points
from servicekit.consuming.dead_letters import DeadLetterFailed, DeadLetters
from servicekit.consuming.positions import DependencyDown, Partition, PositionMoved, Step
from servicekit.consuming.store import ProjectionStore
from servicekit.correlation import correlated

log = logging.getLogger(__name__)
BATCH = 200
POLL_SECONDS = 0.2
# An idle consumer asks so often whether the projection still stands where it thinks.
LOOK_SECONDS = 1.0
BRAKE_AFTER = 20
TRIES_MAX = 3
SESSION_TIMEOUT_MS = 6000
BACK_OFF_SECONDS = (0.1, 0.3, 1.0, 2.0)


class Projection(Protocol):
    """What a service makes of events."""

    store: ProjectionStore

    def apply(self, step: Step, envelope: Envelope) -> None:
        """Take the event over, and the step, in one transaction. PositionMoved, DependencyDown."""


def read(consumer: Consumer, timeout_seconds: float) -> list[Message]:
    """What is there, BATCH at most, as soon as there is anything; nothing after the time-out."""
    first = consumer.poll(timeout_seconds)
    # With a time-out of its own, consume() would wait for a full batch.
    return [first, *consumer.consume(BATCH - 1, timeout=0)] if first is not None else []


class BrakePulled(Exception):
    """Too many dead letters in a row."""


class GroupConsumer:
    """A component of a worker."""

    def __init__(
        self,
        bootstrap_servers: str,
        group: str,
        topics: Sequence[str],
        projection: Projection,
        overrides: Mapping[str, str | int] | None = None,
    ) -> None:
        """`overrides`: settings of librdkafka that differ from ours."""
        self.name = f"consumer of {group}"
        self._bootstrap_servers, self._group, self._topics = bootstrap_servers, group, list(topics)
        self._overrides = dict(overrides or {})
        self._projection = projection
        self._dead_letters = DeadLetters(bootstrap_servers, group)
        self._dead_in_a_row = 0
        self._failures = 0
        self._problem: str | None = "it has not begun yet"
        self.skipped_unknown = 0
        # Where the next record of each assigned partition is expected.
        self._next: dict[Partition, int] = {}
        # Those whose committed offset is not where they stand.
        self._uncommitted: set[Partition] = set()
        # Whether a commit is under way. While a coordinator is moving, librdkafka keeps all it is told and sends them one by one,
        # half a second apart; so the next one waits for the answer, and says where things stand by then.
        self._committing = False
        # The offset that was read where another was expected.
        self._gaps: dict[Partition, int] = {}
        self._lost_the_store = False
        self._looked_at = 0.0

    def problem(self) -> str | None:
        return self._problem

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                self._consume(stop)
            except BrakePulled as error:
                self._problem = str(error)
                log.critical("%s", error)
                stop.wait()
            except (DependencyDown, DeadLetterFailed, KafkaException) as error:
                self._problem = str(error)
                log.warning("%s begins again: %s", self.name, error)
                stop.wait(self._back_off())

    def _back_off(self) -> float:
        self._failures += 1
        return BACK_OFF_SECONDS[min(self._failures, len(BACK_OFF_SECONDS)) - 1]

    # Membership.

    def _consume(self, stop: threading.Event) -> None:
        """One life as a member of the group."""
        # Without its store a member would only hold partitions that another could read.
        self._projection.store.live_generation()
        consumer = Consumer(
            {
                "bootstrap.servers": self._bootstrap_servers,
                "group.id": self._group,
                "client.id": self._group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": SESSION_TIMEOUT_MS,
                "heartbeat.interval.ms": SESSION_TIMEOUT_MS // 3,
                "fetch.wait.max.ms": 500,
                "reconnect.backoff.max.ms": 1000,
                "on_commit": self._told_of_commit,
                "error_cb": lambda error: log.warning("the broker: %s", error.str()),
                **self._overrides,
            }
        )
        self._next, self._uncommitted, self._gaps = {}, set(), {}
        self._committing = self._lost_the_store = False
        consumer.subscribe(self._topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)
        try:
            while not stop.is_set():
                self._turn(consumer, stop)
        finally:
            consumer.close()

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Go on where the projection stands, whatever was committed."""
        try:
            stored = self._projection.store.begin([(p.topic, p.partition) for p in partitions])
            self._uncommitted |= stored.keys()
        except DependencyDown as error:
            log.warning("no positions: %s", error)
            # The next turn throws away what was read, and waits for the store.
            self._lost_the_store = True
            stored = {(p.topic, p.partition): 0 for p in partitions}
        for partition in partitions:
            partition.offset = stored[partition.topic, partition.partition]
        self._next |= stored
        consumer.incremental_assign(partitions)
        log.info("assigned %s", ", ".join(f"{t}-{p} from {offset}" for (t, p), offset in stored.items()) or "nothing")

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._commit(consumer, [(p.topic, p.partition) for p in partitions], asynchronous=False)
        self._lost(consumer, partitions)

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            self._next.pop((partition.topic, partition.partition), None)
            self._uncommitted.discard((partition.topic, partition.partition))

    def _commit(self, consumer: Consumer, partitions: Iterable[Partition], *, asynchronous: bool) -> None:
        """Tell Kafka where these stand, as far as it does not know."""
        told = self._uncommitted & set(partitions) & self._next.keys()
        if not told or (asynchronous and self._committing):
            return
        offsets = [TopicPartition(*partition, self._next[partition]) for partition in sorted(told)]
        self._uncommitted -= told
        try:
            if asynchronous:
                self._committing = True
                consumer.commit(offsets=offsets, asynchronous=True)
            else:
                consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            self._told_of_commit(error.args[0], offsets)

    def _told_of_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """What could not be committed is committed again."""
        self._committing = False
        failed = {(p.topic, p.partition): error or p.error for p in partitions if error is not None or p.error is not None}
        if failed:
            log.warning("the offsets were not committed: %s", next(iter(failed.values())))
            self._uncommitted |= failed.keys() & self._next.keys()

    # Records.

    def _turn(self, consumer: Consumer, stop: threading.Event) -> None:
        messages = read(consumer, POLL_SECONDS)
        # After a rebalance: before anything is read, Kafka hears where the projection stands, be it further back.
        self._commit(consumer, self._next, asynchronous=True)
        try:
            if self._lost_the_store:
                raise DependencyDown("the store was not there when partitions were assigned")
            for message in messages:
                if stop.is_set():
                    break
                self._take(message)
            if not messages:
                self._look()
        except PositionMoved as error:
            log.warning("the projection stands elsewhere: %s", error)
            self._reposition(consumer)
        except DependencyDown as error:
            self._wait_out(consumer, error, stop)
        else:
            self._problem, self._failures = None, 0
        self._commit(consumer, self._next, asynchronous=not stop.is_set())

    def _look(self) -> None:
        """Notice an emptied or older projection although nothing comes. PositionMoved, DependencyDown."""
        if time.monotonic() - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = time.monotonic()
        for (topic, number), stored in self._projection.store.positions(list(self._next)).items():
            if stored != self._next[topic, number]:
                raise PositionMoved(f"{topic}-{number}: stored {stored}, expected {self._next[topic, number]}")

    def _take(self, message: Message) -> None:
        topic, number, offset = message.topic(), message.partition(), message.offset()
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            raise KafkaException(error)
        assert topic is not None and number is not None and offset is not None
        partition = (topic, number)
        if partition not in self._next:
            return
        if error is not None:
            self._projection.store.mark_end(partition)
            return
        self._check_gap(partition, offset)
        self._handle(message, Step(topic, number, self._next[partition], offset + 1))
        self._next[partition] = offset + 1
        self._uncommitted.add(partition)
        crash_points.reach("consumer.after-effect-before-commit")

    def _check_gap(self, partition: Partition, offset: int) -> None:
        """A record of another offset than expected was read before a seek, and PositionMoved asks for it anew; when it comes
        again, there is nothing between: the log begins behind the position, or ends before it."""
        if offset != self._next[partition] and self._gaps.get(partition) != offset:
            self._gaps[partition] = offset
            raise PositionMoved(f"{partition[0]}-{partition[1]}: expected {self._next[partition]}, read {offset}")

    def _handle(self, message: Message, step: Step) -> None:
        """The effect of one record, or its dead letter."""
        try:
            envelope = decode(message.value())
            if message.key() != envelope.subject.encode():
                raise BadEvent("subject", f"it is {envelope.subject!r}, the record's key is {message.key()!r}")
        except UnknownType as unknown:
            self.skipped_unknown += 1
            log.info("skipped: %s", unknown)
            self._projection.store.skip(step)
            return
        except BadEvent as bad:
            self._bury(message, step, str(bad))
            return
        with correlated(envelope.correlationid):
            crash_points.reach("consumer.before-effect")
            failure = self._try(step, envelope)
        if failure is None:
            self._dead_in_a_row = 0
        else:
            self._bury(message, step, f"the effect failed {TRIES_MAX} times: {failure!r}")

    def _try(self, step: Step, envelope: Envelope) -> Exception | None:
        """Apply the event; what stood in the way of every try."""
        failure: Exception | None = None
        for _ in range(TRIES_MAX):
            try:
                self._projection.apply(step, envelope)
            except (PositionMoved, DependencyDown):
                raise
            except Exception as error:
                log.exception("event %s of type %s has no effect", envelope.id, envelope.type)
                failure = error
            else:
                return None
        return failure

    def _bury(self, message: Message, step: Step, reason: str) -> None:
        if self._dead_in_a_row >= BRAKE_AFTER:
            raise BrakePulled(
                f"{BRAKE_AFTER} records in a row could not be read, the last at {step.topic}-{step.partition} offset "
                f"{step.expected}: {reason}. Nothing more is consumed until this process is started again"
            )
        self._dead_letters.send(message, reason)
        crash_points.reach("consumer.after-dead-letter-before-commit")
        self._projection.store.skip(step)
        self._dead_in_a_row += 1

    # Trouble.

    def _reposition(self, consumer: Consumer) -> None:
        """Go on where the projection stands, in every partition. DependencyDown."""
        stored = self._projection.store.begin(self._next)
        self._uncommitted |= {partition for partition, offset in stored.items() if offset != self._next[partition]}
        self._next, self._lost_the_store = stored, False
        for (topic, number), offset in self._next.items():
            consumer.seek(TopicPartition(topic, number, offset))

    def _wait_out(self, consumer: Consumer, error: DependencyDown, stop: threading.Event) -> None:
        """Read nothing until the store answers, but stay a member."""
        self._problem = str(error)
        log.warning("paused: %s", error)
        while not stop.is_set():
            # Paused partitions give nothing; rebalances are served, and may bring others.
            consumer.pause([TopicPartition(*partition) for partition in self._next])
            consumer.poll(self._back_off())
            try:
                self._reposition(consumer)
            except DependencyDown as still:
                self._problem = str(still)
                continue
            consumer.resume([TopicPartition(*partition) for partition in self._next])
            log.info("resumed")
            return
