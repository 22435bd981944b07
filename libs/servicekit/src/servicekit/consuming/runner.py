"""The consumer of one group: reads, hands each event to its projection, and commits behind the effect.

Invariants: the projection's own position decides where reading goes on; Kafka's committed offset follows it and is never
ahead. A record is done when its effect, or its dead letter, is there. Trouble of the store pauses reading and is waited out;
a record that cannot be read is a dead letter at once, one whose effect fails so after TRIES_MAX; BRAKE_AFTER dead letters in
a row stop the consumer, because then it is more likely us who are wrong.
"""

import logging
import threading
from collections.abc import Sequence
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
BRAKE_AFTER = 20
TRIES_MAX = 3
SESSION_TIMEOUT_MS = 6000
BACK_OFF_SECONDS = (0.1, 0.3, 1.0, 2.0)


class Projection(Protocol):
    """What a service makes of events."""

    store: ProjectionStore

    def apply(self, step: Step, envelope: Envelope) -> None:
        """Take the event over, and the step, in one transaction. PositionMoved, DependencyDown."""


class BrakePulled(Exception):
    """Too many dead letters in a row."""


class GroupConsumer:
    """A component of a worker."""

    def __init__(self, bootstrap_servers: str, group: str, topics: Sequence[str], projection: Projection) -> None:
        self.name = f"consumer of {group}"
        self._bootstrap_servers, self._group, self._topics = bootstrap_servers, group, list(topics)
        self._projection = projection
        self._dead_letters = DeadLetters(bootstrap_servers, group)
        self._dead_in_a_row = 0
        self._failures = 0
        self._problem: str | None = "it has not begun yet"
        self.skipped_unknown = 0
        # Where the next record of each assigned partition is expected.
        self._next: dict[Partition, int] = {}
        self._lost_the_store = False

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
                "error_cb": lambda error: log.warning("the broker: %s", error.str()),
            }
        )
        self._next, self._lost_the_store = {}, False
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
        except DependencyDown as error:
            log.warning("no positions: %s", error)
            # Nothing is read before the next turn, which begins again.
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

    def _commit(self, consumer: Consumer, partitions: Sequence[Partition], *, asynchronous: bool) -> None:
        offsets = [TopicPartition(*partition, self._next[partition]) for partition in partitions if self._next.get(partition)]
        if not offsets:
            return
        try:
            if asynchronous:
                consumer.commit(offsets=offsets, asynchronous=True)
            else:
                consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            # The projection knows better; the next commit says it again.
            log.warning("the offsets were not committed: %s", error)

    # Records.

    def _turn(self, consumer: Consumer, stop: threading.Event) -> None:
        messages = consumer.consume(BATCH, timeout=POLL_SECONDS)
        if self._lost_the_store:
            raise DependencyDown("the store was not there when partitions were assigned")
        touched: dict[Partition, None] = {}
        try:
            for message in messages:
                if stop.is_set():
                    break
                self._take(message, touched)
        except PositionMoved as error:
            log.warning("the projection stands elsewhere: %s", error)
            self._reposition(consumer)
        except DependencyDown as error:
            self._wait_out(consumer, error, stop)
        else:
            self._problem, self._failures = None, 0
        self._commit(consumer, list(touched), asynchronous=not stop.is_set())

    def _take(self, message: Message, touched: dict[Partition, None]) -> None:
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
        self._handle(message, Step(topic, number, self._next[partition], offset + 1))
        self._next[partition] = offset + 1
        touched[partition] = None
        crash_points.reach("consumer.after-effect-before-commit")

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
        """Go on where the projection stands, in every partition."""
        self._next = self._projection.store.begin(self._next)
        for (topic, number), offset in self._next.items():
            consumer.seek(TopicPartition(topic, number, offset))

    def _wait_out(self, consumer: Consumer, error: DependencyDown, stop: threading.Event) -> None:
        """Read nothing until the store answers, but stay a member."""
        self._problem = str(error)
        log.warning("paused: %s", error)
        consumer.pause([TopicPartition(*partition) for partition in self._next])
        while not stop.is_set():
            # Paused partitions give nothing; rebalances are served.
            consumer.poll(self._back_off())
            try:
                self._reposition(consumer)
            except DependencyDown as still:
                self._problem = str(still)
                continue
            consumer.resume([TopicPartition(*partition) for partition in self._next])
            log.info("resumed")
            return
