"""Kafka's own command line tools against three brokers, ours and Apache Kafka's; our tools print the same where we have them.

A broker is killed, looked at, forgotten and let in again; the metadata shell opens what our snapshot holds.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copy
from typing import Protocol

import pytest
from broker.testing import Cluster
from peers.apache_kafka import ApacheKafka, tool

from .conftest import Target
from .test_cli import both, lines, ours, output, theirs
from .test_confluent_kafka import eventually

pytestmark = [pytest.mark.usefixtures("kafka_jars"), pytest.mark.timeout(300)]
IDS = (1, 2, 3)
SETTINGS = {
    "offsets.topic.num.partitions": "5",
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    # A leader is given back when a test asks for it.
    "auto.leader.rebalance.enable": "false",
    # Kafka notices a dead broker by its silence alone.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
}
HEAP = "384m"
TOPIC = "led"


class Members(Protocol):
    """What both clusters can do."""

    @property
    def bootstrap_servers(self) -> str: ...

    @property
    def bootstrap_controllers(self) -> str: ...

    def kill(self, node_id: int, /) -> None: ...

    def start(self, node_id: int, /) -> object: ...


@dataclass
class Three(Target):
    """Three brokers with a topic of three partitions, each led by its first replica."""

    members: Members = field(kw_only=True)

    @property
    def by_controllers(self) -> tuple[str, str]:
        return "--bootstrap-controller", self.members.bootstrap_controllers

    def prepare(self) -> "Three":
        assignment = ("--replica-assignment", "1:2:3,2:3:1,3:1:2")
        output(theirs("topics", self, "--create", "--topic", TOPIC, *assignment))
        return self

    def describe(self, *arguments: str) -> list[str]:
        """What both tools say of the topic, without its id."""
        return [re.sub(r"TopicId: \S+", "", line) for line in both("topics", self, "--describe", "--topic", TOPIC, *arguments)]

    def leaders(self) -> list[str]:
        return re.findall(r"Leader: (\S+)", " ".join(output(ours("topics", self, "--describe", "--topic", TOPIC))))

    def whole(self) -> bool:
        return output(ours("topics", self, "--describe", "--under-replicated-partitions")) == []


@pytest.fixture(scope="module")
def our_three() -> Iterator[Three]:
    with Cluster(3, SETTINGS) as cluster:
        yield Three("ours", cluster.bootstrap_servers, members=cluster).prepare()


@pytest.fixture(scope="module")
def apache_three(kafka_jars: str) -> Iterator[Three]:
    with ApacheKafka(3, heap=HEAP, overrides=SETTINGS) as kafka:
        yield Three("apache-kafka", kafka.bootstrap_servers, members=kafka).prepare()


@pytest.fixture(params=["our_three", "apache_three"])
def three(request: pytest.FixtureRequest) -> Three:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Three)
    return found


def asked(name: str, *arguments: str) -> list[str]:
    """What Kafka's tool says, its options in any order."""
    return output(tool(name, *arguments))


def test_topics(three: Three) -> None:
    topic, *partitions = three.describe()
    assert topic.split() == [
        "Topic:",
        TOPIC,
        "PartitionCount:",
        "3",
        "ReplicationFactor:",
        "3",
        "Configs:",
        "min.insync.replicas=2",
    ]
    assert [line.split(" Isr:")[0] for line in partitions] == [
        f"Topic: {TOPIC} Partition: {index} Leader: {replicas[0]} Replicas: {replicas}"
        for index, replicas in enumerate(("1,2,3", "2,3,1", "3,1,2"))
    ]
    for report in ("--under-replicated-partitions", "--unavailable-partitions", "--under-min-isr-partitions"):
        assert three.describe(report) == []


def test_the_quorum_by_brokers_and_by_controllers(three: Three) -> None:
    voters = [
        f'{{"id": {node_id}, "endpoints": ["CONTROLLER://{address}"]}}'
        for node_id, address in zip(IDS, three.members.bootstrap_controllers.split(","), strict=True)
    ]
    for where in (("--bootstrap-server", three.bootstrap_servers), three.by_controllers):
        status = dict(line.split(": ", 1) for line in asked("metadata-quorum", *where, "describe", "--status"))
        assert int(status["LeaderId"]) in IDS
        assert int(status["LeaderEpoch"]) >= 1
        assert int(status["HighWatermark"]) > 0
        assert int(status["MaxFollowerLag"]) >= 0
        assert (status["CurrentVoters"], status["CurrentObservers"]) == (f"[{', '.join(voters)}]", "[]")
        header, *rows = (line.split() for line in asked("metadata-quorum", *where, "describe", "--replication"))
        assert header[0] == "NodeId"
        assert sorted((int(row[0]), row[-1]) for row in rows) == [
            (node_id, "Leader" if node_id == int(status["LeaderId"]) else "Follower") for node_id in IDS
        ]


