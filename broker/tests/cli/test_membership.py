"""Members of a group: joining, sharing, rebalancing, committing, leaving."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace

import pytest
from broker.cli import membership as module
from broker.cli.cluster import Cluster
from broker.cli.failures import Unavailable
from broker.cli.groups import describe_group
from broker.cli.membership import Member, MemberSettings, Rejoin
from broker.cli.offsets import TopicPartition
from broker.protocol.errors import ErrorCode, KafkaError

from .conftest import Fresh, MakeTopic

QUICK = MemberSettings(session_timeout_ms=5000, heartbeat_interval_ms=0, max_poll_interval_ms=10_000)
Join = Callable[..., Member]


@pytest.fixture
def topic(make_topic: MakeTopic) -> str:
    return make_topic(4)


@pytest.fixture
def group(fresh: Fresh) -> str:
    return fresh("members")


@pytest.fixture
def make(bootstrap: str, group: str) -> Iterator[Join]:
    """Members with connections of their own, as processes have them."""
    clusters: list[Cluster] = []

    def make_member(settings: MemberSettings = QUICK) -> Member:
        cluster = Cluster(bootstrap, "tests")
        clusters.append(cluster)

        def counts(topics: set[str]) -> Mapping[str, int]:
            return {found.name or "": len(found.partitions) for found in cluster.metadata(sorted(topics)).topics}

        return Member(cluster, group, settings, counts)

    yield make_member
    for cluster in clusters:
        cluster.close()


class Living:
    """A member in a thread that beats and joins again, as a process does; `share` is what it has."""

    def __init__(self, member: Member, topic: str) -> None:
        self.member, self.share = member, list[TopicPartition]()
        self._topic, self._stop = topic, threading.Event()
        self._thread = threading.Thread(target=self._live)
        self._thread.start()

    def _live(self) -> None:
        while not self._stop.is_set():
            try:
                self.share = self.member.join({self._topic})
                while not self._stop.wait(0.02):
                    self.member.beat()
            except Rejoin:
                self.share = []
        self.member.leave()

    def end(self) -> None:
        self._stop.set()
        self._thread.join(60)


def wait_for_rejoin(member: Member) -> None:
    deadline = time.monotonic() + 30
    with pytest.raises(Rejoin):  # noqa: PT012 - until the coordinator says so
        while time.monotonic() < deadline:
            member.beat()
            time.sleep(0.01)


def test_alone_it_gets_everything(make: Join, topic: str) -> None:
    member = make()
    assert not member.joined
    assert member.join({topic}) == [(topic, index) for index in range(4)]
    assert member.joined
    assert member.leads
    member.beat()
    member.leave()
    assert not member.joined


def test_two_share_and_one_that_leaves_is_replaced(make: Join, topic: str) -> None:
    first, second = make(), make()
    first.join({topic})
    thread = threading.Thread(target=lambda: second.join({topic}))
    thread.start()
    wait_for_rejoin(first)
    mine = first.join({topic})
    thread.join(60)
    assert len(mine) == 2
    assert [first.leads, second.leads].count(True) == 1
    second.leave()
    wait_for_rejoin(first)
    assert len(first.join({topic})) == 4


def test_all_partitions_are_given_once(make: Join, topic: str) -> None:
    living = [Living(make(), topic) for _ in range(3)]
    deadline = time.monotonic() + 60
    try:
        while sorted(part for one in living for part in one.share) != [(topic, index) for index in range(4)] or any(
            not one.share for one in living
        ):
            assert time.monotonic() < deadline, [one.share for one in living]
            time.sleep(0.02)
        assert sorted(len(one.share) for one in living) == [1, 1, 2]
        assert [one.member.leads for one in living].count(True) == 1
    finally:
        for one in living:
            one.end()


def test_offsets_are_committed_in_a_generation(make: Join, cluster: Cluster, topic: str) -> None:
    member = make()
    member.join({topic})
    member.commit({(topic, 0): 5})
    assert member.committed() == {(topic, 0): 5}
    member._generation_id += 1
    with pytest.raises(Rejoin):
        member.commit({(topic, 0): 6})
    assert not member.joined
    assert member.committed() == {(topic, 0): 5}


def test_a_member_that_was_thrown_out_joins_as_somebody_new(make: Join, topic: str) -> None:
    member = make()
    member.join({topic})
    member._member_id = "nobody"
    with pytest.raises(Rejoin):
        member.beat()
    assert len(member.join({topic})) in (0, 2, 4)
    assert member.joined


def test_a_static_member_stays_when_it_leaves(make: Join, cluster: Cluster, group: str, topic: str) -> None:
    member = make(QUICK._replace(group_instance_id="one"))
    member.join({topic})
    member.leave()
    (found,) = describe_group(cluster, group).members
    assert found.instance_id == "one"
    again = make(QUICK._replace(group_instance_id="one"))
    assert len(again.join({topic})) == 4
    with pytest.raises(KafkaError, match=r"group\.instance\.id over") as raised:
        member.beat()
    assert raised.value.code is ErrorCode.FENCED_INSTANCE_ID


def test_a_group_that_does_not_take_it(make: Join, group: str, topic: str) -> None:
    with pytest.raises(KafkaError, match="session timeout is not within the range") as raised:
        make(QUICK._replace(session_timeout_ms=1)).join({topic})
    assert raised.value.message is not None
    assert raised.value.message.startswith(f"group '{group}': ")


def test_heartbeats_are_sent_when_they_are_due(make: Join, topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    # Only the member's time, not that of the broker in this process.
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now, sleep=time.sleep))
    member = make(QUICK._replace(heartbeat_interval_ms=3000))
    member.join({topic})
    asked: list[object] = []
    monkeypatch.setattr(member, "_ask", lambda request, *rest: asked.append(request()))
    for now in (1000.0, 1002.9, 1003.0, 1003.1, 1005.9, 1006.0):  # noqa: B007 - the clock reads it
        member.beat()
    assert len(asked) == 2


def test_a_coordinator_that_is_away(make: Join, topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    member = make()
    member.join({topic})
    failures: list[Exception] = [Unavailable("it restarts"), Unavailable("it restarts")]
    coordinator = Cluster.coordinator

    def failing(self: Cluster, group: str) -> object:
        if failures:
            raise failures.pop(0)
        return coordinator(self, group)

    monkeypatch.setattr(Cluster, "coordinator", failing)
    member.beat()
    monkeypatch.setattr(module, "UNAVAILABLE_S", -1.0)
    failures.append(Unavailable("it is gone"))
    with pytest.raises(Unavailable, match="it is gone"):
        member.beat()
    failures.append(Unavailable("it is gone"))
    member.leave()
    assert not member.joined
