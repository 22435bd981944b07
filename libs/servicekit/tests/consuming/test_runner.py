"""The consumer of a group, on a real broker and a real Valkey: every record has its effect once, whatever happens between."""

import json
import threading
import time
from collections.abc import Iterator

import pytest
from board_events import History, posts
from confluent_kafka import Consumer, TopicPartition
from events.envelope import Envelope, encode
from servicekit.consuming import dead_letters, runner
from servicekit.consuming.runner import GroupConsumer
from servicekit.correlation import current_id
from waiting import wait_until


def test_it_starts_at_the_earliest_record_and_commits_behind_the_effects(kafka, topic, name, diary, consumer, running) -> None:
    events = posts(3)
    kafka.send(topic, *events)
    with running(consumer):
        wait_until(lambda: diary.has_all(events), "all effects")
        wait_until(lambda: kafka.committed(name) == kafka.ends(topic), "offsets committed")
        wait_until(lambda: consumer.problem() is None, "no problem")
        more = posts(1)
        kafka.send(topic, *more)
        wait_until(lambda: diary.has_all(events + more), "what came later")
    assert kafka.committed(name) == kafka.ends(topic) == diary.store.positions(list(kafka.ends(topic)))


def test_the_end_of_every_partition_is_marked(kafka, topic, diary, consumer, running) -> None:
    """Also of those that have no records."""
    kafka.send(topic, posts()[0])
    with running(consumer):
        wait_until(lambda: diary.store.has_seen_end([(topic, number) for number in range(3)]), "the ends")
    assert sum(position or 0 for position in diary.store.positions(list(kafka.ends(topic))).values()) == 1


def test_the_effect_runs_under_the_correlation_id_of_its_event(kafka, topic, diary, consumer, running) -> None:
    seen: list[str | None] = []
    diary.before = lambda envelope: seen.append(current_id())
    kafka.send(topic, posts()[0])
    with running(consumer):
        wait_until(lambda: seen, "an effect")
    assert seen == ["a-test"]


def test_the_projection_decides_where_reading_goes_on_not_the_committed_offset(
    kafka, topic, name, diary, consumer, running
) -> None:
    """Committed offsets ahead of an empty projection, as after a lost disk of Valkey: nothing is left out."""
    events = posts(2)
    kafka.send(topic, *events)
    kafka.commit(name, kafka.ends(topic))
    with running(consumer):
        wait_until(lambda: diary.has_all(events), "all effects")


def test_kafkas_offset_goes_back_to_an_empty_projection_at_once(kafka, topic, name, diary, consumer, running) -> None:
    """Otherwise the lag would be 0 while nearly everything is missing."""
    kafka.send(topic, *posts(2))
    kafka.commit(name, kafka.ends(topic))
    gate = threading.Event()

    def wait(envelope: Envelope) -> None:
        gate.wait(30)

    diary.before = wait
    with running(consumer):
        wait_until(lambda: sum(kafka.committed(name).values()) == 0, "the committed offsets at 0")
        gate.set()


def test_kafkas_offset_is_never_ahead_of_the_projection(kafka, topic, name, diary, consumer, running) -> None:
    """Looked at all the time while records flow and consumers come and go."""
    events = posts(40)
    second = GroupConsumer(kafka.bootstrap_servers, name, [topic], diary)
    ahead = []

    def look() -> None:
        committed = kafka.committed(name)
        positions = diary.store.positions(list(committed))
        ahead.extend((p, offset, positions[p]) for p, offset in committed.items() if offset > (positions[p] or 0))

    with running(consumer):
        kafka.send(topic, *events[:200])
        look()
        with running(second):
            kafka.send(topic, *events[200:])
            while not diary.has_all(events):
                look()
        look()
    look()
    assert ahead == []
    assert kafka.committed(name) == kafka.ends(topic)


def test_a_rebalance_neither_repeats_nor_leaves_out(kafka, topic, name, diary, consumer, running) -> None:
    events = posts(60)
    half = len(events) // 2
    second = GroupConsumer(kafka.bootstrap_servers, name, [topic], diary)
    with running(consumer):
        kafka.send(topic, *events[:half])
        with running(second):
            wait_until(lambda: sorted(len(held) for held in kafka.members(name).values()) == [1, 2], "both have partitions")
            kafka.send(topic, *events[half:])
            wait_until(lambda: diary.has_all(events), "all effects once")
        # The one that left did not let the group wait for its session to time out.
        assert len(kafka.members(name)) <= 1
        more = posts(2)
        kafka.send(topic, *more)
        wait_until(lambda: diary.has_all(events + more), "what came after it left")
    assert kafka.committed(name) == kafka.ends(topic)


