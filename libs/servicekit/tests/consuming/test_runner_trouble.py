"""The consumer of a group in trouble: its store is gone, emptied or another, its broker dies, its log is not what it was."""

import time

import pytest
from board_events import History, posts
from broker.testing import BrokerProcess
from confluent_kafka import KafkaError, Message, TopicPartition
from events.envelope import Envelope, encode
from peers.valkey import ValkeyServer
from servicekit.consuming import runner
from servicekit.consuming.positions import PositionMoved, Step
from servicekit.consuming.runner import GroupConsumer
from waiting import wait_until


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
        wait_until(lambda: diary.has_all(events), "the first effects")
        members = kafka.members(name)
        own_valkey.kill()
        more = posts(2)
        kafka.send(topic, *more)
        wait_until(lambda: "valkey" in (consumer.problem() or ""), "the trouble to be told")
        time.sleep(runner.SESSION_TIMEOUT_MS / 1000 + 2)
        assert kafka.members(name) == members
        own_valkey.start()
        wait_until(lambda: diary.has_all(events + more), "the rest")
        assert kafka.members(name) == members
        wait_until(lambda: consumer.problem() is None, "no problem")
        wait_until(lambda: kafka.committed(name) == kafka.ends(topic), "offsets committed")
    assert sum(kafka.ends(f"{topic}.{name}.dlt").values()) == 0


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
        wait_until(lambda: diary.has_all(events), "the effects")


def test_killed_under_load_valkey_comes_back_and_nothing_is_lost_or_twice(
    kafka, topic, name, own_valkey: ValkeyServer, diary_in, running
) -> None:
    diary = diary_in(own_valkey)
    consumer = GroupConsumer(kafka.bootstrap_servers, name, [topic], diary)
    events = posts(90)
    with running(consumer):
        for begin in range(0, len(events), 360):
            kafka.send(topic, *events[begin : begin + 360])
            wait_until(lambda begin=begin: diary.taken(topic) > begin + 20, "some effects")
            own_valkey.kill()
            own_valkey.start()
        wait_until(lambda: diary.taken(topic) == len(events), "all taken")
        assert diary.has_all(events)
        wait_until(lambda: kafka.committed(name) == kafka.ends(topic), "offsets committed")


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
        wait_until(lambda: diary.taken(topic) >= (50 if under_load else len(events)), "effects")
        if not under_load:
            wait_until(lambda: kafka.committed(name) == kafka.ends(topic), "offsets committed")
        client.flushall()
        wait_until(lambda: diary.has_all(events), "all effects once more")
        wait_until(lambda: kafka.committed(name) == kafka.ends(topic), "offsets committed")
        wait_until(lambda: diary.store.has_seen_end(list(kafka.ends(topic))), "the ends")


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
        wait_until(lambda: diary.has_all(events), "all effects")


def test_a_commit_that_was_refused_is_made_again(consumer, topic) -> None:
    """Unless the partition is another's by now."""
    consumer._next = {(topic, 0): 5}
    refusal = KafkaError(KafkaError.REBALANCE_IN_PROGRESS)
    consumer._told_of_commit(refusal, [TopicPartition(topic, 0, 5), TopicPartition(topic, 1, 7)])
    assert consumer._uncommitted == {(topic, 0)}
    consumer._uncommitted.clear()
    consumer._told_of_commit(None, [TopicPartition(topic, 0, 5)])
    assert consumer._uncommitted == set()


def test_one_commit_at_a_time_tells_where_things_stand_by_then(consumer, topic) -> None:
    """While the coordinator moves, those that wait would be sent one by one."""
    sent: list[dict[int, int]] = []

    class Kafka:
        def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> None:
            sent.append({p.partition: p.offset for p in offsets})

    def stand(partition: int, offset: int, *, asynchronous: bool = True) -> None:
        consumer._next[topic, partition] = offset
        consumer._uncommitted.add((topic, partition))
        consumer._commit(Kafka(), consumer._next, asynchronous=asynchronous)

    stand(0, 5)
    stand(0, 6)
    stand(1, 7)
    assert sent == [{0: 5}]
    consumer._told_of_commit(None, [TopicPartition(topic, 0, 5)])
    consumer._commit(Kafka(), consumer._next, asynchronous=True)
    assert sent == [{0: 5}, {0: 6, 1: 7}]
    # What is revoked is told at once, whatever is under way.
    stand(1, 8, asynchronous=False)
    assert sent[2:] == [{1: 8}]
