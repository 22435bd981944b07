"""Typed settings of a node and of a topic, and what a node refuses to start with."""

import pytest
from broker.config import BrokerConfig, ConfigError, TopicConfig
from broker.config.broker import Endpoint, Voter
from broker.config.definitions import BY_NAME, TOPIC_SETTINGS
from broker.config.sources import SHIPPED


def config(**settings: str) -> BrokerConfig:
    return BrokerConfig(SHIPPED | {name.replace("_", "."): text for name, text in settings.items()})


def test_attributes_and_values() -> None:
    made = config(num_partitions="6", auto_create_topics_enable="false")
    assert (made.num_partitions, made.auto_create_topics_enable, made.node_id) == (6, False, 1)
    assert made.value("num.partitions") == 6
    assert made.value("log.segment.bytes") == 2**30
    assert made.given["num.partitions"] == 6
    assert "log.segment.bytes" not in made.given


def test_every_declared_attribute_is_set() -> None:
    made = config()
    for name in BrokerConfig.__annotations__:
        assert getattr(made, name) == made.value(name.replace("_", "."))
        assert name.replace("_", ".") in BY_NAME
    topic = TopicConfig.from_overrides(made, {})
    for name in TopicConfig.__annotations__:
        assert hasattr(topic, name)
        assert name.replace("_", ".") in TOPIC_SETTINGS


def test_listeners() -> None:
    made = config(
        listeners="plaintext://:9092,INSIDE://10.0.0.1:9095,CONTROLLER://[::1]:9093",
        advertised_listeners="PLAINTEXT://example.org:19092",
    )
    assert made.listeners == [
        Endpoint("PLAINTEXT", "", 9092),
        Endpoint("INSIDE", "10.0.0.1", 9095),
        Endpoint("CONTROLLER", "::1", 9093),
    ]
    assert [endpoint.name for endpoint in made.broker_listeners] == ["PLAINTEXT", "INSIDE"]
    assert made.advertised == {
        "PLAINTEXT": Endpoint("PLAINTEXT", "example.org", 19092),
        "INSIDE": Endpoint("INSIDE", "10.0.0.1", 9095),
        "CONTROLLER": Endpoint("CONTROLLER", "::1", 9093),
    }


def test_voters() -> None:
    assert config(controller_quorum_voters="1@a.example:9093").voters == [Voter(1, "a.example", 9093)]


def test_the_data_directory() -> None:
    assert config(log_dirs="/a").log_directory == "/a"
    assert config(log_dir="/b").log_directory == "/b"
    assert config(log_dirs="/a", log_dir="/b").log_directory == "/a"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, 7 * 86_400_000),
        ({"log.retention.hours": "1"}, 3_600_000),
        ({"log.retention.hours": "-1"}, -1),
        ({"log.retention.hours": "1", "log.retention.minutes": "5"}, 300_000),
        ({"log.retention.minutes": "-1"}, -1),
        ({"log.retention.hours": "1", "log.retention.minutes": "5", "log.retention.ms": "7"}, 7),
    ],
)
def test_the_smallest_unit_of_a_time_wins(given: dict[str, str], expected: int) -> None:
    broker = BrokerConfig(SHIPPED | given)
    assert broker.value("log.retention.ms") == TopicConfig.from_overrides(broker, {}).retention_ms == expected