QUORUM_MASK = re.compile(r"(HighWatermark|MaxFollowerLag|MaxFollowerLagTimeMs): -?\d+|\b\d+ -?\d+ (\d{13} \d{13})")


def test_our_tool_tells_of_the_quorum_as_kafkas_does(three: Three) -> None:
    """Offsets and times go on between two commands."""
    for report in ("--status", "--replication"):
        mine, other = (output(run("metadata-quorum", three, "describe", report)) for run in (ours, theirs))
        assert [QUORUM_MASK.sub("_", line) for line in mine] == [QUORUM_MASK.sub("_", line) for line in other]


def test_features(three: Three) -> None:
    """Those that are built are finalised at the level that Kafka finalises."""
    for where in (("--bootstrap-server", three.bootstrap_servers), three.by_controllers):
        rows = [line.split() for line in asked("features", *where, "describe")]
        finalised = {row[1]: row[row.index("FinalizedVersionLevel:") + 1] for row in rows}
        assert finalised["metadata.version"] == "4.3-IV0"
        assert finalised["eligible.leader.replicas.version"] == "1"
        assert finalised["kraft.version"] == "0"


def test_the_cluster_and_its_endpoints(three: Three) -> None:
    (cluster_id,) = asked("cluster", "cluster-id", "--bootstrap-server", three.bootstrap_servers)
    assert asked("cluster", "cluster-id", *three.by_controllers) == [cluster_id]
    brokers = asked("cluster", "list-endpoints", "--bootstrap-server", three.bootstrap_servers)
    addresses = [address.split(":") for address in three.bootstrap_servers.split(",")]
    assert brokers[1:] == [f"{one} {host} {port} null unfenced broker" for one, (host, port) in zip(IDS, addresses, strict=True)]
    controllers = asked("cluster", "list-endpoints", *three.by_controllers)
    addresses = [address.split(":") for address in three.members.bootstrap_controllers.split(",")]
    assert controllers[1:] == [f"{one} {host} {port} null controller" for one, (host, port) in zip(IDS, addresses, strict=True)]


def test_log_dirs(three: Three) -> None:
    text = output(theirs("log-dirs", three, "--describe", "--topic-list", TOPIC))[-1]
    described = json.loads(text)
    found = {
        one["broker"]: [part["partition"] for log in one["logDirs"] for part in log["partitions"]] for one in described["brokers"]
    }
    assert {one: sorted(parts) for one, parts in found.items()} == {
        one: [f"{TOPIC}-{index}" for index in range(3)] for one in IDS
    }
    (only,) = json.loads(output(theirs("log-dirs", three, "--describe", "--broker-list", "2"))[-1])["brokers"]
    assert (only["broker"], [log["error"] for log in only["logDirs"]]) == (2, [None])


def test_settings_of_topics(three: Three) -> None:
    entity = ("--entity-type", "topics", "--entity-name", TOPIC)
    output(theirs("configs", three, "--alter", *entity, "--add-config", "retention.ms=4567"))
    asked("configs", *three.by_controllers, "--alter", *entity, "--add-config", "segment.ms=5678")
    shown = ["retention.ms=4567", "segment.ms=5678"]
    eventually(lambda: [line.split()[0] for line in output(theirs("configs", three, "--describe", *entity))[1:]] == shown)
    output(theirs("configs", three, "--alter", *entity, "--delete-config", "retention.ms,segment.ms"))
    eventually(lambda: output(theirs("configs", three, "--describe", *entity)) == [f"Dynamic configs for topic {TOPIC} are:"])


