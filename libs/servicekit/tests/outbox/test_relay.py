"""The relay: everything that was committed is sent, per key in the order of the commits, and marked only then."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from django.db import DatabaseError, OperationalError, connection, transaction
from django.utils import timezone
from fake_broker import FakeBroker, FakeProducer, Sent
from servicekit.outbox import relay as module
from servicekit.outbox.models import OutboxEvent
from servicekit.outbox.relay import DeliveryFailed, Relay
from waiting import wait_until

pytestmark = pytest.mark.usefixtures("database")
TIMED_OUT = KafkaError(KafkaError._MSG_TIMED_OUT)


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker()


@pytest.fixture
def relay(broker: FakeBroker) -> Relay:
    return Relay(broker.make_producer)


def write(key: str, value: str, **fields: Any) -> OutboxEvent:
    return OutboxEvent.objects.create(topic="article-topic", key=key, value=value.encode(), **fields)


def unsent() -> list[str]:
    found = OutboxEvent.objects.filter(sent_at__isnull=True).order_by("id")
    return [bytes(row.value).decode() for row in found]


@contextmanager
def running(relay: Relay) -> Iterator[threading.Thread]:
    """The relay in a thread, as in a worker."""
    stop = threading.Event()
    thread = threading.Thread(target=relay.run, args=(stop,))
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()


def test_events_are_sent_in_order_and_marked(relay: Relay, broker: FakeBroker) -> None:
    for number in range(30):
        write(f"{number % 3}", f"{number}")
    assert relay.drain_once() == 30
    assert [sent.value.decode() for sent in broker.log] == [str(number) for number in range(30)]
    assert broker.log[0] == Sent("article-topic", "0", b"0")
    assert unsent() == []
    assert relay.drain_once() == 0
    assert len(broker.log) == 30


def test_what_was_rolled_back_is_never_sent(relay: Relay, broker: FakeBroker) -> None:
    with transaction.atomic():
        write("a", "gone")
        transaction.set_rollback(True)
    write("a", "kept")
    assert relay.drain_once() == 1
    assert broker.values("a") == ["kept"]


def test_a_lower_id_that_was_committed_later_is_not_passed_over(relay: Relay, broker: FakeBroker) -> None:
    write("b", "second", id=20)
    assert relay.drain_once() == 1
    write("a", "first", id=10)
    assert relay.drain_once() == 1
    assert [sent.value for sent in broker.log] == [b"second", b"first"]
    assert unsent() == []


def test_an_error_stops_its_key_and_no_other(relay: Relay, broker: FakeBroker) -> None:
    for value in ("a1", "b1", "a2", "b2", "a3"):
        write(value[0], value)
    broker.refuse = lambda sent: TIMED_OUT if sent.value == b"a2" else None
    with pytest.raises(DeliveryFailed, match=r"2 events wait: .*timed out"):
        relay.drain_once()
    # a3 is with the broker, but before a2: it does not count.
    assert unsent() == ["a2", "a3"]
    broker.refuse = lambda sent: None
    assert relay.drain_once() == 2
    assert broker.values("a") == ["a1", "a3", "a2", "a3"]
    assert broker.values("b") == ["b1", "b2"]
    assert unsent() == []


def test_without_an_acknowledgement_in_time_nothing_is_marked(
    relay: Relay, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FLUSH_SECONDS", 0.05)
    broker.silent = True
    write("a", "a1")
    with pytest.raises(DeliveryFailed, match="1 events wait: no acknowledgement in time"):
        relay.drain_once()
    assert unsent() == ["a1"]


def test_after_an_error_the_producer_is_thrown_away_with_all_it_holds(
    relay: Relay, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACK_OFF_SECONDS", (0.01,))
    failures = iter([TIMED_OUT, TIMED_OUT])
    broker.refuse = lambda sent: next(failures, None)
    write("a", "a1")
    with running(relay):
        wait_until(lambda: unsent() == [], "the event to be sent")
        wait_until(lambda: relay.problem() is None, "the relay to be well")
    assert [producer.purged for producer in broker.producers] == [True, True, False]
    assert broker.values("a") == ["a1"]


def test_while_it_cannot_send_it_says_why(relay: Relay, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACK_OFF_SECONDS", (0.01,))
    assert relay.problem() is None
    broker.refuse = lambda sent: TIMED_OUT
    write("a", "a1")
    with running(relay):
        wait_until(lambda: relay.problem() is not None, "the relay to say what is wrong")
        assert "1 events wait" in (relay.problem() or "")
        broker.refuse = lambda sent: None
        wait_until(lambda: relay.problem() is None, "the relay to be well")
    assert unsent() == []


@pytest.mark.parametrize(
    "error", [KafkaException(KafkaError(KafkaError._ALL_BROKERS_DOWN)), BufferError("the queue is full")], ids=["kafka", "queue"]
)
def test_a_producer_that_takes_nothing_is_tried_again(
    relay: Relay, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(module, "BACK_OFF_SECONDS", (0.01,))
    produce, errors = FakeProducer.produce, iter([error])

    def fail_once(producer: FakeProducer, *arguments: Any, **named: Any) -> None:
        found = next(errors, None)
        if found is not None:
            raise found
        produce(producer, *arguments, **named)

    monkeypatch.setattr(FakeProducer, "produce", fail_once)
    write("a", "a1")
    with running(relay):
        wait_until(lambda: unsent() == [], "the event to be sent")
    assert broker.values("a") == ["a1"]


def test_a_database_that_is_down_is_waited_out(
    relay: Relay, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "BACK_OFF_SECONDS", (0.01,))
    hold, errors = module.hold, iter([OperationalError("no route to host"), DatabaseError("still none")])

    def fail_twice(holder: Any) -> bool:
        found = next(errors, None)
        if found is not None:
            raise found
        return hold(holder)

    monkeypatch.setattr(module, "hold", fail_twice)
    write("a", "a1")
    with caplog.at_level(logging.WARNING), running(relay):
        wait_until(lambda: unsent() == [], "the event to be sent")
    assert "no route to host" in caplog.text


def test_only_one_of_two_relays_sends(broker: FakeBroker) -> None:
    first, second = Relay(broker.make_producer), Relay(broker.make_producer)
    with running(first):
        write("a", "a1")
        wait_until(lambda: unsent() == [], "the first relay to send")
        with running(second):
            for number in range(2, 8):
                write("a", f"a{number}")
            wait_until(lambda: unsent() == [], "the relay to send")
            assert len(broker.producers) == 1
    assert broker.values("a") == [f"a{number}" for number in range(1, 8)]


def test_a_relay_that_stops_lets_the_next_begin_at_once(broker: FakeBroker) -> None:
    with running(Relay(broker.make_producer)):
        write("a", "a1")
        wait_until(lambda: unsent() == [], "the first relay to send")
    write("a", "a2")
    started = time.monotonic()
    with running(Relay(broker.make_producer)):
        wait_until(lambda: unsent() == [], "the second relay to send")
    assert time.monotonic() - started < module.FLUSH_SECONDS / 3
    assert broker.values("a") == ["a1", "a2"]


def test_it_stops_soon_while_the_broker_is_silent(relay: Relay, broker: FakeBroker) -> None:
    broker.silent = True
    write("a", "a1")
    started = time.monotonic()
    with running(relay):
        wait_until(lambda: broker.log != [], "the event to be on its way")
    assert time.monotonic() - started < module.FLUSH_SECONDS / 2
    assert unsent() == ["a1"]


def test_whoever_loses_the_lease_while_the_broker_is_silent_gives_up(
    relay: Relay, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.silent = True
    write("a", "a1")
    monkeypatch.setattr(module, "hold", lambda holder: broker.log == [])
    started = time.monotonic()
    with pytest.raises(DeliveryFailed, match="the lease was lost to another relay"):
        relay.drain_once()
    assert time.monotonic() - started < module.FLUSH_SECONDS / 2
    assert unsent() == ["a1"]


def test_more_than_a_batch_is_sent_without_a_pause(relay: Relay, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_ROWS", 7)
    monkeypatch.setattr(module, "POLL_SECONDS", 600.0)
    for number in range(40):
        write(f"{number % 3}", f"{number}")
    # The relay asks the bell only when nothing was left; nobody rings here, so its first wait would be its last.
    monkeypatch.setattr(module, "RelayBell", NoBell)
    with running(relay):
        wait_until(lambda: unsent() == [], "all to be sent")
    assert [sent.value.decode() for sent in broker.log] == [str(number) for number in range(40)]


class NoBell:
    """Fails whoever waits before everything was sent."""

    def wait(self, seconds: float) -> None:
        assert unsent() == []
        time.sleep(0.01)

    def close(self) -> None:
        pass


def test_what_was_sent_long_ago_is_removed_and_nothing_else(
    relay: Relay, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PRUNE_ROWS", 3)
    relay._pruned_at -= module.PRUNE_SECONDS
    long_ago = timezone.now() - module.KEEP_SENT - timedelta(minutes=1)
    for number in range(7):
        write("a", f"old {number}", sent_at=long_ago)
    write("a", "sent today", sent_at=timezone.now() - module.KEEP_SENT + timedelta(hours=1))
    broker.refuse = lambda sent: TIMED_OUT
    stuck = write("b", "unsent")
    OutboxEvent.objects.filter(id=stuck.id).update(created_at=long_ago)
    relay._prune()
    assert OutboxEvent.objects.filter(sent_at=long_ago).count() == 4
    relay._prune()
    relay._prune()
    left = OutboxEvent.objects.order_by("id")
    assert [bytes(row.value) for row in left] == [b"sent today", b"unsent"]


def test_pruning_waits_its_time(relay: Relay) -> None:
    write("a", "old", sent_at=timezone.now() - module.KEEP_SENT * 2)
    relay._prune()
    assert OutboxEvent.objects.count() == 1
    relay._pruned_at -= module.PRUNE_SECONDS
    relay._prune()
    write("a", "old", sent_at=timezone.now() - module.KEEP_SENT * 2)
    relay._prune()
    assert OutboxEvent.objects.count() == 1


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_two_postgresql_transactions_that_commit_in_reverse_id_order(relay: Relay, broker: FakeBroker) -> None:
    """A has the lower id and commits last: the relay meets B's event first, and A's all the same.

    SQLite has one writer at a time, whose ids are in the order of the commits.
    """
    a_has_its_id, b_is_committed = threading.Event(), threading.Event()

    def a() -> None:
        with transaction.atomic():
            write("a", "a1")
            a_has_its_id.set()
            assert b_is_committed.wait(60)
            write("a", "a2")
        connection.close()

    thread = threading.Thread(target=a)
    thread.start()
    assert a_has_its_id.wait(60)
    write("b", "b1")
    assert relay.drain_once() == 1
    b_is_committed.set()
    thread.join(60)
    assert relay.drain_once() == 2
    ids = {bytes(row.value): row.id for row in OutboxEvent.objects.all()}
    assert ids[b"a1"] < ids[b"b1"]
    assert [sent.value for sent in broker.log] == [b"b1", b"a1", b"a2"]


def test_many_writers_and_a_relay_that_fails_now_and_then(
    relay: Relay, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails in between: for each key the last time of every event is in the order of the commits."""
    monkeypatch.setattr(module, "BACK_OFF_SECONDS", (0.001,))
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(module, "BATCH_ROWS", 10)
    seen = iter(range(10**9))
    broker.refuse = lambda sent: TIMED_OUT if next(seen) % 11 == 5 else None
    keys = ("a", "b", "c", "d")

    def write_all(key: str) -> None:
        for number in range(40):
            write(key, f"{key}{number}")
        connection.close()

    writers = [threading.Thread(target=write_all, args=(key,)) for key in keys]
    with running(relay):
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(100)
        wait_until(lambda: unsent() == [], "all to be sent")
    for key in keys:
        last_time = {value: place for place, value in enumerate(broker.values(key))}
        assert sorted(last_time, key=lambda value: last_time[value]) == [f"{key}{number}" for number in range(40)]


def test_the_relay_of_a_worker_is_made_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    made: Callable[[], Relay] = module.make_relay
    assert made().name == "relay"
