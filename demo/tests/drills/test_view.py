"""What is said of a cluster: only what changed, within a bound, and that nobody answers as well."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from demo.drills import view
from demo.drills.view import OFFSETS_TOPIC, ClusterView, Look, PartitionState
from demo.groups import BrokerSilent, GroupRow
from demo.layout import DemoError
from demo.terminal import Terminal

WHOLE = PartitionState(1, (1, 2, 3), (1, 2, 3))
MOVED = PartitionState(2, (2, 3), (1, 2, 3))
PARTITION = ("article-topic", 0)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> ClusterView:
    monkeypatch.setattr(view, "POLL_SECONDS", 0.0)
    # Never connected: the looks are given.
    return ClusterView("127.0.0.1:1", Terminal())


def show(cluster: ClusterView, monkeypatch: pytest.MonkeyPatch, *looks: Look) -> None:
    """These looks, one after the other, and then the last one again and again."""
    left: Iterator[Look] = iter(looks)
    monkeypatch.setattr(cluster, "look", lambda: next(left, looks[-1]))


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Without the time before each line."""
    return [line.split(" s  ", 1)[1] for line in capsys.readouterr().out.splitlines()]


def test_differences_alone_are_said(
    cluster: ClusterView, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = ("article-topic", 1)
    whole = Look((1, 2, 3), {PARTITION: WHOLE, other: WHOLE})
    show(cluster, monkeypatch, whole, whole, Look((2, 3), {PARTITION: MOVED, other: WHOLE}), Look((2, 3), {PARTITION: WHOLE}))
    cluster.tell_changes()
    assert said(capsys) == [
        "brokers: 1, 2, 3",
        "article-topic 0: leader 1 ISR 1,2,3",
        "article-topic 1: leader 1 ISR 1,2,3",
    ]
    cluster.tell_changes()
    assert said(capsys) == []
    cluster.tell_changes()
    assert said(capsys) == ["brokers: 2, 3", "article-topic 0: leader 2 ISR 2,3"]
    cluster.tell_changes()
    assert said(capsys) == ["article-topic 0: leader 1 ISR 1,2,3"]


def test_the_many_partitions_of_the_offsets_are_one_line(
    cluster: ClusterView, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = (Look((), {(OFFSETS_TOPIC, number): state for number in range(50)}) for state in (WHOLE, MOVED))
    show(cluster, monkeypatch, before, after)
    cluster.tell_changes()
    assert said(capsys) == []
    cluster.tell_changes()
    assert said(capsys) == [f"{OFFSETS_TOPIC}: 50 partitions have another leader or ISR"]


def test_silence_is_said_once_and_then_what_is_different_from_before(
    cluster: ClusterView, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {PARTITION: WHOLE, ("article-topic", 1): WHOLE}
    after = before | {PARTITION: PartitionState(-1, (), (1, 2, 3))}
    show(cluster, monkeypatch, Look((1,), before), Look(silent=True), Look(silent=True), Look((1,), after))
    cluster.tell_changes()
    said(capsys)
    for _ in range(3):
        cluster.tell_changes()
    assert said(capsys) == ["no broker answers", "the brokers answer again", "article-topic 0: leader none ISR none"]


@pytest.mark.parametrize(
    ("look", "in_sync"),
    [
        (Look((1, 2, 3), {PARTITION: WHOLE}), True),
        (Look((1, 2, 3), {PARTITION: WHOLE, ("comment-topic", 0): MOVED}), False),
        (Look((1, 2, 3), {PARTITION: PartitionState(-1, (1, 2, 3), (1, 2, 3))}), False),
        (Look((1, 2, 3), {}), False),
        (Look(silent=True), False),
    ],
)
def test_in_sync_is_a_leader_and_a_whole_isr_everywhere(look: Look, in_sync: bool) -> None:
    assert look.in_sync is in_sync


def test_watching_ends_when_it_is_so(cluster: ClusterView, monkeypatch: pytest.MonkeyPatch) -> None:
    show(cluster, monkeypatch, Look(silent=True), Look((1,), {PARTITION: MOVED}), Look((1,), {PARTITION: WHOLE}))
    cluster.watch(lambda look: look.in_sync, 30, "every replica in the ISR")


def test_watching_has_a_bound(cluster: ClusterView, monkeypatch: pytest.MonkeyPatch) -> None:
    show(cluster, monkeypatch, Look((1,), {PARTITION: MOVED}))
    with pytest.raises(DemoError, match=r"after 0 s every replica in the ISR is still not so; look at ./board status"):
        cluster.watch(lambda look: look.in_sync, 0, "every replica in the ISR")


def test_a_look_takes_the_boards_topics_and_the_offsets(cluster: ClusterView, monkeypatch: pytest.MonkeyPatch) -> None:
    def topic(leader: int) -> SimpleNamespace:
        return SimpleNamespace(partitions={0: SimpleNamespace(leader=leader, isrs=[3, 1], replicas=[3, 1, 2])})

    names = {"article-topic": topic(3), OFFSETS_TOPIC: topic(-1), "of-somebody-else": topic(1)}
    answer = SimpleNamespace(brokers={3: None, 1: None}, topics=names)
    monkeypatch.setattr(cluster, "_admin", SimpleNamespace(list_topics=lambda timeout: answer))
    assert cluster.look() == Look(
        (1, 3), {PARTITION: PartitionState(3, (1, 3), (3, 1, 2)), (OFFSETS_TOPIC, 0): PartitionState(-1, (1, 3), (3, 1, 2))}
    )


def test_a_look_at_nobody_is_silence(cluster: ClusterView, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(timeout: float) -> Any:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    monkeypatch.setattr(cluster, "_admin", SimpleNamespace(list_topics=fail))
    assert cluster.look() == Look(silent=True)


def lags(monkeypatch: pytest.MonkeyPatch, *values: int | None) -> None:
    """Of one partition, beside one that has no committed offset; None: nobody answers."""
    left = iter(values)

    def rows(bootstrap_servers: str) -> list[GroupRow]:
        lag = next(left, values[-1])
        if lag is None:
            raise BrokerSilent("nobody")
        return [
            GroupRow("popular", "article-topic", 0, 10, 10 + lag, None, None),
            GroupRow("popular", "article-topic", 1, None, 0, None, None),
        ]

    monkeypatch.setattr(view, "group_rows", rows)


def test_the_lag_is_said_when_it_changes_until_it_is_gone(
    cluster: ClusterView, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lags(monkeypatch, 20, 20, None, None, 7, 0)
    cluster.watch_lag(30)
    assert said(capsys) == ["lag 20", "lag unknown", "lag 7", "lag 0"]


@pytest.mark.parametrize("lag", [3, None])
def test_a_lag_that_stays_is_an_error(cluster: ClusterView, monkeypatch: pytest.MonkeyPatch, lag: int | None) -> None:
    lags(monkeypatch, lag)
    with pytest.raises(DemoError, match="after 0 s the groups have not caught up"):
        cluster.watch_lag(0)
