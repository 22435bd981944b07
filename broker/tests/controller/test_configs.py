"""Changing settings. The expected codes and words are those of Apache Kafka 4.3.1, but where it would ignore a setting."""

import pytest
from broker.controller.brokers import fence
from broker.controller.configs import Operation, alter_configs, refuse_alter
from broker.controller.topics import create_topics
from broker.metadata.image import BROKER_RESOURCE, TOPIC_RESOURCE
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)

from .cluster import Cluster, codes, create, topic

SET, DELETE, APPEND, SUBTRACT = Operation
Change = tuple[str, int, str | None]


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster()
    cluster.decide(create_topics, create(topic("t"), topic("u")))
    return cluster


def resource(name: str, *changes: Change, kind: int = TOPIC_RESOURCE) -> AlterConfigsResource:
    return AlterConfigsResource(
        resource_type=kind,
        resource_name=name,
        configs=[AlterableConfig(name=key, config_operation=int(operation), value=value) for key, operation, value in changes],
    )


def request_of(*resources: AlterConfigsResource, validate_only: bool = False) -> IncrementalAlterConfigsRequest:
    return IncrementalAlterConfigsRequest(resources=list(resources), validate_only=validate_only)


def alter(cluster: Cluster, *changes: Change, name: str = "t", kind: int = TOPIC_RESOURCE) -> tuple[str, str | None]:
    (answer,) = cluster.decide(alter_configs, request_of(resource(name, *changes, kind=kind))).responses
    assert (answer.resource_type, answer.resource_name) == (kind, name)
    return ErrorCode(answer.error_code).name, answer.error_message


def settings(cluster: Cluster, name: str = "t", kind: int = TOPIC_RESOURCE) -> dict[str, str]:
    return dict(cluster.image.config(kind, name))


def test_setting_and_removing(cluster: Cluster) -> None:
    assert alter(cluster, ("retention.ms", SET, " 5 "), ("segment.bytes", SET, "2000000")) == ("NONE", None)
    assert settings(cluster) == {"retention.ms": "5", "segment.bytes": "2000000"}
    assert alter(cluster, ("retention.ms", DELETE, None)) == ("NONE", None)
    assert settings(cluster) == {"segment.bytes": "2000000"}


def test_what_is_as_it_was_leaves_no_record(cluster: Cluster) -> None:
    alter(cluster, ("retention.ms", SET, "5"))
    for change in (("retention.ms", SET, "5"), ("segment.ms", DELETE, None), ("no.such", DELETE, None)):
        assert alter(cluster, change) == ("NONE", None)
        assert cluster.records == []
    assert alter(cluster) == ("NONE", None)


def test_lists(cluster: Cluster) -> None:
    """From the broker's value on when the topic has none."""
    alter(cluster, ("cleanup.policy", APPEND, "compact"))
    assert settings(cluster) == {"cleanup.policy": "delete,compact"}
    alter(cluster, ("cleanup.policy", APPEND, "compact,delete"))
    assert settings(cluster) == {"cleanup.policy": "delete,compact"}
    alter(cluster, ("cleanup.policy", SUBTRACT, "delete"))
    assert settings(cluster) == {"cleanup.policy": "compact"}
    alter(cluster, ("cleanup.policy", SUBTRACT, "compact"))
    assert settings(cluster) == {"cleanup.policy": ""}


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        (
            [("retention.ms", SET, None), ("segment.ms", SET, None)],
            "INVALID_REQUEST",
            "Null value not supported for : retention.ms, segment",
        ),
        ([("retention.ms", SET, "1"), ("retention.ms", SET, "2")], "INVALID_REQUEST", "Error due to duplicate config keys"),
        ([("no.such", SET, "1")], "INVALID_CONFIG", "Unknown topic config name: no.such"),
        ([("flush.ms", SET, "1")], "INVALID_CONFIG", "flush.ms is not supported yet"),
        ([("retention.ms", SET, "x")], "INVALID_CONFIG", "retention.ms=x is not allowed: it takes a whole number from -1"),
        ([("retention.ms", APPEND, "1")], "INVALID_CONFIG", "Can't APPEND to key retention.ms because its type is not LIST."),
        ([("retention.ms", SUBTRACT, "1")], "INVALID_CONFIG", "Can't SUBTRACT to key retention.ms because its type is not LIST."),
        ([("cleanup.policy", APPEND, "shrink")], "INVALID_CONFIG", "cleanup.policy=delete,shrink is not allowed"),
        ([("retention.ms", 9, "1")], "INVALID_REQUEST", "Unknown operation type 9"),
        ([("unclean.leader.election.enable", SET, "perhaps")], "INVALID_CONFIG", "unclean.leader.election.enable=perhaps"),
        ([("min.insync.replicas", SET, "0")], "INVALID_CONFIG", "min.insync.replicas=0 is not allowed"),
    ],
)
def test_what_is_refused(cluster: Cluster, changes: list[Change], code: str, message: str) -> None:
    found = alter(cluster, *changes)
    assert found[0] == code
    assert message in (found[1] or "")
    assert settings(cluster) == {}


