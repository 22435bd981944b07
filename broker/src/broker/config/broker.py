"""Typed settings: `BrokerConfig` for a node, `TopicConfig` for a topic over the node's defaults."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from broker.config.definitions import BROKER_SETTINGS, BY_NAME, TOPIC_SETTINGS, ConfigError, Setting, find, parse_topic
from broker.config.sources import SHIPPED

PLAINTEXT = "PLAINTEXT"
BOOTSTRAP_SERVERS = "controller.quorum.bootstrap.servers"


@dataclass(frozen=True)
class Endpoint:
    """One listener: its name, and where it is bound or advertised. An empty host is every address."""

    name: str
    host: str
    port: int


@dataclass(frozen=True)
class Voter:
    """One member of the quorum."""

    node_id: int
    host: str
    port: int


def attribute(name: str) -> str:
    return name.replace(".", "_")


class BrokerConfig:
    """All settings of a node, checked as a whole; those declared here are attributes, every one is a `value`."""

    node_id: int
    process_roles: tuple[str, ...]
    auto_create_topics_enable: bool
    num_partitions: int
    default_replication_factor: int
    socket_request_max_bytes: int
    queued_max_requests: int
    queued_max_request_bytes: int
    connections_max_idle_ms: int
    max_connections: int
    fetch_max_bytes: int
    max_incremental_fetch_session_cache_slots: int
    max_request_partition_size_limit: int
    log_retention_check_interval_ms: int
    log_flush_offset_checkpoint_interval_ms: int
    replica_high_watermark_checkpoint_interval_ms: int
    producer_id_expiration_ms: int
    offsets_topic_num_partitions: int
    offsets_topic_replication_factor: int
    offsets_topic_segment_bytes: int
    broker_heartbeat_interval_ms: int
    broker_session_timeout_ms: int
    replica_lag_time_max_ms: int
    replica_fetch_max_bytes: int
    replica_fetch_response_max_bytes: int
    replica_fetch_min_bytes: int
    replica_fetch_wait_max_ms: int
    replica_fetch_backoff_ms: int

    def __init__(self, settings: Mapping[str, str]) -> None:
        """`settings`: names to texts. ConfigError names the first that is wrong."""
        self.given: dict[str, Any] = {}
        for name, text in settings.items():
            self.given[name] = _find(name, text).parse(text)
        self._values = {setting.name: self._value_of(setting) for setting in BROKER_SETTINGS}
        for name, value in self._values.items():
            if attribute(name) in BrokerConfig.__annotations__:
                setattr(self, attribute(name), value)
        self._check()

    def _value_of(self, setting: Setting) -> Any:
        """What is given, in this unit or a larger one, or the default. What is below zero has no bound, in any unit."""
        if setting.name in self.given or not setting.coarser:
            return self.given.get(setting.name, setting.default)
        coarser = BY_NAME[setting.coarser]
        value = self._value_of(coarser)
        return value * coarser.unit_ms // setting.unit_ms if value >= 0 else value

    def without_effect(self) -> list[str]:
        """What was set and changes nothing, with the reason; not what Kafka's shipped files say anyway."""
        found = []
        for name, value in self.given.items():
            setting = BY_NAME[name]
            if setting.without_effect and setting.render(value) not in (setting.render(setting.default), SHIPPED.get(name)):
                found.append(f"{name}={setting.render(value)} has no effect: {setting.without_effect}")
        return found

    def value(self, name: str) -> Any:
        """The typed value under Kafka's name; the commonest are attributes as well."""
        return self._values[name]

    def _check(self) -> None:
        if self.node_id < 0:
            raise ConfigError("node.id is not set: give this node a number of 0 or more")
        if set(self.process_roles) != {"broker", "controller"}:
            raise ConfigError(f"process.roles={','.join(self.process_roles)} is not supported yet: it takes broker,controller")
        if len(self.value("log.dirs")) > 1:
            raise ConfigError(f"log.dirs={','.join(self.value('log.dirs'))} is not supported yet: it takes one directory")
        self._check_voters()
        names = [endpoint.name for endpoint in self.listeners]
        for name in self.value("controller.listener.names"):
            if name not in names:
                raise ConfigError(f"controller.listener.names={name} is not among the listeners {', '.join(names)}")
        if not self.broker_listeners:
            raise ConfigError("listeners has only controller listeners; clients need one of their own")
        if len(set(names)) < len(names):
            raise ConfigError(
                f"listeners={_listed(self.value('listeners'))} is not allowed: each listener needs a name of its own"
            )
        self._check_advertised(names)
        self._check_protocols(names)

    def _check_advertised(self, names: list[str]) -> None:
        for text in self.value("advertised.listeners"):
            endpoint = _endpoint("advertised.listeners", text)
            if endpoint.name not in names:
                raise ConfigError(f"advertised.listeners={text} is not allowed: it takes the listeners {', '.join(names)}")
            if endpoint.host in ("0.0.0.0", "::"):
                raise ConfigError(f"advertised.listeners={text} is not allowed: it takes an address that clients can reach")

    def _check_protocols(self, names: list[str]) -> None:
        """Only of the listeners that there are: Kafka's shipped file maps more."""
        pairs = self.value("listener.security.protocol.map")
        protocols = {name.upper(): protocol.upper() for name, _, protocol in (pair.partition(":") for pair in pairs)}
        for name in names:
            if protocols and name not in protocols:
                raise ConfigError(f"listener.security.protocol.map={_listed(pairs)} is not allowed: it lacks the listener {name}")
            if protocols.get(name, PLAINTEXT) != PLAINTEXT:
                pair = f"{name}:{protocols[name]}"
                raise ConfigError(f"listener.security.protocol.map={pair} is not supported yet: {PLAINTEXT} is the only protocol")

    def _check_voters(self) -> None:
        ids = [voter.node_id for voter in self.voters]
        twice = sorted({node_id for node_id in ids if ids.count(node_id) > 1})
        if twice:
            raise ConfigError(f"controller.quorum.voters names node {twice[0]} twice; every node has an id of its own")
        if ids and self.node_id not in ids:
            raise ConfigError(
                f"node.id={self.node_id} is not among the nodes {', '.join(map(str, ids))} of controller.quorum.voters: "
                "give this node one of these ids, or add it to the voters of every node"
            )
        if not ids:
            self._check_alone()

    def _check_alone(self) -> None:
        """Without voters this node is the quorum; one that names others would be a cluster of its own beside theirs."""
        servers = self.value(BOOTSTRAP_SERVERS)
        own = {str(endpoint.port) for endpoint in self.listeners if endpoint.name in self.controller_listener_names}
        if len(servers) > 1 or any(server.rpartition(":")[2] not in own for server in servers):
            raise ConfigError(
                f"{BOOTSTRAP_SERVERS}={_listed(servers)} is not supported yet: name the nodes in controller.quorum.voters"
            )

    @property
    def log_directory(self) -> str:
        directories = self.value("log.dirs")
        return str(directories[0] if directories else self.value("log.dir"))

    @property
    def listeners(self) -> list[Endpoint]:
        return [_endpoint("listeners", text) for text in self.value("listeners")]

    @property
    def controller_listener_names(self) -> tuple[str, ...]:
        return tuple(self.value("controller.listener.names"))

    @property
    def broker_listeners(self) -> list[Endpoint]:
        return [endpoint for endpoint in self.listeners if endpoint.name not in self.controller_listener_names]

    @property
    def inter_broker_listener_name(self) -> str:
        """The listener other brokers use: the first one for clients, unless it is named."""
        return str(self.value("inter.broker.listener.name") or self.broker_listeners[0].name).upper()

    @property
    def advertised(self) -> dict[str, Endpoint]:
        """By listener name; a listener that is not advertised by itself is advertised where it is bound."""
        found = {endpoint.name: endpoint for endpoint in self.listeners}
        return found | {e.name: e for e in (_endpoint("advertised.listeners", t) for t in self.value("advertised.listeners"))}

    @property
    def voters(self) -> list[Voter]:
        found = []
        for text in self.value("controller.quorum.voters"):
            node_id, _, address = text.partition("@")
            host, _, port = address.rpartition(":")
            if not (node_id.isdigit() and port.isdigit() and host):
                raise ConfigError(f"controller.quorum.voters={text} is not of the form id@host:port")
            found.append(Voter(int(node_id), host, int(port)))
        return found


