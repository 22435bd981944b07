"""The consumer of a group, on a real broker and a real Valkey: every record has its effect once, whatever happens between."""

import json
import threading
import time
from collections.abc import Iterator

import pytest
from board_events import History
from broker.testing import BrokerProcess
from confluent_kafka import Consumer, Message, TopicPartition
from events.envelope import Envelope, encode
from peers.valkey import ValkeyServer
from servicekit.consuming import dead_letters, runner
from servicekit.consuming.positions import DependencyDown, PositionMoved, Step
from servicekit.consuming.runner import GroupConsumer
from servicekit.correlation import current_id
from waiting import wait_until

SUBJECTS = [str(100 + number) for number in range(12)]


def posts(count: int = 1) -> list[Envelope]:
    """Events about many articles, in an order that mixes them."""
    histories = [History(subject) for subject in SUBJECTS]
    for _ in range(count):
        for history in histories:
            history.comment()
    return [history.comment_events[number] for number in range(count) for history in histories]


def ids(events: list[Envelope], subject: str) -> list[str]:
    return [event.id for event in events if event.subject == subject]


def has_all(diary, events: list[Envelope]) -> bool:
    """Each event once, in the order of its key."""
    return all(diary.events(subject) == ids(events, subject) for subject in SUBJECTS)


def ends(kafka, topic: str) -> dict[tuple[str, int], int]:
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": "reader"})
    try:
        return {
            (topic, number): consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=30)[1] for number in range(3)
        }
    finally:
        consumer.close()


def letters(kafka, topic: str) -> int:
    return sum(ends(kafka, topic).values())


@pytest.fixture
def consumer(kafka, topic, name, diary) -> GroupConsumer:
    return GroupConsumer(kafka.bootstrap_servers, name, [topic], diary)


def test_it_starts_at_the_earliest_record_and_commits_behind_the_effects(kafka, topic, name, diary, consumer, running) -> None:
    events = posts(3)
    kafka.send(topic, *events)
    with running(consumer):
        wait_until(lambda: has_all(diary, events), "all effects")
        wait_until(lambda: kafka.committed(name) == ends(kafka, topic), "offsets committed")
        wait_until(lambda: consumer.problem() is None, "no problem")
        more = posts(1)
        kafka.send(topic, *more)
        wait_until(lambda: has_all(diary, events + more), "what came later")
    assert kafka.committed(name) == ends(kafka, topic) == diary.store.positions(list(ends(kafka, topic)))


def test_the_end_of_every_partition_is_marked(kafka, topic, diary, consumer, running) -> None:
    """Also of those that have no records."""
    kafka.send(topic, posts()[0])
    with running(consumer):
        wait_until(lambda: diary.store.has_seen_end([(topic, number) for number in range(3)]), "the ends")
    assert sum(position or 0 for position in diary.store.positions(list(ends(kafka, topic))).values()) == 1


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
    kafka.commit(name, ends(kafka, topic))
    with running(consumer):
        wait_until(lambda: has_all(diary, events), "all effects")


def test_kafkas_offset_goes_back_to_an_empty_projection_at_once(kafka, topic, name, diary, consumer, running) -> None:
    """Otherwise the lag would be 0 while nearly everything is missing."""
    kafka.send(topic, *posts(2))
    kafka.commit(name, ends(kafka, topic))
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
            while not has_all(diary, events):
                look()
        look()
    look()
    assert ahead == []
    assert kafka.committed(name) == ends(kafka, topic)


def test_a_rebalance_neither_repeats_nor_leaves_out(kafka, topic, name, diary, consumer, running) -> None:
    events = posts(60)
    half = len(events) // 2
    second = GroupConsumer(kafka.bootstrap_servers, name, [topic], diary)
    with running(consumer):
        kafka.send(topic, *events[:half])
        with running(second):
            wait_until(lambda: sorted(len(held) for held in kafka.members(name).values()) == [1, 2], "both have partitions")
            kafka.send(topic, *events[half:])
            wait_until(lambda: has_all(diary, events), "all effects once")
        # The one that left did not let the group wait for its session to time out.
        assert len(kafka.members(name)) <= 1
        more = posts(2)
        kafka.send(topic, *more)
        wait_until(lambda: has_all(diary, events + more), "what came after it left")
    assert kafka.committed(name) == ends(kafka, topic)


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
            wait_until(lambda: has_all(diary, events), "all effects")
            assert kafka.committed(name) == {}
            other.subscribe([topic], on_assign=assigned)

            def has_one() -> bool:
                other.poll(0.1)
                return bool(found)

            wait_until(has_one, "a partition for the other")
            assert found.items() <= ends(kafka, topic).items()
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
    positions = diary.store.positions(list(ends(kafka, topic)))
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
        wait_until(lambda: kafka.committed(name) == ends(kafka, topic), "offsets committed")
    assert letters(kafka, f"{topic}.{name}.dlt") == 1