def test_one_bad_change_refuses_all_of_its_resource(cluster: Cluster) -> None:
    request = request_of(
        resource("t", ("retention.ms", SET, "5"), ("segment.ms", SET, "x")), resource("u", ("retention.ms", SET, "6"))
    )
    answers = cluster.decide(alter_configs, request).responses
    assert codes(answers, "resource_name") == [("t", "INVALID_CONFIG"), ("u", "NONE")]
    assert (settings(cluster), settings(cluster, "u")) == ({}, {"retention.ms": "6"})


def test_validating_changes_nothing(cluster: Cluster) -> None:
    request = request_of(
        resource("t", ("retention.ms", SET, "5")), resource("no", ("retention.ms", SET, "5")), validate_only=True
    )
    answers = cluster.decide(alter_configs, request).responses
    assert codes(answers, "resource_name") == [("no", "UNKNOWN_TOPIC_OR_PARTITION"), ("t", "NONE")]
    assert settings(cluster) == {}


def test_a_resource_that_is_named_twice(cluster: Cluster) -> None:
    request = request_of(*[resource("t", ("retention.ms", SET, value)) for value in ("5", "6")])
    answers = cluster.decide(alter_configs, request).responses
    assert [(ErrorCode(one.error_code).name, one.error_message) for one in answers] == [
        ("INVALID_REQUEST", "Each resource must appear at most once.")
    ] * 2
    assert settings(cluster) == {}


@pytest.mark.parametrize(
    ("kind", "name", "code", "message"),
    [
        (TOPIC_RESOURCE, "no", "UNKNOWN_TOPIC_OR_PARTITION", "The topic 'no' does not exist."),
        (TOPIC_RESOURCE, "", "INVALID_REQUEST", "Default topic resources are not allowed."),
        (BROKER_RESOURCE, "9", "INVALID_REQUEST", "No broker with id 9 is registered."),
        (BROKER_RESOURCE, "x", "INVALID_REQUEST", "Node id must be an integer, but it is: x"),
        (BROKER_RESOURCE, "²", "INVALID_REQUEST", "Node id must be an integer"),
        (0, "t", "INVALID_REQUEST", "resource type 0"),
        (8, "t", "INVALID_REQUEST", "resource type 8"),
    ],
)
def test_resources_that_there_are_not(cluster: Cluster, kind: int, name: str, code: str, message: str) -> None:
    found = alter(cluster, ("log.retention.ms", SET, "5"), name=name, kind=kind)
    assert found[0] == code
    assert message in (found[1] or "")


def test_settings_of_one_broker_and_of_all(cluster: Cluster) -> None:
    assert alter(cluster, ("log.retention.ms", SET, "5"), name="1", kind=BROKER_RESOURCE) == ("NONE", None)
    assert alter(cluster, ("log.retention.ms", SET, "6"), name="", kind=BROKER_RESOURCE) == ("NONE", None)
    assert settings(cluster, "1", BROKER_RESOURCE) == {"log.retention.ms": "5"}
    assert settings(cluster, "", BROKER_RESOURCE) == {"log.retention.ms": "6"}
    assert cluster.context.dynamic == {"log.retention.ms": "6"}


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (("node.id", SET, "5"), "INVALID_REQUEST", "Cannot update these configs dynamically: [node.id]"),
        (("log.retention.ms", SET, "x"), "INVALID_REQUEST", "log.retention.ms=x is not allowed"),
        (("no.such", SET, "5"), "INVALID_CONFIG", "no.such is not a setting of this broker"),
    ],
)
def test_settings_of_brokers_that_are_refused(cluster: Cluster, change: Change, code: str, message: str) -> None:
    """Kafka takes one that it does not know; here nothing is silently ignored."""
    found = alter(cluster, change, name="1", kind=BROKER_RESOURCE)
    assert found[0] == code
    assert message in (found[1] or "")
    assert settings(cluster, "1", BROKER_RESOURCE) == {}


