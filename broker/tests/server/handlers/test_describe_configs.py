"""DescribeConfigs: every setting with its value, where it comes from, and what else it could be."""

from typing import Any

import pytest
from broker.config.definitions import BROKER_SETTINGS, TOPIC_SETTINGS
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResource
from broker.protocol.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)

from ..world import Node

TOPIC, BROKER, LOGGER = 2, 4, 8
OF_TOPIC, OF_BROKER, OF_ALL_BROKERS, STATIC, DEFAULT = 1, 2, 3, 4, 5


def described(node: Node, kind: int, name: str, keys: list[str] | None = None, version: int = 4, **options: bool) -> Any:
    resource = DescribeConfigsResource(resource_type=kind, resource_name=name, configuration_keys=keys)
    (result,) = node.ask(DescribeConfigsRequest(resources=[resource], **options), version).results
    return result


def entries(result: Any) -> dict[str, Any]:
    assert result.error_code == ErrorCode.NONE, result.error_message
    return {one.name: one for one in result.configs}


def alter(node: Node, kind: int, name: str, **settings: str) -> None:
    configs = [AlterableConfig(name=key.replace("_", "."), config_operation=0, value=value) for key, value in settings.items()]
    resource = AlterConfigsResource(resource_type=kind, resource_name=name, configs=configs)
    (response,) = node.ask(IncrementalAlterConfigsRequest(resources=[resource])).responses
    assert response.error_code == ErrorCode.NONE, response.error_message


def test_a_topic_shows_every_setting(node: Node) -> None:
    node.topic("t", retention_ms="1000")
    found = entries(described(node, TOPIC, "t"))
    assert set(found) == set(TOPIC_SETTINGS)
    assert (found["retention.ms"].value, found["retention.ms"].config_source) == ("1000", OF_TOPIC)
    assert (found["max.message.bytes"].value, found["max.message.bytes"].config_source) == ("1048588", DEFAULT)
    assert not any(one.read_only or one.is_sensitive for one in found.values())


def test_a_broker_shows_every_setting(node: Node) -> None:
    found = entries(described(node, BROKER, "1"))
    assert set(found) == {setting.name for setting in BROKER_SETTINGS}
    assert (found["log.dirs"].value, found["log.dirs"].config_source, found["log.dirs"].read_only) == ("/data", STATIC, True)
    assert found["num.partitions"].value == "1"


def test_settings_made_at_run_time_stand_before_others(node: Node) -> None:
    alter(node, BROKER, "", log_retention_ms="3000")
    alter(node, BROKER, "1", log_retention_ms="2000")
    one = entries(described(node, BROKER, "1", include_synonyms=True))["log.retention.ms"]
    assert (one.value, one.config_source) == ("2000", OF_BROKER)
    synonyms = [(synonym.value, synonym.source) for synonym in one.synonyms]
    assert synonyms[:2] == [("2000", OF_BROKER), ("3000", OF_ALL_BROKERS)]
    cluster = entries(described(node, BROKER, ""))
    assert {name: (one.value, one.config_source) for name, one in cluster.items()} == {
        "log.retention.ms": ("3000", OF_ALL_BROKERS),
        # Written down when the cluster began (KIP-966).
        "min.insync.replicas": ("1", OF_ALL_BROKERS),
    }
    # A topic takes what its broker has.
    node.topic("t")
    topic = entries(described(node, TOPIC, "t", include_synonyms=True))["retention.ms"]
    assert (topic.value, topic.config_source) == ("2000", OF_BROKER)


def test_synonyms_and_documentation_are_for_who_asks(node: Node) -> None:
    node.topic("t")
    plain = entries(described(node, TOPIC, "t"))["segment.bytes"]
    assert (plain.synonyms, plain.documentation) == ([], None)
    full = entries(described(node, TOPIC, "t", include_synonyms=True, include_documentation=True))["segment.bytes"]
    assert [synonym.name for synonym in full.synonyms][-1] == "log.segment.bytes"
    assert full.documentation
    assert full.config_type == 3


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_every_version_and_only_the_keys_asked_for(node: Node, version: int) -> None:
    node.topic("t")
    keys = ["retention.ms", "cleanup.policy", "no.such.key"]
    assert set(entries(described(node, TOPIC, "t", keys, version))) == {"retention.ms", "cleanup.policy"}
    assert len(entries(described(node, TOPIC, "t", [], version))) == len(TOPIC_SETTINGS)


@pytest.mark.parametrize(
    ("kind", "name", "code"),
    [
        (TOPIC, "none", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        (TOPIC, "bad name", ErrorCode.INVALID_TOPIC_EXCEPTION),
        (BROKER, "2", ErrorCode.INVALID_REQUEST),
        (BROKER, "x", ErrorCode.INVALID_REQUEST),
        (LOGGER, "1", ErrorCode.INVALID_REQUEST),
        (99, "1", ErrorCode.INVALID_REQUEST),
    ],
)
def test_what_is_not_there(node: Node, kind: int, name: str, code: ErrorCode) -> None:
    result = described(node, kind, name)
    assert (result.error_code, result.configs) == (code, [])
    assert (result.resource_type, result.resource_name) == (kind, name)