def test_an_unknown_type_is_skipped_and_counted(kafka, topic, name, diary, consumer, running) -> None:
    good = History("100").create()
    unknown = {**json.loads(encode(good)), "type": "article.pinned", "data": {"anything": 1}}
    for _ in range(runner.BRAKE_AFTER + 5):
        kafka.send_raw(topic, json.dumps(unknown).encode())
    kafka.send(topic, good)
    with running(consumer):
        wait_until(lambda: diary.events("100") == [good.id], "the good event")
        wait_until(lambda: kafka.committed(name) == ends(kafka, topic), "offsets committed")
    assert consumer.skipped_unknown == runner.BRAKE_AFTER + 5
    assert letters(kafka, f"{topic}.{name}.dlt") == 0


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
    assert letters(kafka, f"{topic}.{name}.dlt") == 1
    assert kafka.committed(name) == ends(kafka, topic)


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
    assert letters(kafka, f"{name}.{name}.dlt") == 1


def test_the_brake_stops_the_consumer_and_leaves_the_rest_for_later(kafka, topic, name, diary, consumer, running) -> None:
    good = History("100").create()
    for _ in range(runner.BRAKE_AFTER + 3):
        kafka.send_raw(topic, b"no event")
    kafka.send(topic, good)
    with running(consumer):
        wait_until(lambda: "in a row" in (consumer.problem() or ""), "the brake")
        wait_until(lambda: kafka.members(name) == {}, "it has left the group")
        assert letters(kafka, f"{topic}.{name}.dlt") == runner.BRAKE_AFTER
        assert sum(kafka.committed(name).values()) == runner.BRAKE_AFTER
        assert diary.events("100") == []
    # Whoever has seen to it starts it again: it goes on where it stopped.
    again = GroupConsumer(kafka.bootstrap_servers, name, [topic], diary)
    with running(again):
        wait_until(lambda: diary.events("100") == [good.id], "the good event")
    assert letters(kafka, f"{topic}.{name}.dlt") == runner.BRAKE_AFTER + 3


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
    assert letters(kafka, f"{topic}.{name}.dlt") == 3 * (runner.BRAKE_AFTER - 1)


def test_while_valkey_is_down_it_waits_and_stays_a_member(
    kafka, topic, name, own_valkey: ValkeyServer, diary_in, running
) -> None:
    """Longer than max.poll.interval.ms and the session time-out: it polls while it is paused, and is not thrown out."""
    diary = diary_in(own_valkey)
    limits = {"max.poll.interval.ms": runner.SESSION_TIMEOUT_MS, "session.timeout.ms": runner.SESSION_TIMEOUT_MS}
    consumer = GroupConsumer(kafka.bootstrap_servers, name, [topic], diary, limits)
    events = posts(2)
    kafka.send(topic, *events)
    with running(consumer):
        wait_until(lambda: has_all(diary, events), "the first effects")
        members = kafka.members(name)
        own_valkey.kill()
        more = posts(2)
        kafka.send(topic, *more)
        wait_until(lambda: "valkey" in (consumer.problem() or ""), "the trouble to be told")
        time.sleep(runner.SESSION_TIMEOUT_MS / 1000 + 2)
        assert kafka.members(name) == members
        own_valkey.start()
        wait_until(lambda: has_all(diary, events + more), "the rest")
        assert kafka.members(name) == members
        wait_until(lambda: consumer.problem() is None, "no problem")
        wait_until(lambda: kafka.committed(name) == ends(kafka, topic), "offsets committed")
    assert letters(kafka, f"{topic}.{name}.dlt") == 0


def test_without_valkey_it_does_not_even_join(kafka, topic, name, own_valkey: ValkeyServer, diary_in, running) -> None:
    """A member that cannot work would only hold partitions that another could read."""
    own_valkey.kill()
    diary = diary_in(own_valkey)
    consumer = GroupConsumer(kafka.bootstrap_servers, name, [topic], diary)
    events = posts(1)
    kafka.send(topic, *events)
    with running(consumer):
        wait_until(lambda: "valkey" in (consumer.problem() or ""), "the trouble to be told")
        assert name not in {group.group_id for group in kafka.admin.list_consumer_groups().result(30).valid}
        own_valkey.start()
        wait_until(lambda: has_all(diary, events), "the effects")


def test_killed_under_load_valkey_comes_back_and_nothing_is_lost_or_twice(
    kafka, topic, name, own_valkey: ValkeyServer, diary_in, running
) -> None:
    diary = diary_in(own_valkey)
    consumer = GroupConsumer(kafka.bootstrap_servers, name, [topic], diary)
    events = posts(90)
    with running(consumer):
        for begin in range(0, len(events), 360):
            kafka.send(topic, *events[begin : begin + 360])
            wait_until(lambda begin=begin: taken(diary, topic) > begin + 20, "some effects")
            own_valkey.kill()
            own_valkey.start()
        wait_until(lambda: taken(diary, topic) == len(events), "all taken")
        assert has_all(diary, events)
        wait_until(lambda: kafka.committed(name) == ends(kafka, topic), "offsets committed")


