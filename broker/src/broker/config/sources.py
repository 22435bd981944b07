"""Where settings come from: a properties file, KAFKA_* variables as in the apache/kafka image, and --override.

Later ones win in that order. Without a file the values of Kafka's shipped server.properties hold.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from broker.config.definitions import BY_NAME, ConfigError, find

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
OLD_NODE_ID = "broker.id"
# Variables of the image's own scripts, which are no settings (KafkaDockerWrapper), and KAFKA_HOME.
NOT_SETTINGS = frozenset(
    {
        "KAFKA_GC_LOG_OPTS",
        "KAFKA_HEAP_OPTS",
        "KAFKA_HOME",
        "KAFKA_JMX_HOSTNAME",
        "KAFKA_JMX_OPTS",
        "KAFKA_JVM_PERFORMANCE_OPTS",
        "KAFKA_LOG4J_LOGGERS",
        "KAFKA_LOG4J_OPTS",
        "KAFKA_LOG4J_ROOT_LOGLEVEL",
        "KAFKA_OPTS",
        "KAFKA_TOOLS_LOG4J_LOGLEVEL",
        "KAFKA_VERSION",
    }
)
_LINE = re.compile(r"((?:\\.|[^\\=: \t\f])*)[ \t\f]*[=:]?[ \t\f]*(.*)", re.DOTALL)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def parse_properties(text: str) -> dict[str, str]:
    """A file of ``java.util.Properties``: comments, `=`, `:` or a space, continued lines, escapes. Values are stripped."""
    found: dict[str, str] = {}
    for line in _logical_lines(text):
        parts = _LINE.fullmatch(line)
        assert parts is not None, "the pattern takes any line"
        found[_unescaped(parts.group(1))] = _unescaped(parts.group(2).strip())
    return found


def _logical_lines(text: str) -> Iterator[str]:
    """Lines without comments, those that end with a backslash joined with the next."""
    pending: str | None = None
    for raw in re.split(r"\r\n|\r|\n", text):
        line = raw.lstrip(" \t\f")
        if pending is None and (not line or line[0] in "#!"):
            continue
        line = (pending or "") + line
        continued = (len(line) - len(line.rstrip("\\"))) % 2 == 1
        pending = line[:-1] if continued else None
        if not continued:
            yield line
    if pending:
        yield pending


def _unescaped(text: str) -> str:
    def replacement(found: re.Match[str]) -> str:
        escaped = found.group(1)
        return chr(int(escaped[1:], 16)) if len(escaped) > 1 else _ESCAPED.get(escaped, escaped)

    return _ESCAPE.sub(replacement, text)


def from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """KAFKA_LOG_RETENTION_MS -> log.retention.ms; `__` is `_`, `___` is `-`."""
    found = {}
    for name, value in sorted(environment.items()):
        if name.startswith(PREFIX) and name not in NOT_SETTINGS:
            key = name[len(PREFIX) :].lower().replace("___", "-").replace("__", "\0").replace("_", ".").replace("\0", "_")
            found[key] = value
    return found


def _known(given: dict[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """ConfigError for what is no setting: it names the variable, which may have been meant for something else."""
    for key, value in given.items():
        if value != "" and key not in BY_NAME and key != OLD_NODE_ID:
            variable = next(name for name in sorted(environment) if from_environment({name: value}).keys() == {key})
            try:
                find(key)
            except ConfigError as error:
                raise ConfigError(
                    f"{error} (given was the environment variable {variable}={value}; every {PREFIX}* variable is taken for a "
                    f"setting: if this one is not meant for the broker, `unset {variable}`)"
                ) from None
    return given


def parse_override(text: str) -> tuple[str, str]:
    """`key=value` of --override."""
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise ConfigError(f"--override {text} is not of the form key=value")
    return key.strip(), value.strip()


def combine(file_text: str | None, environment: Mapping[str, str], overrides: Iterable[str]) -> dict[str, str]:
    """All sources as one mapping of names to texts."""
    given = {} if file_text is None else parse_properties(file_text)
    given |= _known(from_environment(environment), environment)
    given |= dict(parse_override(text) for text in overrides)
    if OLD_NODE_ID in given:
        given["node.id"] = _same_id(given.pop(OLD_NODE_ID), given.get("node.id"))
    settings = given if file_text is not None else SHIPPED | given
    return {name: value for name, value in settings.items() if name in BY_NAME or value != ""}


def _same_id(broker_id: str, node_id: str | None) -> str:
    """`broker.id` is the old name of `node.id`."""
    if node_id is not None and node_id != broker_id:
        raise ConfigError(f"broker.id={broker_id} is not allowed: it must equal node.id={node_id}, or be left out")
    return broker_id
