"""The relay: sends what the outbox holds, oldest first, and marks what the broker has acknowledged.

Invariants: it reads *unsent* rows, never "newer than the last" (an id is taken before its commit, so a lower one can appear
later); one relay per service, by lease; a row is marked only after the acknowledgement of acks=all, and only while no older
row of its key is unsent. After a delivery error the producer is thrown away with all it holds, and everything begins again
at the oldest unsent row: an event can be sent twice, never lost, and never before an older one of its key for good.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from django.conf import settings
from django.db import Error, close_old_connections, connection
from django.utils import timezone

from servicekit import crash_points
from servicekit.outbox.lease import hold, release
from servicekit.outbox.models import OutboxEvent
from servicekit.outbox.waking import RelayBell

log = logging.getLogger(__name__)
BATCH_ROWS = 500
POLL_SECONDS = 0.5
FLUSH_SECONDS = 30.0
STOP_FLUSH_SECONDS = 1.0
BACK_OFF_SECONDS = (0.1, 0.5, 1.0, 2.0)
KEEP_SENT = timedelta(days=1)
PRUNE_SECONDS = 60.0
PRUNE_ROWS = 1000
DELIVERY_TIMEOUT_MS = 10_000


def make_producer() -> Producer:
    """Idempotent, acknowledged by all replicas; gives up on a record soon enough for the relay to say so."""
    return Producer(
        {
            "bootstrap.servers": settings.KAFKA_BOOTSTRAP_SERVERS,
            "client.id": f"{settings.SERVICE}-relay",
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 2,
            "delivery.timeout.ms": DELIVERY_TIMEOUT_MS,
            "topic.metadata.refresh.interval.ms": 60_000,
            "reconnect.backoff.max.ms": 1000,
            "error_cb": lambda error: log.warning("the broker: %s", error.str()),
            # librdkafka's own partitioner differs from Java's; every producer of these topics must agree.
            "partitioner": "murmur2_random",
        }
    )


class Relay:
    """See the module."""

    name = "relay"

    def __init__(self, producer_factory: Callable[[], Any] = make_producer) -> None:
        self._producer_factory = producer_factory
        self._producer: Any = None
        self._holder = uuid.uuid4()
        self._problem: str | None = None
        self._failures = 0
        self._pruned_at = time.monotonic()
        self._stop = threading.Event()

    def problem(self) -> str | None:
        return self._problem

    def run(self, stop: threading.Event) -> None:
        self._stop = stop
        bell = RelayBell()
        while not stop.is_set():
            if self._turn(stop) == 0:
                bell.wait(POLL_SECONDS)
        bell.close()
        release(self._holder)
        connection.close()

    def _turn(self, stop: threading.Event) -> int:
        """One batch; how many rows were read. Trouble is told, waited out and tried again."""
        try:
            close_old_connections()
            if not hold(self._holder):
                return 0
            count = self.drain_once()
            self._prune()
        except (KafkaException, BufferError, Error, DeliveryFailed) as error:
            self._problem = str(error)
            log.warning("the relay starts again at the oldest unsent event: %s", error)
            self._drop_producer()
            stop.wait(BACK_OFF_SECONDS[min(self._failures, len(BACK_OFF_SECONDS) - 1)])
            self._failures += 1
            return 0
        self._problem, self._failures = None, 0
        return count

    def drain_once(self) -> int:
        """Send one batch of unsent events and mark what was acknowledged; how many were read.

        DeliveryFailed when one was not acknowledged; those before it are marked all the same.
        """
        rows = list(OutboxEvent.objects.filter(sent_at__isnull=True).order_by("id")[:BATCH_ROWS])
        if not rows:
            return 0
        crash_points.reach("outbox.before-send")
        delivered, error = self._send(rows)
        crash_points.reach("outbox.after-send-before-mark")
        acknowledged, stopped = [], set()
        for row in rows:
            if row.id in delivered and row.key not in stopped:
                acknowledged.append(row.id)
            else:
                stopped.add(row.key)
        OutboxEvent.objects.filter(id__in=acknowledged).update(sent_at=timezone.now())
        if stopped:
            raise DeliveryFailed(error or "no acknowledgement in time", len(rows) - len(acknowledged))
        return len(rows)

    def _send(self, rows: Sequence[OutboxEvent]) -> tuple[set[int], str | None]:
        """Ids of the rows that were acknowledged, and the first error."""
        if self._producer is None:
            self._producer = self._producer_factory()
        delivered: set[int] = set()
        errors: list[str] = []

        def report(row_id: int) -> Callable[[KafkaError | None, Message], None]:
            def told(error: KafkaError | None, message: Message) -> None:
                if error is None:
                    delivered.add(row_id)
                else:
                    errors.append(error.str())

            return told

        for row in rows:
            self._producer.produce(row.topic, key=row.key.encode(), value=bytes(row.value), on_delivery=report(row.id))
        deadline = time.monotonic() + FLUSH_SECONDS
        while len(delivered) + len(errors) < len(rows) and time.monotonic() < deadline:
            self._producer.poll(0.05)
            if self._stop.is_set():
                # What is on its way may still arrive; what does not is sent again by the next relay.
                deadline = min(deadline, time.monotonic() + STOP_FLUSH_SECONDS)
            if not hold(self._holder):
                # Another relay sends these rows now; what is on its way from here is a duplicate at worst.
                errors.append("the lease was lost to another relay")
                break
        return delivered, errors[0] if errors else None

    def _drop_producer(self) -> None:
        """Forget the producer and all it still holds: what comes after a gap must not overtake what is sent again."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            producer.flush(0)

    def _prune(self) -> None:
        """Remove what was sent long ago; as long as there is more of it, again with the next batch."""
        if time.monotonic() - self._pruned_at < PRUNE_SECONDS:
            return
        old = OutboxEvent.objects.filter(sent_at__lt=timezone.now() - KEEP_SENT).order_by("id").values_list("id", flat=True)
        removed, _ = OutboxEvent.objects.filter(id__in=list(old[:PRUNE_ROWS])).delete()
        if removed < PRUNE_ROWS:
            self._pruned_at = time.monotonic()


class DeliveryFailed(Exception):
    """The broker did not acknowledge an event."""

    def __init__(self, reason: str, count: int) -> None:
        super().__init__(f"{count} events wait: {reason}")


def make_relay() -> Relay:
    """For WORKER_COMPONENTS."""
    return Relay()