@pytest.mark.parametrize("under_load", [True, False])
def test_emptied_it_is_built_anew_by_itself(
    kafka, topic, name, own_valkey: ValkeyServer, diary_in, running, under_load: bool
) -> None:
    """Also when nothing new comes that would show it."""
    diary = diary_in(own_valkey)
    consumer = GroupConsumer(kafka.bootstrap_servers, name, [topic], diary)
    events = posts(30)
    kafka.send(topic, *events)
    with running(consumer), own_valkey.client() as client:
        wait_until(lambda: taken(diary, topic) >= (50 if under_load else len(events)), "effects")
        if not under_load:
            wait_until(lambda: kafka.committed(name) == ends(kafka, topic), "offsets committed")
        client.flushall()
        wait_until(lambda: has_all(diary, events), "all effects once more")
        wait_until(lambda: kafka.committed(name) == ends(kafka, topic), "offsets committed")
        wait_until(lambda: diary.store.has_seen_end(list(ends(kafka, topic))), "the ends")


def test_an_older_projection_catches_up(kafka, topic, diary, store, consumer, running, valkey_server: ValkeyServer, name) -> None:
    """As a Valkey that lost its last second: documents and positions go back together."""
    history = History("100")
    first, second = history.create(), history.update()
    with running(consumer), valkey_server.client() as client:
        kafka.send(topic, first)
        wait_until(lambda: diary.events("100") == [first.id], "the first effect")
        backup = {key: client.get(key) for key in client.scan_iter(f"{name}:1:*")}
        kafka.send(topic, second)
        wait_until(lambda: diary.events("100") == [first.id, second.id], "the second effect")
        client.mset(backup)
        wait_until(lambda: diary.events("100") == [first.id, second.id], "the second effect again")


def test_a_swapped_in_projection_is_gone_on_with(kafka, topic, diary, store, consumer, running) -> None:
    history = History("100")
    first = history.create()
    kafka.send(topic, first)
    with running(consumer):
        wait_until(lambda: diary.events("100") == [first.id], "the first effect")
        # Built by somebody who has read nothing yet.
        store.next_generation().swap()
        assert diary.events("100") == []
        wait_until(lambda: diary.events("100") == [first.id], "the effect in the new one")
        second = history.update()
        kafka.send(topic, second)
        wait_until(lambda: diary.events("100") == [first.id, second.id], "the next effect")


def test_a_record_from_before_a_seek_is_asked_for_anew(consumer, topic, diary, store) -> None:
    """It would leave out all between; when it comes again, there is nothing between."""
    store.begin([(topic, 0)])
    consumer._next = {(topic, 0): 0}
    event = History("100").create()
    message = Message(topic=topic, partition=0, offset=5, key=b"100", value=encode(event))
    with pytest.raises(PositionMoved):
        consumer._take(message)
    assert store.positions([(topic, 0)]) == {(topic, 0): 0}
    consumer._take(message)
    assert diary.events("100") == [event.id]
    assert store.positions([(topic, 0)]) == {(topic, 0): 6}


def test_what_could_not_be_committed_is_committed_when_the_broker_is_back(kafka_at, name, diary, running) -> None:
    """Although nothing new comes that would be a reason to commit."""
    history = History("100")
    events = [history.create(), *(history.update() for _ in range(9))]
    with BrokerProcess() as process:
        kafka = kafka_at(process.bootstrap_servers)
        kafka.create(name)
        kafka.send(name, *events)

        def kill_at_the_last(envelope: Envelope) -> None:
            if envelope.id == events[-1].id:
                process.kill()

        diary.before = kill_at_the_last
        with running(GroupConsumer(kafka.bootstrap_servers, name, [name], diary)):
            wait_until(lambda: diary.events("100") == [event.id for event in events], "all effects")
            process.start()
            wait_until(lambda: sum(kafka.committed(name).values()) == len(events), "offsets committed")


def test_a_log_that_ends_before_the_position_is_read_from_its_beginning(kafka, topic, diary, store, consumer, running) -> None:
    """A broker that came back with another disk: standing still for ever would be worse than reading again."""
    partitions = [(topic, number) for number in range(3)]
    store.begin(partitions)
    for number in range(3):
        store.skip(Step(topic, number, 0, 1000))
    events = posts(2)
    kafka.send(topic, *events)
    with running(consumer):
        wait_until(lambda: has_all(diary, events), "all effects")


def taken(diary, topic: str) -> int:
    """How many records the projection has taken; 0 while its store is gone."""
    try:
        return sum(position or 0 for position in diary.store.positions([(topic, number) for number in range(3)]).values())
    except DependencyDown:
        return 0
