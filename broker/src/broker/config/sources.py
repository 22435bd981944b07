"""Where settings come from: a properties file, KAFKA_* variables as in the apache/kafka image, and --override.

Later ones win in that order. Without a file the values of Kafka's shipped server.properties hold.
"""

from collections.abc import Iterable, Mapping

from broker.config.definitions import BY_NAME, ConfigError

# Kafka's shipped server.properties where it differs from the built-in defaults.
SHIPPED = {
    "node.id": "1",
    "process.roles": "broker,controller",
    "listeners": "PLAINTEXT://:9092,CONTROLLER://:9093",
    "controller.listener.names": "CONTROLLER",
    "controller.quorum.voters": "1@localhost:9093",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
}
PREFIX = "KAFKA_"
# Variables of the image's own scripts, which are no settings.
NOT_SETTINGS = frozenset(
    {
        "KAFKA_HEAP_OPTS",
        "KAFKA_OPTS",
        "KAFKA_JMX_OPTS",
        "KAFKA_JVM_PERFORMANCE_OPTS",
        "KAFKA_LOG4J_OPTS",
        "KAFKA_HOME",
        "KAFKA_VERSION",
    }
)


def parse_properties(text: str) -> dict[str, str]:
    """Java properties as far as broker files use them: comments, `=` or `:`, continuation lines, backslash escapes."""
    found: dict[str, str] = {}
    pending = ""
    for raw in text.splitlines():
        line = pending + raw.lstrip()
        pending = ""
        if not line or line[0] in "#!":
            continue
        if line.endswith("\\") and not line.endswith("\\\\"):
            pending = line[:-1]
            continue
        separator = min((position for position in (line.find("="), line.find(":")) if position >= 0), default=-1)
        key, value = (line, "") if separator < 0 else (line[:separator], line[separator + 1 :])
        found[key.strip()] = value.strip().replace("\\\\", "\\")
    return found


def from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """KAFKA_LOG_RETENTION_MS -> log.retention.ms; `__` is `_`, `___` is `-`."""
    found = {}
    for name, value in sorted(environment.items()):
        if name.startswith(PREFIX) and name not in NOT_SETTINGS:
            key = name[len(PREFIX) :].lower().replace("___", "-").replace("__", "\0").replace("_", ".").replace("\0", "_")
            found[key] = value
    return found


def parse_override(text: str) -> tuple[str, str]:
    """`key=value` of --override."""
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise ConfigError(f"--override {text} is not of the form key=value")
    return key.strip(), value.strip()


def combine(file_text: str | None, environment: Mapping[str, str], overrides: Iterable[str]) -> dict[str, str]:
    """All sources as one mapping of names to texts."""
    settings = dict(SHIPPED) if file_text is None else parse_properties(file_text)
    settings |= from_environment(environment)
    settings |= dict(parse_override(text) for text in overrides)
    if "broker.id" in settings and "node.id" not in settings:
        settings["node.id"] = settings.pop("broker.id")
    return {name: value for name, value in settings.items() if name in BY_NAME or value != ""}
