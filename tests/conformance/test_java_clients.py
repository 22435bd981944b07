"""The Java 4.3.1 clients, unmodified, against our broker and against Apache Kafka: the scenarios of java/Scenarios.java.

The findings are compared with what is written here, and so for both brokers with each other.
"""

import subprocess
from pathlib import Path

import pytest
from peers.apache_kafka import java

from .conftest import Target

pytestmark = [pytest.mark.usefixtures("kafka_jars"), pytest.mark.timeout(300)]
SOURCE = Path(__file__).with_name("java") / "Scenarios.java"
TIMEOUT_SECONDS = 180
CODECS = [
    f"{codec} acks={acks} records=200 ordered=True".replace("True", "true")
    for codec in ("none", "gzip", "snappy", "lz4", "zstd")
    for acks in ("0", "1", "all")
]
GROUPS = ["alone holds=4", "together first=2 second=2 revoked=2", "committed offset=7 metadata=메모"]
STATIC = ["came back same=true rebalanced=false"]
ADMIN = [
    "nodes=1 controller=1",
    "refused TopicExistsException",
    "refused InvalidTopicException",
    "refused InvalidPartitionsException",
    "refused InvalidReplicationFactorException",
    "refused InvalidConfigurationException",
    "retention.ms=6000000",
    "latest=0",
    "reassignments=0",
    "log dirs=1",
    "metadata.version=30",
    "quorum leader=1",
    "absent group GroupIdNotFoundException",
]


@pytest.mark.parametrize(
    ("scenario", "expected"), [("codecs", CODECS), ("groups", GROUPS), ("static-members", STATIC), ("admin", ADMIN)]
)
def test_scenario(target: Target, scenario: str, expected: list[str]) -> None:
    command = java(["-Xmx256m", str(SOURCE), scenario, target.bootstrap_servers, target.fresh("java")])
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [*expected, "done"]
