"""Brokers that do not belong to a cluster, as real processes beside it: what they say, and that nobody else is harmed.

Each says the setting that is wrong and what to change. Not here: settings that are wrong by themselves (`broker/tests/config`).
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from broker.testing import Cluster
from broker.testing.ports import free_ports
from broker.testing.settings import HOST
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from waiting import wait_until

BROKER = Path(sys.executable).with_name("broker")
END_SECONDS = 60
QUIET = {"log_level": 0}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(3, directory=tmp_path_factory.mktemp("cluster")) as made:
        admin = AdminClient({"bootstrap.servers": made.bootstrap_servers, **QUIET})
        for future in admin.create_topics([NewTopic("t", 3, 3)]).values():
            future.result(END_SECONDS)
        yield made


@dataclass
class Misfit:
    """`broker start` with settings that do not fit."""

    process: "subprocess.Popen[bytes]"
    output: Path

    def says(self, *words: str) -> bool:
        text = self.output.read_text()
        return all(word in text for word in words)

    def end(self) -> int:
        return self.process.wait(END_SECONDS)


def identity(cluster: Cluster) -> str:
    lines = (cluster.brokers[1].data / "meta.properties").read_text().splitlines()
    return next(line.removeprefix("cluster.id=") for line in lines if line.startswith("cluster.id="))


def voters(cluster: Cluster) -> list[str]:
    """Of the settings of all brokers: id@host:port."""
    command = Path(f"/proc/{cluster.brokers[1].pid}/cmdline").read_text().split("\0")
    (setting,) = [one for one in command if one.startswith("controller.quorum.voters=")]
    return setting.partition("=")[2].split(",")


@contextmanager
def started(directory: Path, settings: Mapping[str, str], cluster_id: str) -> Iterator[Misfit]:
    """On ports of its own. `{controller}` in a setting is its controller's address."""
    client, controller = (f"{HOST}:{port}" for port in free_ports(2))
    given = {
        "log.dirs": str(directory / "data"),
        "listeners": f"PLAINTEXT://{client},CONTROLLER://{controller}",
        "initial.broker.registration.timeout.ms": "2000",
    } | {name: value.format(controller=controller) for name, value in settings.items()}
    overrides = [word for name, value in given.items() for word in ("--override", f"{name}={value}")]
    output = directory / "output"
    with output.open("wb") as file:
        environment = {**os.environ, "CLUSTER_ID": cluster_id}
        process = subprocess.Popen([BROKER, "start", *overrides], stdout=file, stderr=file, env=environment)
    try:
        yield Misfit(process, output)
    finally:
        process.kill()
        process.wait()


def assert_unharmed(cluster: Cluster) -> None:
    """All three are in sync, and everything is acknowledged by all."""
    assert all(broker.running for broker in cluster.brokers.values())
    cluster.wait_until_in_sync()
    failures: list[object] = []
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers, "acks": "all", **QUIET})
    for partition in range(3):
        producer.produce("t", b"x", partition=partition, on_delivery=lambda error, _: failures.append(error) if error else None)
    assert producer.flush(END_SECONDS) == 0
    assert failures == []


def test_one_id_twice(cluster: Cluster, tmp_path: Path) -> None:
    follower = next(one for one in cluster.ids if one != cluster.controller_id())
    settings = {"node.id": str(follower), "controller.quorum.voters": ",".join(voters(cluster))}
    with started(tmp_path, settings, identity(cluster)) as misfit:
        assert misfit.end() == 1
        assert misfit.says(f"another broker with node.id={follower} is in the cluster; give this one an id of its own")
    assert_unharmed(cluster)


def test_the_id_of_the_active_controller_twice(cluster: Cluster, tmp_path: Path) -> None:
    """The others name the leader by its id, which is that of the misfit: it cannot even ask to be let in."""
    leader = cluster.controller_id()
    settings = {"node.id": str(leader), "controller.quorum.voters": ",".join(voters(cluster))}
    with started(tmp_path, settings, identity(cluster)) as misfit:
        said = (f"follows node.id={leader}, and that is not this node", "give this one an id of its own")
        wait_until(lambda: misfit.says(*said), "it says that another one has its id")
    assert_unharmed(cluster)


def test_voters_that_the_others_do_not_have(cluster: Cluster, tmp_path: Path) -> None:
    settings = {"node.id": "4", "controller.quorum.voters": ",".join([*voters(cluster), "4@{controller}"])}
    with started(tmp_path, settings, identity(cluster)) as misfit:
        said = ("node 4 is not among the voters 1, 2, 3", "make controller.quorum.voters the same on all nodes")
        wait_until(lambda: misfit.says(*said), "it says that the others do not know it")
    assert_unharmed(cluster)


def test_voters_with_other_ids(cluster: Cluster, tmp_path: Path) -> None:
    others = [f"{number}@{one.partition('@')[2]}" for number, one in enumerate(voters(cluster)[:2], 7)]
    settings = {"node.id": "4", "controller.quorum.voters": ",".join([*others, "4@{controller}"])}
    with started(tmp_path, settings, identity(cluster)) as misfit:
        said = ("node 7 at", "node 8 at", "it has another node.id; correct the address in controller.quorum.voters")
        wait_until(lambda: misfit.says(*said), "it says which addresses are wrong")
    assert_unharmed(cluster)


def test_a_node_that_is_no_voter(cluster: Cluster, tmp_path: Path) -> None:
    with started(tmp_path, {"node.id": "4", "controller.quorum.voters": ",".join(voters(cluster))}, identity(cluster)) as misfit:
        assert misfit.end() == 1
        assert misfit.says("node.id=4 is not among the nodes 1, 2, 3 of controller.quorum.voters")


def test_a_directory_of_another_cluster(cluster: Cluster, tmp_path: Path) -> None:
    other = subprocess.run([BROKER, "random-uuid"], check=True, capture_output=True, text=True).stdout.strip()
    settings = {"node.id": "4", "controller.quorum.voters": ",".join([*voters(cluster), "4@{controller}"])}
    with started(tmp_path, settings, other) as misfit:
        said = ("it belongs to another cluster; give all nodes the same CLUSTER_ID",)
        wait_until(lambda: misfit.says(*said), "it says that the others are of another cluster")
    assert_unharmed(cluster)


def test_a_directory_of_another_node(cluster: Cluster, tmp_path: Path) -> None:
    """Formatted for one id, started with another."""
    quorum = ",".join([*voters(cluster)[1:], "4@{controller}", "5@{controller}"])
    with started(tmp_path, {"node.id": "4", "controller.quorum.voters": quorum}, identity(cluster)) as first:
        wait_until(lambda: first.says("formatted the empty directory"), "the directory is formatted")
    with started(tmp_path, {"node.id": "5", "controller.quorum.voters": quorum}, identity(cluster)) as misfit:
        assert misfit.end() == 1
        assert misfit.says(f"{tmp_path / 'data'} belongs to node 4, but node.id is 5: correct node.id")
