"""Fetch: what is read, how long it is waited for, and what a session leaves unsaid."""

import uuid
from dataclasses import replace
from typing import Any

import pytest
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from broker.protocol.messages.fetch import FetchPartition, FetchRequest, FetchTopic, ForgottenTopic, ReplicaState
from broker.record.batch import iter_batches
from broker.record.records import iter_records

from ..world import Node, batch, running

BY_NAME = 12


def wanted(topic: str, *offsets: int, max_bytes: int = 1 << 20, epoch: int = -1) -> FetchTopic:
    """Partitions 0, 1, … from these offsets on."""
    partitions = [
        FetchPartition(partition=index, fetch_offset=offset, partition_max_bytes=max_bytes, current_leader_epoch=epoch)
        for index, offset in enumerate(offsets)
    ]
    return FetchTopic(topic=topic, partitions=partitions)


def request(*topics: FetchTopic, **options: Any) -> FetchRequest:
    return FetchRequest(**{"max_wait_ms": 0, "min_bytes": 1, "topics": list(topics), **options})


def values(data: Any) -> list[bytes | None]:
    records = bytes(data.records or b"")
    return [record.value for header, one in iter_batches(records) for record in iter_records(one, header)]


def parts(response: Any) -> dict[tuple[str, int], Any]:
    return {(topic.topic, data.partition_index): data for topic in response.responses for data in topic.partitions}


def delete(node: Node, topic: str) -> None:
    node.ask(DeleteTopicsRequest(topics=[DeleteTopicState(name=topic)], timeout_ms=1000))


# Reading.


def test_what_is_there_is_given_at_once(node: Node) -> None:
    node.topic("t", 2)
    node.produce("t", b"a", b"b")
    node.produce("t", b"c")
    found = parts(node.ask(request(wanted("t", 0, 0)), BY_NAME))
    assert values(found["t", 0]) == [b"a", b"b", b"c"]
    assert (found["t", 0].high_watermark, found["t", 0].last_stable_offset, found["t", 0].log_start_offset) == (3, 3, 0)
    assert (values(found["t", 1]), found["t", 1].high_watermark) == ([], 0)


@pytest.mark.parametrize("version", range(4, 19))
def test_every_version(node: Node, version: int) -> None:
    node.topic("t")
    node.produce("t", b"a")
    topic = wanted("t", 0)
    topic.topic_id = node.topic_id("t")
    (answer,) = node.ask(request(topic), version).responses
    assert values(answer.partitions[0]) == [b"a"]
    assert (answer.topic, answer.topic_id) == (("t", uuid.UUID(int=0)) if version < 13 else ("", node.topic_id("t")))


def test_the_batch_that_holds_the_offset_is_given_whole(node: Node) -> None:
    node.topic("t")
    node.produce("t", b"a", b"b", b"c")
    node.produce("t", b"d")
    assert values(parts(node.ask(request(wanted("t", 2)), BY_NAME))["t", 0]) == [b"a", b"b", b"c", b"d"]


@pytest.mark.parametrize(("offset", "code"), [(-1, 1), (4, 1), (3, 0)])
def test_offsets_outside_the_log(node: Node, offset: int, code: int) -> None:
    node.topic("t")
    node.produce("t", b"a", b"b", b"c")
    data = parts(node.ask(request(wanted("t", offset)), BY_NAME))["t", 0]
    assert data.error_code == code
    assert data.high_watermark == (-1 if code else 3)


def test_topics_and_partitions_that_do_not_exist(node: Node) -> None:
    node.topic("t")
    found = parts(node.ask(request(wanted("t", 0, 0), wanted("none", 0)), BY_NAME))
    assert found["t", 0].error_code == ErrorCode.NONE
    assert found["t", 1].error_code == found["none", 0].error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    unknown = FetchTopic(topic_id=uuid.UUID(int=9), partitions=[FetchPartition(partition=0, partition_max_bytes=1)])
    assert node.ask(request(unknown), 13).responses[0].partitions[0].error_code == ErrorCode.UNKNOWN_TOPIC_ID