@pytest.mark.parametrize(("given", "expected"), [({"log.roll.hours": "2"}, 7_200_000), ({"log.roll.ms": "3"}, 3)])
def test_a_segment_rolls_after_hours(given: dict[str, str], expected: int) -> None:
    assert TopicConfig.from_overrides(BrokerConfig(SHIPPED | given), {}).segment_ms == expected


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"node_id": "x"}, r"^node\.id=x is not allowed: it takes a whole number from 0"),
        ({"node_id": "-1"}, r"^node\.id=-1 is not allowed"),
        ({"process_roles": "broker"}, r"^process\.roles=broker is not supported yet: it takes broker,controller"),
        ({"log_dirs": "/a,/b"}, r"^log\.dirs=/a,/b is not supported yet: it takes one directory"),
        ({"controller_quorum_voters": "1@a:1,1@b:2"}, r"^controller\.quorum\.voters names node 1 twice"),
        ({"controller_quorum_voters": "2@a:1"}, r"^node\.id=1 is not among the nodes 2 of controller\.quorum\.voters: give this"),
        ({"controller_quorum_voters": "a:1"}, r"^controller\.quorum\.voters=a:1 is not of the form id@host:port"),
        ({"controller_listener_names": "X"}, r"^controller\.listener\.names=X is not among the listeners PLAINTEXT, CONTROLLER"),
        ({"listeners": "CONTROLLER://:9093"}, r"^listeners has only controller listeners"),
        ({"listeners": "PLAINTEXT:9092,CONTROLLER://:9093"}, r"^listeners=PLAINTEXT:9092 is not of the form NAME://host:port"),
        ({"listeners": "PLAINTEXT://:65536,CONTROLLER://:9093"}, r"^listeners=PLAINTEXT://:65536 is not of the form"),
        ({"listeners": "PLAINTEXT://host,CONTROLLER://:9093"}, r"^listeners=PLAINTEXT://host is not of the form"),
        (
            {"listener_security_protocol_map": "PLAINTEXT:SSL,CONTROLLER:PLAINTEXT"},
            r"^listener\.security\.protocol\.map=PLAINTEXT:SSL is not supported yet: PLAINTEXT is the only protocol",
        ),
        (
            {"listener_security_protocol_map": "PLAINTEXT:PLAINTEXT"},
            r"^listener\.security\.protocol\.map=PLAINTEXT:PLAINTEXT is not allowed: it lacks the listener CONTROLLER",
        ),
        (
            {"listeners": "A://:1,A://:2,CONTROLLER://:3"},
            r"^listeners=A://:1,A://:2,CONTROLLER://:3 is not allowed: each listener",
        ),
        ({"advertised_listeners": "nowhere"}, r"^advertised\.listeners=nowhere is not of the form NAME://host:port"),
        (
            {"advertised_listeners": "OTHER://h:1"},
            r"^advertised\.listeners=OTHER://h:1 is not allowed: it takes the listeners PLAIN",
        ),
        ({"advertised_listeners": "PLAINTEXT://0.0.0.0:1"}, r"^advertised\.listeners=PLAINTEXT://0\.0\.0\.0:1 is not allowed"),
        ({"no_such_thing": "1"}, r"^no\.such\.thing is not a setting of this broker.* \(given was no\.such\.thing=1\)"),
    ],
)
def test_what_a_node_does_not_start_with(settings: dict[str, str], said: str) -> None:
    """In the constructor, so that nothing is half started."""
    with pytest.raises(ConfigError, match=said):
        config(**settings)


def test_protocols_of_listeners_that_there_are_not_do_not_matter() -> None:
    """Kafka's shipped file maps every protocol it knows."""
    text = "controller:plaintext,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL"
    assert config(listener_security_protocol_map=text).broker_listeners == [Endpoint("PLAINTEXT", "", 9092)]


def test_a_node_needs_its_id() -> None:
    with pytest.raises(ConfigError, match=r"^node\.id is not set"):
        BrokerConfig({})


def test_a_topic_takes_the_brokers_values_and_then_its_own() -> None:
    broker = config(log_retention_ms="1000", log_segment_bytes="2000000", log_cleanup_policy="compact,delete")
    plain = TopicConfig.from_overrides(broker, {})
    assert (plain.retention_ms, plain.segment_bytes, plain.cleanup_policy) == (1000, 2_000_000, "compact,delete")
    own = TopicConfig.from_overrides(broker, {"retention.ms": "-1", "cleanup.policy": "delete"})
    assert (own.retention_ms, own.segment_bytes, own.cleanup_policy) == (-1, 2_000_000, "delete")


def test_values_of_run_time_stand_between_the_two() -> None:
    broker = config(log_retention_ms="1000")
    dynamic = {"log.retention.ms": "2000", "message.max.bytes": "77"}
    assert TopicConfig.from_overrides(broker, {}, dynamic).retention_ms == 2000
    topic = TopicConfig.from_overrides(broker, {"retention.ms": "3000"}, dynamic)
    assert (topic.retention_ms, topic.max_message_bytes) == (3000, 77)


def test_a_bad_topic_value_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^retention\.ms=soon is not allowed"):
        TopicConfig.from_overrides(config(), {"retention.ms": "soon"})


def test_what_was_set_and_changes_nothing_is_told() -> None:
    assert config().without_effect() == [], "the shipped file says it as well"
    made = config(num_io_threads="16", num_network_threads="3", transaction_state_log_min_isr="2", num_partitions="7")
    assert made.without_effect() == ["num.io.threads=16 has no effect: one event loop does the work"]


@pytest.mark.parametrize("servers", ["", "localhost:9093"])
def test_a_node_without_voters_is_the_quorum(servers: str) -> None:
    """Kafka's shipped file names this node alone as where the quorum is found."""
    made = config(controller_quorum_voters="", controller_quorum_bootstrap_servers=servers)
    assert made.voters == []


@pytest.mark.parametrize("servers", ["c1:9093,c2:9093", "c1:9999"])
def test_a_node_that_names_others_is_no_quorum_of_its_own(servers: str) -> None:
    with pytest.raises(ConfigError, match=r"^controller\.quorum\.bootstrap\.servers=c1:.* name the nodes in .*voters$"):
        config(controller_quorum_voters="", controller_quorum_bootstrap_servers=servers)
    assert len(config(controller_quorum_bootstrap_servers=servers).voters) == 1