def test_who_may_lead_can_be_loosened_for_one_topic_and_for_all(cluster: Cluster) -> None:
    assert alter(cluster, ("unclean.leader.election.enable", SET, "true")) == ("NONE", None)
    assert alter(cluster, ("unclean.leader.election.enable", SET, "true"), name="", kind=BROKER_RESOURCE) == ("NONE", None)
    assert settings(cluster) == settings(cluster, "", BROKER_RESOURCE) == {"unclean.leader.election.enable": "true"}


# The minimum of in-sync replicas says who is eligible (KIP-966).


def without_leaders() -> Cluster:
    """Topics t and u, which brokers have left one after the other: there are eligible and last known leaders."""
    cluster = Cluster((1, 2))
    cluster.decide(create_topics, create(topic("t", -1, -1, [(0, [1, 2])]), topic("u", -1, -1, [(0, [1, 2])])))
    for broker_id in (1, 2):
        cluster.replay(fence(cluster.image.brokers[broker_id], cluster.context))
    assert eligible(cluster) == {"t": ((2,), (2,)), "u": ((2,), (2,))}
    return cluster


def eligible(cluster: Cluster) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """(ELR, last known ELR) of each topic's only partition."""
    return {name: (one.partitions[0].elr, one.partitions[0].last_known_elr) for name, one in sorted(cluster.image.topics.items())}


@pytest.mark.parametrize(
    ("kind", "name", "gone"),
    [(TOPIC_RESOURCE, "t", ["t"]), (BROKER_RESOURCE, "", ["t", "u"])],
    ids=["one topic", "all topics"],
)
def test_another_minimum_forgets_who_was_eligible_under_the_former(kind: int, name: str, gone: list[str]) -> None:
    cluster = without_leaders()
    before = eligible(cluster)
    assert alter(cluster, ("min.insync.replicas", SET, "2"), name=name, kind=kind) == ("NONE", None)
    assert settings(cluster, name, kind) == {"min.insync.replicas": "2"}
    assert eligible(cluster) == before | dict.fromkeys(gone, ((), ()))
    assert alter(cluster, ("min.insync.replicas", SET, "2"), name=name, kind=kind) == ("NONE", None)
    assert cluster.records == [], "it is the same minimum"


def test_a_minimum_that_is_not_taken_forgets_nobody() -> None:
    cluster = without_leaders()
    before = eligible(cluster)
    change = ("min.insync.replicas", SET, "2")
    cluster.decide(alter_configs, request_of(resource("t", change), validate_only=True))
    assert alter(cluster, change, ("retention.ms", SET, "x"))[0] == "INVALID_CONFIG"
    assert alter(cluster, ("retention.ms", SET, "5")) == ("NONE", None)
    assert eligible(cluster) == before


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("1", (SET, "2"), "Broker-level min.insync.replicas cannot be altered while ELR is enabled."),
        ("", (DELETE, None), "Cluster-level min.insync.replicas cannot be removed while ELR is enabled."),
    ],
)
def test_the_whole_cluster_has_one_minimum(
    cluster: Cluster, name: str, change: tuple[Operation, str | None], message: str
) -> None:
    alter(cluster, ("min.insync.replicas", SET, "1"), name="", kind=BROKER_RESOURCE)
    operation, value = change
    assert alter(cluster, ("min.insync.replicas", operation, value), name=name, kind=BROKER_RESOURCE) == (
        "INVALID_CONFIG",
        message,
    )
    assert settings(cluster, "", BROKER_RESOURCE) == {"min.insync.replicas": "1"}
    assert settings(cluster, "1", BROKER_RESOURCE) == {}


def test_when_nothing_can_be_appended() -> None:
    error = KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "full")
    answers = refuse_alter(request_of(resource("t"), resource("u")), error).responses
    assert codes(answers, "resource_name") == [("t", "KAFKA_STORAGE_ERROR"), ("u", "KAFKA_STORAGE_ERROR")]