@pytest.mark.parametrize(("epoch", "code"), [(-1, ErrorCode.NONE), (0, ErrorCode.NONE), (1, ErrorCode.UNKNOWN_LEADER_EPOCH)])
def test_the_leader_epoch_of_the_reader(node: Node, epoch: int, code: ErrorCode) -> None:
    node.topic("t")
    assert parts(node.ask(request(wanted("t", 0, epoch=epoch)), BY_NAME))["t", 0].error_code == code


@pytest.mark.parametrize("version", [11, 15, 18])
def test_a_reader_of_an_old_epoch_is_told_the_leader(node: Node, version: int) -> None:
    node.topic("t")
    partition = node.partition("t")
    assert partition.image is not None
    partition.image = replace(partition.image, leader_epoch=5)
    topic = wanted("t", 0, epoch=4)
    topic.topic_id = node.topic_id("t")
    response = node.ask(request(topic), version)
    data = response.responses[0].partitions[0]
    assert data.error_code == ErrorCode.FENCED_LEADER_EPOCH
    told = version >= 16
    assert data.current_leader.leader_id == (1 if told else -1)
    assert [one.host for one in response.node_endpoints] == (["broker.example"] if told else [])


@pytest.mark.parametrize("version", [12, 18])
def test_who_is_no_replica_is_not_served_as_a_follower(node: Node, version: int) -> None:
    node.topic("t")
    topic = wanted("t", 0)
    topic.topic_id = node.topic_id("t")
    asked = request(topic, replica_id=2) if version < 15 else request(topic, replica_state=ReplicaState(replica_id=2))
    response = node.ask(asked, version)
    assert response.responses[0].partitions[0].error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER


def test_read_committed_is_told_that_nothing_was_aborted(node: Node) -> None:
    node.topic("t")
    node.produce("t", b"a")
    for level, aborted in [(0, None), (1, [])]:
        assert parts(node.ask(request(wanted("t", 0), isolation_level=level), BY_NAME))["t", 0].aborted_transactions == aborted


# How much.


def test_at_least_one_batch_is_given_however_large(node: Node) -> None:
    node.topic("t", 2)
    for index in (0, 1):
        node.produce("t", b"x" * 1000, index=index)
        node.produce("t", b"y", index=index)
    found = parts(node.ask(request(wanted("t", 0, 0, max_bytes=10), max_bytes=10), BY_NAME))
    assert [len(values(found["t", index])) for index in (0, 1)] == [1, 0]
    # Each partition has its own limit, all together have the request's; what was given counts.
    found = parts(node.ask(request(wanted("t", 0, 0, max_bytes=1100), max_bytes=5000), BY_NAME))
    assert [len(values(found["t", index])) for index in (0, 1)] == [1, 1]
    found = parts(node.ask(request(wanted("t", 0, 0), max_bytes=1400), BY_NAME))
    assert [len(values(found["t", index])) for index in (0, 1)] == [2, 0]


@pytest.mark.parametrize("max_bytes", [0, -1, -(2**31)])
def test_limits_below_zero_are_zero(node: Node, max_bytes: int) -> None:
    node.topic("t", 2)
    for index in (0, 1):
        node.produce("t", b"x", index=index)
    found = parts(node.ask(request(wanted("t", 0, 0, max_bytes=max_bytes)), BY_NAME))
    assert [len(values(found["t", index])) for index in (0, 1)] == [1, 0]


def test_the_broker_bounds_an_answer() -> None:
    with running(fetch_max_bytes="1024") as node:
        node.topic("t")
        for _ in range(10):
            node.produce("t", b"x" * 400)
        assert len(values(parts(node.ask(request(wanted("t", 0)), BY_NAME))["t", 0])) == 2


# Waiting.


def waiters(node: Node, topic: str = "t", index: int = 0) -> int:
    return len(node.partition(topic, index).consumers)


