"""Offsets by time."""

import pytest
from broker.cli.cluster import Cluster
from broker.cli.offsets import EARLIEST, LATEST, MAX_TIMESTAMP, by_leader, list_offsets
from broker.protocol.errors import KafkaError

from .conftest import MakeTopic, Run


def test_ends_and_times(cluster: Cluster, run: Run, make_topic: MakeTopic) -> None:
    topic = make_topic(2)
    run("console-producer", "--topic", topic, "--property", "parse.key=true", stdin=b"k\t1\nk\t2\nk\t3\n")
    partitions = [(topic, 0), (topic, 1)]
    assert sorted(list_offsets(cluster, partitions, LATEST).values()) == [0, 3]
    assert set(list_offsets(cluster, partitions, EARLIEST).values()) == {0}
    assert sorted(list_offsets(cluster, partitions, 0).values()) == [-1, 0]
    assert set(list_offsets(cluster, partitions, 2**62).values()) == {-1}
    assert max(list_offsets(cluster, partitions, MAX_TIMESTAMP).values()) in (0, 1, 2)


def test_nothing_is_asked_for_nothing() -> None:
    with Cluster("127.0.0.1:1", "tests") as unreachable:
        assert list_offsets(unreachable, [], LATEST) == {}


def test_what_is_not_there_is_named(cluster: Cluster, make_topic: MakeTopic) -> None:
    topic = make_topic(2)
    with pytest.raises(KafkaError, match=f"topic '{topic}' has no partition 5, it has 2 from 0 on"):
        list_offsets(cluster, [(topic, 5)], LATEST)
    with pytest.raises(KafkaError, match="topic 'nowhere' does not exist"):
        list_offsets(cluster, [("nowhere", 0)], LATEST)


def test_partitions_by_their_leaders() -> None:
    leaders = {"a": {0: 1, 1: 2}, "b": {0: 1, 1: -1}}
    assert by_leader([("a", 0), ("a", 1), ("b", 0)], leaders) == {1: {"a": [0], "b": [0]}, 2: {"a": [1]}}
    with pytest.raises(KafkaError, match="b-1 has no leader"):
        by_leader([("b", 1)], leaders)