def test_settings_of_brokers(three: Three) -> None:
    one, every = ("--entity-type", "brokers", "--entity-name", "2"), ("--entity-type", "brokers", "--entity-default")
    minimum = "min.insync.replicas=2 sensitive=false synonyms={DYNAMIC_DEFAULT_BROKER_CONFIG:min.insync.replicas=2}"
    title = "Default configs for brokers in the cluster are:"
    assert output(theirs("configs", three, "--describe", *every)) == [title, minimum]
    every_one = " ".join(output(theirs("configs", three, "--describe", "--all", *one)))
    assert "STATIC_BROKER_CONFIG:default.replication.factor=3" in every_one
    asked("configs", *three.by_controllers, "--alter", *every, "--add-config", "log.retention.ms=6000")
    output(theirs("configs", three, "--alter", *one, "--add-config", "log.retention.ms=5000"))
    both_set = "DYNAMIC_BROKER_CONFIG:log.retention.ms=5000, DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=6000"
    eventually(lambda: both_set in " ".join(output(theirs("configs", three, "--describe", *one))))
    output(theirs("configs", three, "--alter", *one, "--delete-config", "log.retention.ms"))
    output(theirs("configs", three, "--alter", *every, "--delete-config", "log.retention.ms"))
    for what, key in ((one, "min.insync.replicas=1"), (one, "node.id=7")):
        refused = theirs("configs", three, "--alter", *what, "--add-config", key)
        assert refused.returncode == 1
        assert "Broker-level min.insync.replicas cannot be altered" in refused.stderr or "[node.id]" in refused.stderr


def test_a_broker_dies_is_forgotten_and_comes_back(three: Three) -> None:
    three.members.kill(3)
    eventually(lambda: "3" not in three.leaders())
    partitions = three.describe("--under-replicated-partitions")
    assert [sorted(re.findall(r"Isr: (\S+)", line)[0].split(",")) for line in partitions] == [["1", "2"]] * 3
    assert three.describe("--at-min-isr-partitions") == partitions
    assert three.describe("--under-min-isr-partitions") == three.describe("--unavailable-partitions") == []
    preferred = ("--election-type", "preferred", "--topic", TOPIC, "--partition", "2")
    mine, other = ours("leader-election", three, *preferred), theirs("leader-election", three, *preferred)
    assert mine.returncode == other.returncode == 1
    for done in (mine, other):
        assert re.search(rf"Error completing leader election \(PREFERRED\) for partition: {TOPIC}-2: ", done.stdout)
    endpoints = ("cluster", "list-endpoints", "--bootstrap-server", three.bootstrap_servers, "--include-fenced-brokers")
    assert [line.split()[-2] for line in asked(*endpoints)[1:]] == ["unfenced", "unfenced", "fenced"]
    asked("cluster", "unregister", "--bootstrap-server", three.bootstrap_servers, "--id", "3")
    eventually(lambda: len(asked(*endpoints)) == 3)
    three.members.start(3)
    eventually(three.whole)
    assert three.leaders()[2] != "3"
    done = [f"Successfully completed leader election (PREFERRED) for partitions {TOPIC}-2"]
    assert output(ours("leader-election", three, *preferred)) == done
    eventually(lambda: three.leaders() == ["1", "2", "3"])
    again = [f"Valid replica already elected for partitions {TOPIC}-2"]
    assert output(ours("leader-election", three, *preferred)) == output(theirs("leader-election", three, *preferred)) == again
    both("leader-election", three, "--election-type", "unclean", "--all-topic-partitions")


def test_the_metadata_shell_opens_our_snapshot(tmp_path: Path) -> None:
    """A snapshot after every few records; what it shows is what the cluster agreed on."""
    often = {"metadata.log.max.record.bytes.between.snapshots": "1"}
    with Cluster(1, SETTINGS | {"default.replication.factor": "1", "min.insync.replicas": "1"} | often, tmp_path) as cluster:
        target = Target("ours", cluster.bootstrap_servers)
        output(ours("topics", target, "--create", "--topic", "shown", "--partitions", "2", "--config", "retention.ms=4567"))
        directory = tmp_path / "1" / "data" / "__cluster_metadata-0"

        def look(*command: str) -> list[str]:
            """The newest snapshot; beside the directory, which its broker has locked for itself."""
            return shell(Path(copy(max(directory.glob("*.checkpoint")), tmp_path)), *command)

        eventually(lambda: "shown" in look("ls", "/image/topics/byName"))
        assert {"0", "1"} <= set(" ".join(look("ls", "/image/topics/byName/shown")).split())
        assert "4567" in " ".join(look("cat", "/image/configs/TOPIC:shown/retention.ms"))
        broker = "".join(look("cat", "/image/cluster/brokers/1"))
        assert "eligible.leader.replicas.version" in broker
        assert "metadata.version" in broker
        assert "CONTROLLER" in "".join(look("cat", "/image/cluster/controllers/1"))
        assert "eligible.leader.replicas.version" in " ".join(look("ls", "/image/features"))


def shell(snapshot: Path, *command: str) -> list[str]:
    done = tool("metadata-shell", "--snapshot", str(snapshot), *command)
    assert done.returncode == 0, done.stdout + done.stderr
    return lines(done.stdout)