def test_it_waits_for_data_and_no_longer(node: Node) -> None:
    node.topic("t")
    asked = node.send(request(wanted("t", 0), max_wait_ms=500), BY_NAME)
    node.pass_time(300)
    assert asked.answers == []
    node.produce("t", b"a")
    node.produce("t", b"b")
    node.pass_time(0)
    assert values(parts(asked.answers[0])["t", 0]) == [b"a", b"b"]
    assert waiters(node) == 0
    node.pass_time(1000)
    assert len(asked.answers) == 1


def test_it_answers_with_nothing_when_the_time_is_over(node: Node) -> None:
    node.topic("t")
    asked = node.send(request(wanted("t", 0), max_wait_ms=500), BY_NAME)
    node.pass_time(499)
    assert asked.answers == []
    node.pass_time(1)
    assert values(parts(asked.answers[0])["t", 0]) == []
    assert waiters(node) == 0


def test_it_waits_for_min_bytes_over_all_partitions(node: Node) -> None:
    node.topic("t", 2)
    size = len(batch(b"x" * 100))
    asked = node.send(request(wanted("t", 0, 0), max_wait_ms=10_000, min_bytes=3 * size), BY_NAME)
    for index in (0, 1):
        node.produce("t", b"x" * 100, index=index)
        node.pass_time(10)
        assert asked.answers == []
    node.produce("t", b"x" * 100)
    node.pass_time(0)
    found = parts(asked.answers[0])
    assert [len(values(found["t", index])) for index in (0, 1)] == [2, 1]
    assert (waiters(node), waiters(node, index=1)) == (0, 0)


def test_more_than_max_bytes_is_not_waited_for(node: Node) -> None:
    node.topic("t")
    node.produce("t", b"x" * 100)
    asked = node.send(request(wanted("t", 0), max_wait_ms=10_000, min_bytes=1_000_000, max_bytes=120), BY_NAME)
    assert values(parts(asked.answers[0])["t", 0]) == [b"x" * 100]


