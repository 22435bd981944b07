"""The real Apache Kafka: jars from Maven Central, brokers on loopback, and the command line tools.

Owns: getting the jars once (into a cache directory outside the repository), starting and ending brokers with the flags of
Kafka's own start script, running a tool under the name its script has. Needs Java 17+ and, for the first use, Maven.
KAFKA_PEER_LIBS names a directory that already holds the jars.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from broker.testing.ports import free_ports

VERSION = "4.3.1"
LOG4J_VERSION = "2.25.1"
HOST = "127.0.0.1"
CLUSTER_ID = "AAAAAAAAAAAAAAAAAAAAAA"
DOWNLOAD_TIMEOUT_SECONDS = 600
TOOL_TIMEOUT_SECONDS = 120
START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 30
HEAP = "1g"
BROKER_FLAGS = (
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
)
TOOLS = {
    "broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "cluster": "org.apache.kafka.tools.ClusterTool",
    "configs": "kafka.admin.ConfigCommand",
    "console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "dump-log": "org.apache.kafka.tools.DumpLogSegments",
    "features": "org.apache.kafka.tools.FeatureCommand",
    "get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "groups": "org.apache.kafka.tools.GroupsCommand",
    "leader-election": "org.apache.kafka.tools.LeaderElectionCommand",
    "log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "metadata-quorum": "org.apache.kafka.tools.MetadataQuorumCommand",
    "metadata-shell": "org.apache.kafka.shell.MetadataShell",
    "storage": "kafka.tools.StorageTool",
    "topics": "org.apache.kafka.tools.TopicCommand",
    "verifiable-consumer": "org.apache.kafka.tools.VerifiableConsumer",
    "verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
}
LOG4J = """appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=[%d] %p %m (%c)%n
rootLogger.level=${sys:peer.log.level:-INFO}
rootLogger.appenderRef.out.ref=out
"""


class PeerMissing(Exception):
    """Java, Maven or the jars are not to be had; the message names which."""


def libs() -> Path:
    """The directory of Kafka's jars, downloaded on first use; PeerMissing says what is lacking."""
    if shutil.which("java") is None:
        raise PeerMissing("Java 17 or newer is not installed (Debian: default-jdk-headless)")
    named = os.environ.get("KAFKA_PEER_LIBS")
    if named:
        if not any(Path(named).glob("kafka_2.13-*.jar")):
            raise PeerMissing(f"KAFKA_PEER_LIBS={named} holds no kafka_2.13-*.jar")
        return Path(named)
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "board-kafka-peer" / VERSION
    if not (home / "complete").exists():
        _download(home)
    return home / "libs"