def test_what_is_revoked_is_committed_before_the_next_owner_has_it(
    kafka, topic, name, diary, consumer, running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if no commit before got through: the one on revoke is synchronous. The next owner is any consumer of Kafka's."""
    commit = GroupConsumer._commit

    def only_synchronous(self, consumer, partitions, *, asynchronous: bool) -> None:
        if not asynchronous:
            commit(self, consumer, partitions, asynchronous=False)

    monkeypatch.setattr(GroupConsumer, "_commit", only_synchronous)
    found: dict[tuple[str, int], int] = {}

    def assigned(other: Consumer, partitions: list[TopicPartition]) -> None:
        if partitions:
            found.update({(p.topic, p.partition): p.offset for p in other.committed(partitions, timeout=30)})

    events = posts(5)
    kafka.send(topic, *events)
    other = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap_servers,
            "group.id": name,
            "partition.assignment.strategy": "cooperative-sticky",
            "enable.auto.commit": False,
        }
    )
    try:
        with running(consumer):
            wait_until(lambda: diary.has_all(events), "all effects")
            assert kafka.committed(name) == {}
            other.subscribe([topic], on_assign=assigned)

            def has_one() -> bool:
                other.poll(0.1)
                return bool(found)

            wait_until(has_one, "a partition for the other")
            assert found.items() <= kafka.ends(topic).items()
    finally:
        other.close()


def test_stopped_in_the_middle_it_commits_what_it_has_done_and_leaves(kafka, topic, name, diary, consumer) -> None:
    events = posts(30)
    kafka.send(topic, *events)
    stop, begun = threading.Event(), threading.Event()

    def slowly(envelope: Envelope) -> None:
        begun.set()
        time.sleep(0.005)

    diary.before = slowly
    thread = threading.Thread(target=consumer.run, args=(stop,))
    thread.start()
    assert begun.wait(30)
    stop.set()
    thread.join(30)
    assert not thread.is_alive()
    assert kafka.members(name) == {}
    positions = diary.store.positions(list(kafka.ends(topic)))
    assert kafka.committed(name) == positions
    assert 0 < sum(position or 0 for position in positions.values()) < len(events)


def bad_bodies() -> Iterator[tuple[str, bytes | None]]:
    good = json.loads(encode(History("100").create()))
    yield "no JSON", b"{"
    yield "nothing", None
    yield "not UTF-8", b'"\xff"'
    yield "no object", b"[]"
    yield "no id", json.dumps({**good, "id": ""}).encode()
    yield "an unknown version", json.dumps({**good, "dataversion": 9}).encode()
    yield "data of another shape", json.dumps({**good, "data": {**good["data"], "title": 5}}).encode()
    yield (
        "about another article than its key",
        json.dumps({**good, "subject": "101", "data": {**good["data"], "article_id": "101"}}).encode(),
    )


@pytest.mark.parametrize(("what", "value"), list(bad_bodies()))
def test_a_bad_body_is_a_dead_letter_and_the_rest_goes_on(kafka, topic, name, diary, consumer, running, what, value) -> None:
    """With headers that say why; the record counts as done."""
    history = History("100")
    before, after = history.create(), history.update()
    kafka.send(topic, before)
    kafka.send_raw(topic, value)
    kafka.send(topic, after)
    with running(consumer):
        wait_until(lambda: diary.events("100") == [before.id, after.id], "both good events")
        wait_until(lambda: kafka.committed(name) == kafka.ends(topic), "offsets committed")
    assert sum(kafka.ends(f"{topic}.{name}.dlt").values()) == 1


def test_an_unknown_type_is_skipped_and_counted(kafka, topic, name, diary, consumer, running) -> None:
    good = History("100").create()
    unknown = {**json.loads(encode(good)), "type": "article.pinned", "data": {"anything": 1}}
    for _ in range(runner.BRAKE_AFTER + 5):
        kafka.send_raw(topic, json.dumps(unknown).encode())
    kafka.send(topic, good)
    with running(consumer):
        wait_until(lambda: diary.events("100") == [good.id], "the good event")
        wait_until(lambda: kafka.committed(name) == kafka.ends(topic), "offsets committed")
    assert consumer.skipped_unknown == runner.BRAKE_AFTER + 5
    assert sum(kafka.ends(f"{topic}.{name}.dlt").values()) == 0