def test_min_bytes_are_not_read_again_with_every_append(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node.topic("t")
    partition = node.partition("t")
    reads: list[int] = []
    read = partition.read

    def counted(offset: int, max_bytes: int, *, at_least_one: bool) -> Any:
        reads.append(offset)
        return read(offset, max_bytes, at_least_one=at_least_one)

    monkeypatch.setattr(partition, "read", counted)
    asked = node.send(request(wanted("t", 0), max_wait_ms=60_000, min_bytes=100_000), BY_NAME)
    for _ in range(120):
        node.produce("t", b"x" * 1000)
        node.pass_time(1)
    assert len(values(parts(asked.answers[0])["t", 0])) >= 94
    assert len(reads) <= 3


def test_an_error_is_not_waited_with(node: Node) -> None:
    node.topic("t", 2)
    asked = node.send(request(wanted("t", 0, 9), max_wait_ms=10_000), BY_NAME)
    assert parts(asked.answers[0])["t", 1].error_code == ErrorCode.OFFSET_OUT_OF_RANGE


def test_what_does_not_exist_hurries_nobody_who_waits_for_something_else(node: Node) -> None:
    """As in Kafka: else a consumer of two topics would ask in a circle when one of them is deleted."""
    node.topic("t")
    asked = node.send(request(wanted("t", 0), wanted("none", 0), max_wait_ms=500), BY_NAME)
    node.pass_time(499)
    assert asked.answers == []
    node.pass_time(1)
    assert parts(asked.answers[0])["none", 0].error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    alone = node.send(request(wanted("none", 0), max_wait_ms=500), BY_NAME)
    assert len(alone.answers) == 1
    assert len(node.send(request(max_wait_ms=500), BY_NAME).answers) == 1


def test_a_topic_deleted_meanwhile_is_told_at_once(node: Node) -> None:
    node.topic("t")
    node.topic("u")
    asked = node.send(request(wanted("t", 0), wanted("u", 0), max_wait_ms=60_000), BY_NAME)
    before = node.clock.now_ms
    delete(node, "t")
    node.until(lambda: bool(asked.answers))
    assert node.clock.now_ms - before < 1000
    found = parts(asked.answers[0])
    assert found["t", 0].error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert found["u", 0].error_code == ErrorCode.NONE
    assert waiters(node, "u") == 0


def test_a_topic_made_anew_meanwhile_is_another(node: Node) -> None:
    node.topic("t")
    topic = wanted("t", 0)
    topic.topic_id = node.topic_id("t")
    asked = node.send(request(topic, max_wait_ms=60_000), 13)
    delete(node, "t")
    node.topic("t")
    node.until(lambda: bool(asked.answers))
    assert asked.answers[0].responses[0].partitions[0].error_code == ErrorCode.UNKNOWN_TOPIC_ID  # type: ignore[attr-defined]


def test_nothing_is_left_when_the_client_goes(node: Node) -> None:
    node.topic("t")
    timers = node.clock.next_ms()
    asked = node.send(request(wanted("t", 0), max_wait_ms=1), BY_NAME)
    assert waiters(node) == 1
    assert asked.context.abandon is not None
    asked.context.abandon()
    assert (waiters(node), node.clock.next_ms()) == (0, timers)
    node.produce("t", b"a")
    node.pass_time(1000)
    assert asked.answers == []


def test_nobody_waits_for_longer_than_five_minutes(node: Node) -> None:
    node.topic("t")
    asked = node.send(request(wanted("t", 0), max_wait_ms=2**31 - 1), BY_NAME)
    node.pass_time(5 * 60_000)
    assert len(asked.answers) == 1


# Sessions (KIP-227).


def opened(node: Node, *topics: FetchTopic, version: int = BY_NAME) -> int:
    response = node.ask(request(*topics, session_epoch=0), version)
    assert response.session_id > 0
    return int(response.session_id)


def test_a_session_leaves_unsaid_what_did_not_change(node: Node) -> None:
    node.topic("t", 2)
    session = opened(node, wanted("t", 0, 0))
    assert parts(node.ask(request(session_id=session, session_epoch=1), BY_NAME)) == {}
    node.produce("t", b"a")
    found = node.ask(request(session_id=session, session_epoch=2), BY_NAME)
    assert found.session_id == session
    assert {key: values(data) for key, data in parts(found).items()} == {("t", 0): [b"a"]}
    # The reader has gone on; nothing is new then.
    assert parts(node.ask(request(wanted("t", 1), session_id=session, session_epoch=3), BY_NAME)) == {}
    # It says again where it stands: that alone is no news.
    assert parts(node.ask(request(wanted("t", 1), session_id=session, session_epoch=4), BY_NAME)) == {}


def test_a_session_takes_partitions_and_gives_them_up(node: Node) -> None:
    node.topic("t", 2)
    node.topic("u")
    session = opened(node, wanted("t", 0))
    for topic in ("t", "u"):
        node.produce(topic, b"a")
    added = node.ask(request(wanted("u", 0), session_id=session, session_epoch=1), BY_NAME)
    assert set(parts(added)) == {("t", 0), ("u", 0)}
    forgotten = [ForgottenTopic(topic="t", partitions=[0])]
    left = node.ask(request(session_id=session, session_epoch=2, forgotten_topics_data=forgotten), BY_NAME)
    assert set(parts(left)) == {("u", 0)}
    # Without partitions there is no session.
    forgotten = [ForgottenTopic(topic="u", partitions=[0])]
    last = node.ask(request(session_id=session, session_epoch=3, forgotten_topics_data=forgotten), BY_NAME)
    assert (last.session_id, last.responses) == (0, [])
    gone = node.ask(request(session_id=session, session_epoch=4), BY_NAME)
    assert gone.error_code == ErrorCode.FETCH_SESSION_ID_NOT_FOUND


def test_who_asks_in_another_leader_epoch_is_told_the_high_watermark_again(node: Node) -> None:
    node.topic("t")
    node.produce("t", b"a")
    session = opened(node, wanted("t", 1))
    same = node.ask(request(wanted("t", 1), session_id=session, session_epoch=1), BY_NAME)
    assert parts(same) == {}
    other = node.ask(request(wanted("t", 1, epoch=0), session_id=session, session_epoch=2), BY_NAME)
    assert parts(other)["t", 0].high_watermark == 1


def test_a_session_knows_its_epoch_and_its_names(node: Node) -> None:
    node.topic("t")
    session = opened(node, wanted("t", 0))
    for epoch in (2, 5):
        wrong = node.ask(request(session_id=session, session_epoch=epoch), BY_NAME)
        assert wrong.error_code == ErrorCode.INVALID_FETCH_SESSION_EPOCH
    assert node.ask(request(session_id=session, session_epoch=1), 13).error_code == ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR
    assert node.ask(request(session_id=session, session_epoch=1), BY_NAME).error_code == ErrorCode.NONE
    assert node.ask(request(session_id=7, session_epoch=1), BY_NAME).error_code == ErrorCode.FETCH_SESSION_ID_NOT_FOUND


def test_errors_are_told_as_long_as_they_last_and_their_end_too(node: Node) -> None:
    node.topic("t")
    session = opened(node, wanted("t", 0), wanted("u", 0))
    for epoch in (1, 2):
        found = parts(node.ask(request(session_id=session, session_epoch=epoch), BY_NAME))
        assert {key: data.error_code for key, data in found.items()} == {("u", 0): ErrorCode.UNKNOWN_TOPIC_OR_PARTITION}
    node.topic("u")
    found = parts(node.ask(request(session_id=session, session_epoch=3), BY_NAME))
    assert {key: data.error_code for key, data in found.items()} == {("u", 0): ErrorCode.NONE}
    assert parts(node.ask(request(session_id=session, session_epoch=4), BY_NAME)) == {}


def test_a_log_that_lost_its_start_is_news(node: Node) -> None:
    node.topic("t")
    node.produce("t", b"a", b"b")
    session = opened(node, wanted("t", 2))
    node.partition("t").log.log_start_offset = 1
    found = parts(node.ask(request(session_id=session, session_epoch=1), BY_NAME))
    assert found["t", 0].log_start_offset == 1
    assert parts(node.ask(request(session_id=session, session_epoch=2), BY_NAME)) == {}


def test_no_partition_of_a_session_starves(node: Node) -> None:
    node.topic("t", 3)
    for index in range(3):
        for _ in range(3):
            node.produce("t", b"x" * 1000, index=index)
    session = opened(node, wanted("t", 0, 0, 0))
    served = []
    for epoch in range(1, 4):
        found = parts(node.ask(request(session_id=session, session_epoch=epoch, max_bytes=1500), BY_NAME))
        served.append([index for (_, index), data in found.items() if values(data)])
    assert sorted(index for one in served for index in one) == [0, 1, 2]


def test_a_session_ends_when_it_is_told_to(node: Node) -> None:
    node.topic("t")
    session = opened(node, wanted("t", 0))
    closing = node.ask(request(wanted("t", 0), session_id=session, session_epoch=-1), BY_NAME)
    assert (closing.session_id, len(closing.responses)) == (0, 1)
    assert len(node.services.fetch_sessions) == 0
    first = opened(node, wanted("t", 0))
    # A new full fetch takes the place of the old session.
    again = node.ask(request(wanted("t", 0), session_id=first, session_epoch=0), BY_NAME)
    assert again.session_id not in (0, first)
    assert len(node.services.fetch_sessions) == 1


def test_old_versions_have_no_sessions(node: Node) -> None:
    node.topic("t")
    assert node.ask(request(wanted("t", 0)), 6).responses[0].partitions[0].error_code == ErrorCode.NONE
    assert len(node.services.fetch_sessions) == 0


def test_without_room_a_full_fetch_is_answered_without_a_session() -> None:
    with running(max_incremental_fetch_session_cache_slots="1") as node:
        node.topic("t")
        opened(node, wanted("t", 0))
        assert node.ask(request(wanted("t", 0), session_epoch=0), BY_NAME).session_id == 0


def test_a_session_waits_as_well(node: Node) -> None:
    node.topic("t")
    session = opened(node, wanted("t", 0))
    asked = node.send(request(session_id=session, session_epoch=1, max_wait_ms=500), BY_NAME)
    node.produce("t", b"a")
    node.pass_time(0)
    assert values(parts(asked.answers[0])["t", 0]) == [b"a"]