def _download(home: Path) -> None:
    if shutil.which("mvn") is None:
        raise PeerMissing("Maven is not installed (Debian: maven), or set KAFKA_PEER_LIBS")
    home.mkdir(parents=True, exist_ok=True)
    wanted = [("org.apache.kafka", name, VERSION) for name in ("kafka_2.13", "kafka-tools", "kafka-shell")]
    wanted += [("org.apache.logging.log4j", name, LOG4J_VERSION) for name in ("log4j-core", "log4j-slf4j-impl")]
    dependencies = "".join(
        f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version></dependency>"
        for group, name, version in wanted
    )
    (home / "pom.xml").write_text(
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>peer</groupId><artifactId>peer</artifactId><version>1</version>"
        f"<dependencies>{dependencies}</dependencies></project>"
    )
    command = ["mvn", "-q", "-f", str(home / "pom.xml"), "dependency:copy-dependencies", f"-DoutputDirectory={home / 'libs'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_SECONDS, check=False)
    if done.returncode != 0:
        raise PeerMissing(f"Maven could not fetch Kafka {VERSION}: {done.stdout[-800:]}")
    (home / "complete").touch()


def java(arguments: Sequence[str], *, log_level: str = "ERROR") -> list[str]:
    """The command that runs a class with Kafka's jars."""
    directory = libs()
    log4j = Path(tempfile.gettempdir()) / f"board-peer-log4j2-{os.getuid()}.properties"
    if not log4j.exists() or log4j.read_text() != LOG4J:
        log4j.write_text(LOG4J)
    return ["java", "-cp", f"{directory}/*", f"-Dlog4j2.configurationFile={log4j}", f"-Dpeer.log.level={log_level}", *arguments]


def tool(
    name: str, *arguments: str, stdin: str | None = None, timeout_seconds: float = TOOL_TIMEOUT_SECONDS
) -> "subprocess.CompletedProcess[str]":
    """Run Kafka's tool `name` (its script's name without kafka- and .sh) to its end."""
    # The flags of a short-lived JVM: it is not worth optimising.
    command = java(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", TOOLS[name], *arguments])
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout_seconds, check=False)


class ApacheKafka:
    """One to N combined brokers in a temporary directory, as a context manager."""

    def __init__(self, brokers: int = 1, *, heap: str = HEAP, overrides: dict[str, str] | None = None) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="apache-kafka-"))
        self.heap = heap
        ports = free_ports(brokers * 2)
        self.ports, self.controller_ports = ports[:brokers], ports[brokers:]
        self.overrides = overrides or {}
        self.processes: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(f"{HOST}:{port}" for port in self.ports)

    @property
    def bootstrap_controllers(self) -> str:
        return ",".join(f"{HOST}:{port}" for port in self.controller_ports)

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self.processes.values()]

    def data_directory(self, node_id: int = 1) -> Path:
        return self.directory / str(node_id) / "data"

    def __enter__(self) -> "ApacheKafka":
        try:
            for node_id in range(1, len(self.ports) + 1):
                self._format(node_id)
            for node_id in range(1, len(self.ports) + 1):
                self.start(node_id)
            self.wait_ready()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        for node_id in list(self.processes):
            self.stop(node_id)
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self, node_id: int = 1) -> None:
        properties = self.directory / str(node_id) / "server.properties"
        command = java([f"-Xmx{self.heap}", f"-Xms{self.heap}", *BROKER_FLAGS, "kafka.Kafka", str(properties)], log_level="INFO")
        with (self.directory / str(node_id) / "log").open("ab") as log:
            self.processes[node_id] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def stop(self, node_id: int = 1) -> None:
        process = self.processes.pop(node_id)
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self, node_id: int = 1) -> None:
        process = self.processes.pop(node_id)
        process.kill()
        process.wait()

    def wait_ready(self) -> None:
        """Until every broker is registered, as a client sees it."""
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            try:
                if len(admin.list_topics(timeout=2).brokers) == len(self.ports):
                    return
            except KafkaException:
                pass
            time.sleep(0.1)
        raise TimeoutError(f"Apache Kafka was not ready within {START_TIMEOUT_SECONDS} s; see {self.directory}/*/log")

    def _format(self, node_id: int) -> None:
        home = self.directory / str(node_id)
        self.data_directory(node_id).mkdir(parents=True)
        replication = min(3, len(self.ports))
        voters = ",".join(f"{i}@{HOST}:{port}" for i, port in enumerate(self.controller_ports, 1))
        settings = {
            "node.id": str(node_id),
            "process.roles": "broker,controller",
            "listeners": f"PLAINTEXT://{HOST}:{self.ports[node_id - 1]},CONTROLLER://{HOST}:{self.controller_ports[node_id - 1]}",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.voters": voters,
            "log.dirs": str(self.data_directory(node_id)),
            "offsets.topic.replication.factor": str(replication),
            "transaction.state.log.replication.factor": str(replication),
            "transaction.state.log.min.isr": str(max(1, replication - 1)),
            "share.coordinator.state.topic.replication.factor": str(replication),
            "share.coordinator.state.topic.min.isr": str(max(1, replication - 1)),
            "group.initial.rebalance.delay.ms": "0",
            **self.overrides,
        }
        (home / "server.properties").write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        done = tool("storage", "format", "-t", CLUSTER_ID, "-c", str(home / "server.properties"))
        if done.returncode != 0:
            raise PeerMissing(f"kafka-storage format failed: {done.stdout}{done.stderr}")
