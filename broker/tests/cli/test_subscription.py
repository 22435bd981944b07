"""A group's share of some topics: what is committed when, and how a member keeps up."""

import time
from collections.abc import Callable, Iterator

import pytest
from broker.cli.cluster import Cluster
from broker.cli.fetcher import Fetcher, FetcherSettings
from broker.cli.group_offsets import committed
from broker.cli.membership import MemberSettings
from broker.cli.subscription import GroupShare, OnePartition

from .conftest import Fresh, MakeTopic, Run

QUICK = MemberSettings(session_timeout_ms=5000, heartbeat_interval_ms=100, max_poll_interval_ms=10_000)
EARLIEST = FetcherSettings(auto_offset_reset="earliest")
Share = Callable[..., GroupShare]


@pytest.fixture
def group(fresh: Fresh) -> str:
    return fresh("share")


@pytest.fixture
def share(bootstrap: str, group: str) -> Iterator[Share]:
    clusters: list[Cluster] = []

    def make(topics: set[str], commit_interval_ms: int | None = 600_000, metadata_max_age_ms: int = 600_000) -> GroupShare:
        cluster = Cluster(bootstrap, "tests")
        clusters.append(cluster)
        return GroupShare(
            cluster,
            group,
            QUICK,
            Fetcher(cluster, EARLIEST),
            lambda: set(topics),
            commit_interval_ms=commit_interval_ms,
            metadata_max_age_ms=metadata_max_age_ms,
        )

    yield make
    for cluster in clusters:
        cluster.close()


def fill(run: Run, topic: str, count: int) -> None:
    lines = b"".join(b"%d\n" % number for number in range(count))
    assert run("console-producer", "--topic", topic, stdin=lines).status == 0


def poll_until(source: GroupShare, count: int) -> list[bytes | None]:
    found: list[bytes | None] = []
    deadline = time.monotonic() + 60
    while len(found) < count:
        assert time.monotonic() < deadline, found
        found += [consumed.record.value for consumed in source.poll(50)]
    return found


def offsets(cluster: Cluster, group: str) -> list[int]:
    return sorted(one.offset for one in committed(cluster, group).values())


def test_one_partition_without_a_group(cluster: Cluster, run: Run, make_topic: MakeTopic) -> None:
    topic = make_topic(2)
    fill(run, topic, 3)
    found = []
    for index in (0, 1):
        source = OnePartition(Fetcher(cluster, EARLIEST), (topic, index), None)
        found += [consumed.record.value for consumed in source.poll(10)]
        source.close()
    assert found == [b"0", b"1", b"2"]


def test_what_was_taken_is_committed_at_the_end(
    cluster: Cluster, run: Run, make_topic: MakeTopic, share: Share, group: str
) -> None:
    topic = make_topic()
    fill(run, topic, 10)
    source = share({topic})
    polled: Iterator[object] = iter(())
    while not (taken := next(polled, None)):
        polled = source.poll(50)
    assert taken
    next(polled)
    assert offsets(cluster, group) == []
    source.close()
    assert offsets(cluster, group) == [2]
    again = share({topic})
    assert poll_until(again, 8) == [b"%d" % number for number in range(2, 10)]
    again.close()
    assert offsets(cluster, group) == [10]


def test_commits_on_the_way(cluster: Cluster, run: Run, make_topic: MakeTopic, share: Share, group: str) -> None:
    topic = make_topic()
    fill(run, topic, 3)
    source = share({topic}, commit_interval_ms=0)
    poll_until(source, 3)
    list(source.poll(1))
    assert offsets(cluster, group) == [3]
    source.close()


def test_no_commits_when_they_are_off(cluster: Cluster, run: Run, make_topic: MakeTopic, share: Share, group: str) -> None:
    topic = make_topic()
    fill(run, topic, 3)
    source = share({topic}, commit_interval_ms=None)
    poll_until(source, 3)
    source.close()
    assert offsets(cluster, group) == []


def test_a_second_member_takes_over_where_the_first_was(
    cluster: Cluster, run: Run, make_topic: MakeTopic, share: Share, group: str
) -> None:
    """In a rebalance offsets are committed before the partitions go: nothing is read twice or left out."""
    topic = make_topic()
    fill(run, topic, 5)
    first, second = share({topic}), share({topic})
    assert len(poll_until(first, 5)) == 5
    first.close()
    fill(run, topic, 3)
    assert poll_until(second, 3) == [b"0", b"1", b"2"]
    second.close()
    assert offsets(cluster, group) == [8]


def test_new_partitions_are_seen(run: Run, make_topic: MakeTopic, share: Share) -> None:
    topic = make_topic()
    source = share({topic}, metadata_max_age_ms=1)
    fill(run, topic, 1)
    assert poll_until(source, 1) == [b"0"]
    assert run("topics", "--alter", "--topic", topic, "--partitions", "2").status == 0
    keyed = b"".join(b"key-%d\tnew\n" % number for number in range(20))
    assert run("console-producer", "--topic", topic, "--property", "parse.key=true", stdin=keyed).status == 0
    assert set(poll_until(source, 20)) == {b"new"}
    assert source._fetcher.positions.keys() == {(topic, 0), (topic, 1)}
    source.close()


def test_topics_that_come_to_match_later(run: Run, make_topic: MakeTopic, bootstrap: str, group: str) -> None:
    topic = make_topic()
    fill(run, topic, 2)
    wanted: set[str] = set()
    with Cluster(bootstrap, "tests") as cluster:
        source = GroupShare(
            cluster,
            group,
            QUICK,
            Fetcher(cluster, EARLIEST),
            lambda: set(wanted),
            commit_interval_ms=None,
            metadata_max_age_ms=1,
        )
        assert list(source.poll(1)) == []
        wanted.add(topic)
        assert poll_until(source, 2) == [b"0", b"1"]
        source.close()