class TopicConfig:
    """The settings of one topic: its own over the broker's."""

    segment_bytes: int
    segment_ms: int
    segment_index_bytes: int
    index_interval_bytes: int
    max_message_bytes: int
    message_timestamp_type: str
    message_timestamp_before_max_ms: int
    message_timestamp_after_max_ms: int
    retention_ms: int
    retention_bytes: int
    file_delete_delay_ms: int
    cleanup_policy: str
    min_insync_replicas: int
    unclean_leader_election_enable: bool

    def __init__(self, broker: BrokerConfig, overrides: Mapping[str, str], dynamic: Mapping[str, str] | None = None) -> None:
        """`overrides` are the topic's own settings, `dynamic` broker settings changed at run time, by broker-level name."""
        for name, setting in TOPIC_SETTINGS.items():
            assert name is not None
            value = broker.value(setting.name)
            if dynamic and setting.name in dynamic:
                value = setting.parse(dynamic[setting.name])
            if name in overrides:
                value = parse_topic(name, overrides[name])
            setattr(self, attribute(name), setting.render(value) if name == "cleanup.policy" else value)

    @classmethod
    def from_overrides(
        cls, broker: BrokerConfig, overrides: Mapping[str, str], dynamic: Mapping[str, str] | None = None
    ) -> "TopicConfig":
        return cls(broker, overrides, dynamic)


def _find(name: str, text: str) -> Setting:
    try:
        return find(name)
    except ConfigError as error:
        raise ConfigError(f"{error} (given was {name}={text})") from None


def _listed(values: Sequence[str]) -> str:
    return ",".join(values)


def _endpoint(key: str, text: str) -> Endpoint:
    name, separator, address = text.partition("://")
    host, _, port = address.rpartition(":")
    if not separator or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"{key}={text} is not of the form NAME://host:port")
    return Endpoint(name.upper(), host.strip("[]"), int(port))