def test_an_effect_that_always_fails_is_a_dead_letter(kafka, topic, name, diary, consumer, running) -> None:
    """After a bounded number of tries; one that fails at first only has its effect."""
    history = History("100")
    poison, shaky, good = history.create(), history.update(), history.update()
    tries: dict[str, int] = {}

    def fail(envelope: Envelope) -> None:
        tries[envelope.id] = tries.get(envelope.id, 0) + 1
        if envelope.id == poison.id or (envelope.id == shaky.id and tries[shaky.id] == 1):
            raise ValueError("a defect")

    diary.before = fail
    kafka.send(topic, poison, shaky, good)
    with running(consumer):
        wait_until(lambda: diary.events("100") == [shaky.id, good.id], "the others")
    assert tries == {poison.id: runner.TRIES_MAX, shaky.id: 2, good.id: 1}
    assert sum(kafka.ends(f"{topic}.{name}.dlt").values()) == 1
    assert kafka.committed(name) == kafka.ends(topic)


def test_the_letter_is_acknowledged_before_the_offset_is_committed(
    kafka, name, store, diary, running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While there is no dead letter topic the record is not done with, and nothing behind it either."""
    monkeypatch.setattr(dead_letters, "ACKNOWLEDGE_SECONDS", 2.0)
    kafka.create(name, partitions=1)
    history = History("100")
    first, last = history.create(), history.update()
    kafka.send(name, first)
    kafka.send_raw(name, b"no event")
    kafka.send(name, last)
    consumer = GroupConsumer(kafka.bootstrap_servers, name, [name], diary)
    with running(consumer):
        wait_until(lambda: "dead letter" in (consumer.problem() or ""), "the trouble to be told")
        wait_until(lambda: kafka.committed(name) == {(name, 0): 1}, "the first committed")
        assert diary.events("100") == [first.id]
        assert store.positions([(name, 0)]) == {(name, 0): 1}
        kafka.create(f"{name}.{name}.dlt")
        wait_until(lambda: diary.events("100") == [first.id, last.id], "the rest")
        wait_until(lambda: kafka.committed(name) == {(name, 0): 3}, "all committed")
        wait_until(lambda: consumer.problem() is None, "no problem")
    assert sum(kafka.ends(f"{name}.{name}.dlt").values()) == 1


def test_the_brake_stops_the_consumer_and_leaves_the_rest_for_later(kafka, topic, name, diary, consumer, running) -> None:
    good = History("100").create()
    for _ in range(runner.BRAKE_AFTER + 3):
        kafka.send_raw(topic, b"no event")
    kafka.send(topic, good)
    with running(consumer):
        wait_until(lambda: "in a row" in (consumer.problem() or ""), "the brake")
        wait_until(lambda: kafka.members(name) == {}, "it has left the group")
        assert sum(kafka.ends(f"{topic}.{name}.dlt").values()) == runner.BRAKE_AFTER
        assert sum(kafka.committed(name).values()) == runner.BRAKE_AFTER
        assert diary.events("100") == []
    # Whoever has seen to it starts it again: it goes on where it stopped.
    again = GroupConsumer(kafka.bootstrap_servers, name, [topic], diary)
    with running(again):
        wait_until(lambda: diary.events("100") == [good.id], "the good event")
    assert sum(kafka.ends(f"{topic}.{name}.dlt").values()) == runner.BRAKE_AFTER + 3


def test_a_good_event_between_releases_the_brake(kafka, topic, name, diary, consumer, running) -> None:
    history = History("100")
    history.create()
    for _ in range(3):
        for _ in range(runner.BRAKE_AFTER - 1):
            kafka.send_raw(topic, b"no event")
        kafka.send(topic, history.update())
    with running(consumer):
        wait_until(lambda: len(diary.events("100")) == 3, "the good events")
    assert consumer.problem() is None
    assert sum(kafka.ends(f"{topic}.{name}.dlt").values()) == 3 * (runner.BRAKE_AFTER - 1)
