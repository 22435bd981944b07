"""Load for a cluster that is being broken: a numbering producer per partition, a group that reads, and a ledger of both.

Owns: what was sent, acknowledged, read and committed, and what is wrong as soon as it is seen (`failed`). Clients are
unmodified ones of confluent-kafka, and of kafka-python for one partition. Leaves out: the faults (`chaos_faults`), what must
hold at the end (`chaos_check`).
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from kafka import KafkaProducer

TOPIC = "ledger"
PARTITIONS = 4
# The partition whose producer is kafka-python's.
OTHER_CLIENT = PARTITIONS - 1
GROUP = "readers"
MEMBERS = 2
BURST = 2
PAUSE_SECONDS = 0.01
# Longer than any one fault lasts: a record that is not acknowledged in this time is a failure.
DELIVERY_TIMEOUT_SECONDS = 120
END_TIMEOUT_SECONDS = 150.0
# Lost connections are no news here.
QUIET = {"log_level": 2, "reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 500}


class Load:
    """Producers, a group, and the ledger. Numbers of a partition's records are 0, 1, 2, … in the order of sending."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap = bootstrap_servers
        self.sent = [0] * PARTITIONS
        # Number -> offset for each partition; an offset is negative when the broker knew the record already and said no more.
        self.acknowledged: list[dict[int, int]] = [{} for _ in range(PARTITIONS)]
        # Offset -> number for each partition, as members of the group got them.
        self.read: list[dict[int, int]] = [{} for _ in range(PARTITIONS)]
        # The highest offset whose commit was answered.
        self.committed = [0] * PARTITIONS
        self.failed: list[str] = []
        self._producing_ends = threading.Event()
        self._reading_ends = threading.Event()
        self._producing = [
            threading.Thread(target=self._guarded(run), daemon=True) for run in (self._produce, self._produce_otherwise)
        ]
        self._reading = [threading.Thread(target=self._guarded(self._consume), daemon=True) for _ in range(MEMBERS)]

    def _guarded(self, run: Callable[[], None]) -> Callable[[], None]:
        def guarded() -> None:
            try:
                run()
            except Exception as error:
                self.failed.append(f"{run.__name__} ended: {error!r}")
                raise

        return guarded

    def start(self) -> None:
        for thread in [*self._producing, *self._reading]:
            thread.start()

    @property
    def acknowledged_count(self) -> int:
        return sum(len(one) for one in self.acknowledged)

    def stop_producing(self) -> None:
        """Everything sent is acknowledged, or told of in `failed`."""
        self._producing_ends.set()
        for thread in self._producing:
            thread.join(END_TIMEOUT_SECONDS)
            assert not thread.is_alive(), "the producers do not end"

    def stop_reading(self) -> None:
        self._reading_ends.set()
        for thread in self._reading:
            thread.join(60)
            assert not thread.is_alive(), "the group does not end"

    def end(self) -> None:
        """Nothing more is sent or read, whatever is still under way."""
        self._producing_ends.set()
        self._reading_ends.set()

    # Producing.

    def _produce(self) -> None:
        settings = {
            "bootstrap.servers": self._bootstrap,
            "enable.idempotence": True,
            "acks": "all",
            "delivery.timeout.ms": DELIVERY_TIMEOUT_SECONDS * 1000,
            "linger.ms": 2,
            "error_cb": lambda error: self._note_fatal("producer", error),
            **QUIET,
        }
        producers = [Producer(settings) for partition in range(PARTITIONS) if partition != OTHER_CLIENT]
        while not self._producing_ends.is_set():
            for partition, producer in enumerate(producers):
                for _ in range(BURST):
                    number = self.sent[partition]
                    try:
                        producer.produce(TOPIC, value_of(partition, number), partition=partition, on_delivery=self._delivered)
                    except BufferError:
                        break
                    self.sent[partition] += 1
                producer.poll(0)
            time.sleep(PAUSE_SECONDS)
        for partition, producer in enumerate(producers):
            if left := producer.flush(DELIVERY_TIMEOUT_SECONDS):
                self.failed.append(f"{left} records for partition {partition} were never answered")

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        partition, number = read_value(message)
        if error is not None:
            self.failed.append(f"record {number} for partition {partition}: {error}")
            return
        offset = message.offset()
        self._acknowledged(partition, number, -1 if offset is None else int(offset))

    def _acknowledged(self, partition: int, number: int, offset: int) -> None:
        ledger = self.acknowledged[partition]
        if number in ledger:
            self.failed.append(f"record {number} for partition {partition} was acknowledged twice")
        ledger[number] = offset

    def _produce_otherwise(self) -> None:
        """The same with kafka-python, a client that shares no code with the others."""
        logging.getLogger("kafka").setLevel(logging.CRITICAL)
        partition = OTHER_CLIENT
        producer = KafkaProducer(
            bootstrap_servers=self._bootstrap,
            enable_idempotence=True,
            acks="all",
            delivery_timeout_ms=DELIVERY_TIMEOUT_SECONDS * 1000,
            linger_ms=2,
            reconnect_backoff_ms=50,
            reconnect_backoff_max_ms=500,
        )
        while not self._producing_ends.is_set():
            for _ in range(BURST):
                number = self.sent[partition]
                future = producer.send(TOPIC, value_of(partition, number), partition=partition)
                self.sent[partition] += 1
                future.add_callback(lambda told, number=number: self._acknowledged(partition, number, int(told.offset)))
                future.add_errback(
                    lambda error, number=number: self.failed.append(f"record {number} for partition {partition}: {error!r}")
                )
            time.sleep(PAUSE_SECONDS)
        producer.flush(DELIVERY_TIMEOUT_SECONDS)
        producer.close(DELIVERY_TIMEOUT_SECONDS)

    def _note_fatal(self, who: str, error: KafkaError) -> None:
        if error.fatal():
            self.failed.append(f"{who}: {error}")

    # Reading.

    def _consume(self) -> None:
        starts: dict[int, int] = {}

        def assigned(_: Consumer, partitions: list[TopicPartition]) -> None:
            starts.update({one.partition: self.committed[one.partition] for one in partitions})

        settings: dict[str, Any] = {
            "bootstrap.servers": self._bootstrap,
            "group.id": GROUP,
            "auto.offset.reset": "earliest",
            # librdkafka keeps what it is told to commit while the coordinator moves, and sends it later in whatever order:
            # a position that goes back is then what the client asked for. One commit at a time says what was promised.
            "enable.auto.commit": False,
            "session.timeout.ms": 6000,
            "partition.assignment.strategy": "cooperative-sticky",
            "error_cb": lambda error: self._note_fatal("consumer", error),
            **QUIET,
        }
        consumer = Consumer(settings)
        consumer.subscribe([TOPIC], on_assign=assigned)
        uncommitted = False
        while not self._reading_ends.is_set():
            for message in consumer.consume(500, 0.1):
                if message.error() is None:
                    self._got(message, starts)
                    uncommitted = True
            uncommitted = uncommitted and not self._commit(consumer)
        try:
            consumer.close()
        except KafkaException as error:
            self.failed.append(f"closing a consumer: {error}")

    def _commit(self, consumer: Consumer) -> bool:
        """Commit what was read; False when it is to be tried again. Without an answer, or with an error, nothing was promised."""
        try:
            answered = consumer.commit(asynchronous=False) or []
        except KafkaException as error:
            # After a rebalance there may be nothing left to commit: whoever has the partitions now reads it again.
            return bool(error.args[0].code() == KafkaError._NO_OFFSET)
        for one in answered:
            if one.error is None and one.offset >= 0:
                self.committed[one.partition] = max(self.committed[one.partition], one.offset)
        return all(one.error is None for one in answered)

    def _got(self, message: Message, starts: dict[int, int]) -> None:
        partition, number = read_value(message)
        offset = int(message.offset() or 0)
        start = starts.pop(partition, 0)
        if offset < start:
            self.failed.append(f"partition {partition}: a member began at {offset} after offset {start} was committed")
        before = self.read[partition].setdefault(offset, number)
        if before != number:
            self.failed.append(f"partition {partition}: offset {offset} was record {before} and is now {number}")


def value_of(partition: int, number: int) -> bytes:
    return b"%d %d %s" % (partition, number, b"x" * (number % 200))


def read_value(message: Message) -> tuple[int, int]:
    """Partition and number of a record."""
    value = message.value()
    assert isinstance(value, bytes)
    partition, number, _ = value.split(b" ")
    assert message.partition() == int(partition)
    return int(partition), int(number)
