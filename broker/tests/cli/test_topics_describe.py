"""What `--describe` shows and what it leaves out."""

import argparse
from collections.abc import Sequence

import pytest
from broker.cli import topics_describe
from broker.cli.cluster import Cluster
from broker.cli.topics_describe import describe
from broker.protocol.messages.describe_configs import DescribeConfigsResourceResult
from broker.protocol.messages.describe_topic_partitions import (
    DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
)

from .conftest import MakeTopic, Run

REPORTS = ("unavailable_partitions", "under_replicated_partitions", "under_min_isr_partitions", "at_min_isr_partitions")


def test_a_line_for_the_topic_and_one_for_each_partition(run: Run, make_topic: MakeTopic) -> None:
    name = make_topic(2)
    topic, *partitions = run("topics", "--describe", "--topic", name).out.splitlines()
    assert topic.startswith(f"Topic: {name}\tTopicId: ")
    assert topic.endswith("\tPartitionCount: 2\tReplicationFactor: 1\tConfigs: min.insync.replicas=1")
    assert partitions == [
        f"\tTopic: {name}\tPartition: {index}\tLeader: 1\tReplicas: 1\tIsr: 1\tElr: \tLastKnownElr: " for index in (0, 1)
    ]


def test_settings_that_are_no_defaults(run: Run, make_topic: MakeTopic) -> None:
    """The minimum of the whole cluster is one (KIP-966), so Kafka's tool counts every topic among those with overrides."""
    plain, own = make_topic(1), make_topic(1, "--config", "segment.bytes=1048576")
    lines = run("topics", "--describe", "--topics-with-overrides", "--topic", f"{plain}|{own}").lines
    shown = {line.split()[1]: line.rpartition("Configs: ")[2] for line in lines}
    assert shown == {plain: "min.insync.replicas=1", own: "min.insync.replicas=1,segment.bytes=1048576"}


def test_more_partitions_than_one_answer_holds(run: Run, make_topic: MakeTopic, monkeypatch: pytest.MonkeyPatch) -> None:
    names = sorted([make_topic(5), make_topic(1), make_topic(4)])
    monkeypatch.setattr(topics_describe, "PARTITIONS_PER_RESPONSE", 3)
    shown = run("topics", "--describe", "--topic", "|".join(names)).out.splitlines()
    assert [line.split("\t")[0] for line in shown if line.startswith("Topic: ")] == [f"Topic: {name}" for name in names]
    assert sum(line.startswith("\t") for line in shown) == 10


def options(*reports: str) -> argparse.Namespace:
    return argparse.Namespace(topics_with_overrides=False, **{name: name in reports for name in REPORTS})


def partition(index: int, leader: int, replicas: Sequence[int], isr: Sequence[int]) -> DescribeTopicPartitionsResponsePartition:
    return DescribeTopicPartitionsResponsePartition(
        partition_index=index, leader_id=leader, replica_nodes=list(replicas), isr_nodes=list(isr)
    )


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ("unavailable_partitions", [2, 3]),
        ("under_replicated_partitions", [1, 2]),
        ("under_min_isr_partitions", [2]),
        ("at_min_isr_partitions", [1]),
    ],
)
def test_reports(report: str, expected: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a topic with min.insync.replicas=2 on brokers 1 to 3, of which 3 is down."""
    topic = DescribeTopicPartitionsResponseTopic(
        name="t",
        partitions=[
            partition(0, 1, (1, 2, 3), (1, 2, 3)),
            partition(1, 1, (1, 2, 3), (1, 2)),
            partition(2, -1, (3, 1), (3,)),
            partition(3, 3, (1, 2, 3), (1, 2, 3)),
        ],
    )
    settings = {"t": [DescribeConfigsResourceResult(name="min.insync.replicas", value="2", config_source=5)]}
    monkeypatch.setattr(topics_describe, "_topics", lambda cluster, names: iter([topic]))
    monkeypatch.setattr(topics_describe, "_settings", lambda cluster, names: settings)
    monkeypatch.setattr(Cluster, "node_ids", lambda self: [1, 2])
    with Cluster("127.0.0.1:1", "tests") as cluster:
        describe(cluster, ["t"], options(report))
    shown = capsys.readouterr().out.splitlines()
    assert [int(line.split("\t")[2].removeprefix("Partition: ")) for line in shown] == expected
    if 2 in expected:
        assert any("\tLeader: none\t" in line and line.endswith("\tElr: N/A\tLastKnownElr: N/A") for line in shown)
