"""Where settings come from: files, variables as in the apache/kafka image, overrides, and which of them wins."""

import pytest
from broker.config.broker import BrokerConfig
from broker.config.definitions import ConfigError
from broker.config.sources import NOT_SETTINGS, SHIPPED, combine, from_environment, parse_override, parse_properties

FILE = """
# a comment
! another
node.id=1
listeners = PLAINTEXT://:9092 , CONTROLLER://:9093
log.dirs: /data

   broker.rack=north
log.retention.ms = \\
    1000
controller.quorum.voters=1@host:9093
empty=
windows=C:\\\\data
url=http://host:1/?a=b
"""


def test_a_properties_file() -> None:
    assert parse_properties(FILE) == {
        "node.id": "1",
        "listeners": "PLAINTEXT://:9092 , CONTROLLER://:9093",
        "log.dirs": "/data",
        "broker.rack": "north",
        "log.retention.ms": "1000",
        "controller.quorum.voters": "1@host:9093",
        "empty": "",
        "windows": "C:\\data",
        "url": "http://host:1/?a=b",
    }
    assert parse_properties("a=1\r\nb=2\r\na=3") == {"a": "3", "b": "2"}
    assert parse_properties("") == {}


def test_a_continuation_at_the_end_of_the_file_is_not_lost() -> None:
    assert parse_properties("a=1\nlog.retention.ms=1000\\") == {"a": "1", "log.retention.ms": "1000"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b", {"a": "b"}),
        ("a\tb=c", {"a": "b=c"}),
        ("a : b", {"a": "b"}),
        ("a\\ b=c", {"a b": "c"}),
        ("a\\=b=c", {"a=b": "c"}),
        ("a\\:b:c", {"a:b": "c"}),
        ("a", {"a": ""}),
        ("a=x\\ty\\nz", {"a": "x\ty\nz"}),
        ("a=\\uac8c\\q", {"a": "게q"}),
        ("a=C\\:\\\\data\\\\", {"a": "C:\\data\\"}),
        ("a=1,\\\n  2,\\\n\n3=4", {"a": "1,2,", "3": "4"}),
        ("a=1\\\n#2", {"a": "1#2"}),
        ("a=1\\\\\nb=2", {"a": "1\\", "b": "2"}),
        ("a=1\\\\\\\nb=2", {"a": "1\\b=2"}),
        ("\\", {}),
        ("a=1\rb=2", {"a": "1", "b": "2"}),
    ],
)
def test_the_fine_print_of_java_properties(text: str, expected: dict[str, str]) -> None:
    assert parse_properties(text) == expected


# The lines of Apache Kafka 4.3's config/server.properties that are no comments.
SHIPPED_BY_KAFKA = """
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=/tmp/kraft-combined-logs
num.partitions=1
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
"""


def test_the_file_that_kafka_ships_is_taken() -> None:
    config = BrokerConfig(combine(SHIPPED_BY_KAFKA, {}, []))
    assert config.advertised["PLAINTEXT"].host == "localhost"
    assert config.value("log.retention.ms") == 168 * 3_600_000


@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("KAFKA_LISTENERS", "listeners"),
        ("KAFKA_A____B", "a-.b"),
        ("KAFKA_A_____B", "a-_b"),
        ("KAFKA_KAFKA_A", "kafka.a"),
        ("KAFKA_NODE_ID", "node.id"),
        ("KAFKA_LOG_RETENTION_MS", "log.retention.ms"),
        ("KAFKA_CONTROLLER_QUORUM_VOTERS", "controller.quorum.voters"),
        ("KAFKA_A__B", "a_b"),
        ("KAFKA_A___B", "a-b"),
        ("KAFKA_A__B_C___D", "a_b.c-d"),
    ],
)
def test_variables_are_named_as_in_kafkas_image(variable: str, name: str) -> None:
    assert from_environment({variable: "x"}) == {name: "x"}


def test_other_variables_are_left_alone() -> None:
    assert from_environment({"PATH": "/bin", "kafka_node_id": "3", "NOT_KAFKA_NODE_ID": "3", "CLUSTER_ID": "x"}) == {}
    assert from_environment(dict.fromkeys(NOT_SETTINGS, "x")) == {}
    assert "KAFKA_LOG4J_ROOT_LOGLEVEL" in NOT_SETTINGS and "KAFKA_HEAP_OPTS" in NOT_SETTINGS


def test_values_are_taken_as_they_are() -> None:
    """The image writes them into a file; a backslash is the only thing that this changes there."""
    assert from_environment({"KAFKA_BROKER_RACK": " a=b:c#d "}) == {"broker.rack": " a=b:c#d "}


def test_overrides() -> None:
    assert parse_override("log.dirs=/a=b") == ("log.dirs", "/a=b")
    assert parse_override(" node.id = 3 ") == ("node.id", "3")
    assert parse_override("broker.rack=") == ("broker.rack", "")
    for text in ("node.id", "=3", "", " =3"):
        with pytest.raises(ConfigError, match="is not of the form key=value"):
            parse_override(text)


def test_later_sources_win() -> None:
    file_text = "node.id=1\nnum.partitions=2\nbroker.rack=file\nlog.dirs=/file"
    environment = {"KAFKA_NUM_PARTITIONS": "3", "KAFKA_BROKER_RACK": "environment"}
    found = combine(file_text, environment, ["broker.rack=override"])
    assert found == {"node.id": "1", "num.partitions": "3", "broker.rack": "override", "log.dirs": "/file"}


def test_without_a_file_the_shipped_values_hold() -> None:
    """Kafka's server.properties: a broker that can be started at once, with replication factors of one."""
    assert combine(None, {}, []) == SHIPPED
    config = BrokerConfig(combine(None, {}, []))
    assert config.node_id == 1
    assert config.offsets_topic_replication_factor == 1


def test_with_a_file_kafkas_built_in_defaults_hold() -> None:
    config = BrokerConfig(combine("node.id=4\ncontroller.quorum.voters=4@localhost:9093", {}, []))
    assert config.offsets_topic_replication_factor == 3


def test_the_old_name_of_the_node_id() -> None:
    assert combine("broker.id=7", {}, []) == {"node.id": "7"}
    assert combine("broker.id=7\nnode.id=7", {}, []) == {"node.id": "7"}
    assert combine(None, {"KAFKA_BROKER_ID": "7"}, [])["node.id"] == "7", "the shipped value is nobody's wish"
    with pytest.raises(ConfigError, match=r"^broker\.id=7 is not allowed: it must equal node\.id=8"):
        combine("broker.id=7", {}, ["node.id=8"])


def test_order_of_variables_does_not_matter() -> None:
    one = {"KAFKA_B": "1", "KAFKA_A": "2"}
    assert list(from_environment(one)) == list(from_environment(dict(reversed(one.items()))))


def test_a_variable_that_is_no_setting_is_named_with_the_way_out() -> None:
    with pytest.raises(ConfigError) as raised:
        combine(None, {"KAFKA_PEER_HOME": "/somewhere"}, [])
    text = str(raised.value)
    assert "peer.home" in text
    assert "the environment variable KAFKA_PEER_HOME=/somewhere" in text
    assert "`unset KAFKA_PEER_HOME`" in text
    assert combine(None, {"KAFKA_PEER_HOME": "", "KAFKA_BROKER_ID": "1"}, [])["node.id"] == "1", "an empty one says nothing"
