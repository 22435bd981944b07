"""Where settings come from: files, variables as in the apache/kafka image, overrides, and which of them wins."""

import pytest
from broker.config.broker import BrokerConfig
from broker.config.definitions import ConfigError
from broker.config.sources import SHIPPED, combine, from_environment, parse_override, parse_properties

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


@pytest.mark.xfail(reason="parse_properties drops what is pending at the end of the text")
def test_a_continuation_at_the_end_of_the_file_is_not_lost() -> None:
    assert parse_properties("a=1\nlog.retention.ms=1000\\") == {"a": "1", "log.retention.ms": "1000"}


@pytest.mark.parametrize(
    ("variable", "name"),
    [
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
    assert from_environment({"PATH": "/bin", "KAFKA_HEAP_OPTS": "-Xmx1g", "KAFKA_OPTS": "x", "kafka_node_id": "3"}) == {}


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
    assert combine("broker.id=7", {}, [])["node.id"] == "7"


def test_order_of_variables_does_not_matter() -> None:
    one = {"KAFKA_B": "1", "KAFKA_A": "2"}
    assert list(from_environment(one)) == list(from_environment(dict(reversed(one.items()))))
