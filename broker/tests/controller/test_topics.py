"""Creating and deleting topics and adding partitions. The expected codes and words are those of Apache Kafka 4.3.1."""

from collections.abc import Sequence
from typing import Any

import pytest
from broker.controller.topics import (
    create_partitions,
    create_topics,
    delete_topics,
    refuse_create,
    refuse_delete,
    refuse_partitions,
)
from broker.metadata.image import BROKER_RESOURCE, TOPIC_RESOURCE
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.create_partitions import (
    CreatePartitionsAssignment,
    CreatePartitionsRequest,
    CreatePartitionsTopic,
)
from broker.protocol.messages.create_topics import CreatableTopic, CreatableTopicConfig
from broker.protocol.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from broker.protocol.messages.metadata_records import ConfigRecord, PartitionRecord, TopicRecord
from broker.protocol.types import UUID

from .cluster import Cluster, codes, create, topic

STRANGER = UUID(int=77)


def created(*topics: CreatableTopic, cluster: Cluster | None = None) -> list[tuple[str, str]]:
    made = cluster or Cluster()
    return codes(made.decide(create_topics, create(*topics)).topics)


# Creating.


def test_a_topic_is_made_with_its_partitions() -> None:
    cluster = Cluster()
    (result,) = cluster.decide(create_topics, create(topic("t", 3, retention_ms="5"))).topics
    assert (result.name, result.error_code, result.error_message) == ("t", ErrorCode.NONE, None)
    assert (result.num_partitions, result.replication_factor) == (3, 1)
    made = cluster.image.topics["t"]
    assert made.topic_id == result.topic_id
    assert [(p.leader, p.leader_epoch, p.isr, p.directories) for p in made.partitions.values()] == [
        (1, 0, (1,), (UUID(int=101),))
    ] * 3
    assert cluster.image.config(TOPIC_RESOURCE, "t") == {"retention.ms": "5"}
    assert [type(record) for record in cluster.records] == [TopicRecord, ConfigRecord, *[PartitionRecord] * 3]


def test_the_answer_shows_all_settings() -> None:
    cluster = Cluster(log_retention_ms="9")
    (result,) = cluster.decide(create_topics, create(topic("t", segment_bytes="2000000"))).topics
    shown = {entry.name: (entry.value, entry.config_source) for entry in result.configs}
    assert shown["segment.bytes"] == ("2000000", 1)
    assert shown["retention.ms"] == ("9", 4)
    assert shown["min.insync.replicas"] == ("1", 5)


def test_defaults_of_the_broker() -> None:
    cluster = Cluster((1, 2), num_partitions="4", default_replication_factor="2")
    (result,) = cluster.decide(create_topics, create(topic("t", -1, -1))).topics
    assert (result.num_partitions, result.replication_factor) == (4, 2)


def test_names_are_checked() -> None:
    bad = ("", ".", "..", "a b", "x" * 250, "게시글")
    assert {code for _, code in created(*(topic(name) for name in bad))} == {"INVALID_TOPIC_EXCEPTION"}


def test_a_topic_that_exists() -> None:
    cluster = Cluster()
    assert created(topic("t"), cluster=cluster) == [("t", "NONE")]
    (result,) = cluster.decide(create_topics, create(topic("t"))).topics
    assert (result.error_code, result.error_message) == (ErrorCode.TOPIC_ALREADY_EXISTS, "Topic 't' already exists.")


@pytest.mark.parametrize(("first", "second"), [("a.b", "a_b"), ("a_b", "a.b"), ("a.b_c", "a_b.c")])
def test_names_that_differ_in_periods_and_underscores_alone(first: str, second: str) -> None:
    cluster = Cluster()
    cluster.decide(create_topics, create(topic(first)))
    (result,) = cluster.decide(create_topics, create(topic(second))).topics
    assert result.error_code == ErrorCode.INVALID_TOPIC_EXCEPTION
    assert result.error_message == f"Topic '{second}' collides with existing topic: {first}"


def test_the_metadata_log_is_no_topic() -> None:
    """It would take its files."""
    cluster = Cluster()
    results = cluster.decide(create_topics, create(topic("__cluster_metadata"), topic("fine"))).topics
    assert codes(results) == [("__cluster_metadata", "INVALID_REQUEST"), ("fine", "NONE")]
    assert results[0].error_message == "Creation of internal topic __cluster_metadata is prohibited."
    assert list(cluster.image.topics) == ["fine"]


def test_a_topic_that_is_named_twice_is_refused_once() -> None:
    cluster = Cluster()
    assert created(topic("d"), topic("d"), topic("d"), topic("e"), cluster=cluster) == [("d", "INVALID_REQUEST"), ("e", "NONE")]
    assert list(cluster.image.topics) == ["e"]


@pytest.mark.parametrize(
    ("made", "code", "message"),
    [
        (topic("t", 0), "INVALID_PARTITIONS", "Number of partitions was set to an invalid non-positive value."),
        (topic("t", -2), "INVALID_PARTITIONS", "Number of partitions was set to an invalid non-positive value."),
        (topic("t", 1, 0), "INVALID_REPLICATION_FACTOR", "Replication factor must be larger than 0, or -1 to use the default"),
        (topic("t", 0, -2), "INVALID_REPLICATION_FACTOR", "Replication factor must be larger than 0"),
        (topic("t", 1, 2), "INVALID_REPLICATION_FACTOR", "The target replication factor of 2 cannot be reached because only 1"),
        (topic("t", 10_001), "POLICY_VIOLATION", "Excessively large number of partitions per request."),
        (topic("t", 1, -1, [(0, [1])]), "INVALID_REQUEST", "numPartitions was not set to -1"),
        (topic("t", -1, 1, [(0, [1])]), "INVALID_REQUEST", "replication factor was not set to -1"),
        (topic("t", -1, -1, [(0, [1]), (0, [1])]), "INVALID_REPLICA_ASSIGNMENT", "multiple manual partition assignments"),
        (topic("t", -1, -1, [(0, [1]), (2, [1])]), "INVALID_REPLICA_ASSIGNMENT", "consecutive 0-based integer sequence"),
        (topic("t", -1, -1, [(1, [1])]), "INVALID_REPLICA_ASSIGNMENT", "consecutive 0-based integer sequence"),
        (topic("t", -1, -1, [(0, [9])]), "INVALID_REPLICA_ASSIGNMENT", "includes broker 9, but no such broker is registered"),
        (topic("t", -1, -1, [(0, [1, 1])]), "INVALID_REPLICA_ASSIGNMENT", "includes the broker 1 more than once"),
        (topic("t", -1, -1, [(0, [])]), "INVALID_REPLICA_ASSIGNMENT", "includes an empty replica list"),
        (topic("t", no_such="1"), "INVALID_CONFIG", "Unknown topic config name: no.such"),
        (topic("t", flush_ms="1"), "INVALID_CONFIG", "flush.ms is not supported yet"),
        (topic("t", retention_ms="soon"), "INVALID_CONFIG", "retention.ms=soon is not allowed: it takes a whole number"),
        (topic("t", retention_ms="-2"), "INVALID_CONFIG", "retention.ms=-2 is not allowed"),
        (topic("t", segment_bytes="10"), "INVALID_CONFIG", "segment.bytes=10 is not allowed"),
        (topic("t", cleanup_policy="shrink"), "INVALID_CONFIG", "cleanup.policy=shrink is not allowed"),
        (topic("t", message_timestamp_type="Foo"), "INVALID_CONFIG", "message.timestamp.type=Foo is not allowed"),
        (topic("t", min_insync_replicas="0"), "INVALID_CONFIG", "min.insync.replicas=0 is not allowed"),
        (topic("t", compression_type="gzip"), "INVALID_CONFIG", "compression.type=gzip is not allowed: it takes producer"),
        (topic("t", retention_ms=None), "INVALID_CONFIG", "Null value not supported for topic configs: retention.ms"),
    ],
)
def test_what_is_refused(made: CreatableTopic, code: str, message: str) -> None:
    cluster = Cluster()
    (result,) = cluster.decide(create_topics, create(made)).topics
    assert ErrorCode(result.error_code).name == code
    assert message in (result.error_message or "")
    assert cluster.records == []


def test_a_setting_that_is_given_twice_counts_as_the_last() -> None:
    cluster = Cluster()
    made = topic("t")
    made.configs = [CreatableTopicConfig(name="retention.ms", value=value) for value in ("1", "2")]
    cluster.decide(create_topics, create(made))
    assert cluster.image.config(TOPIC_RESOURCE, "t") == {"retention.ms": "2"}


def test_too_many_partitions_in_one_request_make_none() -> None:
    cluster = Cluster()
    results = cluster.decide(create_topics, create(topic("a", 6000), topic("b", 4001))).topics
    assert codes(results) == [("a", "POLICY_VIOLATION"), ("b", "POLICY_VIOLATION")]
    assert cluster.records == []
    assert created(topic("a", 10_000)) == [("a", "NONE")]


def test_validating_makes_nothing() -> None:
    cluster = Cluster()
    cluster.decide(create_topics, create(topic("there")))
    results = cluster.decide(create_topics, create(topic("t"), topic("there"), validate_only=True)).topics
    assert codes(results) == [("t", "NONE"), ("there", "TOPIC_ALREADY_EXISTS")]
    assert list(cluster.image.topics) == ["there"]


def test_manual_assignments() -> None:
    cluster = Cluster((1, 2, 3), fenced=(2,))
    (result,) = cluster.decide(create_topics, create(topic("t", -1, -1, [(1, [2, 3]), (0, [1, 2])]))).topics
    assert (result.num_partitions, result.replication_factor) == (2, 2)
    made = cluster.image.topics["t"].partitions
    assert [(made[index].replicas, made[index].isr, made[index].leader) for index in (0, 1)] == [
        ((1, 2), (1,), 1),
        ((2, 3), (3,), 3),
    ]


def test_manual_assignments_of_different_lengths() -> None:
    cluster = Cluster((1, 2))
    assert created(topic("t", -1, -1, [(0, [1]), (1, [1, 2])]), cluster=cluster) == [("t", "INVALID_REPLICA_ASSIGNMENT")]


def test_a_topic_needs_a_broker_that_is_not_fenced() -> None:
    fenced = Cluster((1,), fenced=(1,))
    assert created(topic("t"), cluster=fenced) == [("t", "INVALID_REPLICATION_FACTOR")]
    assert created(topic("t", -1, -1, [(0, [1])]), cluster=fenced) == [("t", "INVALID_REPLICA_ASSIGNMENT")]


def test_decisions_of_one_seed_are_the_same() -> None:
    def ids() -> list[UUID]:
        cluster = Cluster((1, 2, 3))
        cluster.decide(create_topics, create(topic("a", 5, 2), topic("b", 3)))
        return [one.topic_id for one in cluster.image.topics.values()]

    assert ids() == ids()
    assert len(set(ids())) == 2


# Deleting.


def delete(*names: str, ids: Sequence[UUID] = (), states: Sequence[DeleteTopicState] = ()) -> DeleteTopicsRequest:
    named = [DeleteTopicState(name=name) for name in names]
    return DeleteTopicsRequest(topics=[*named, *(DeleteTopicState(name=None, topic_id=one) for one in ids), *states])


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster()
    cluster.decide(create_topics, create(topic("a", retention_ms="1"), topic("b"), topic("__consumer_offsets")))
    return cluster


def test_deleting_by_name_and_by_id(cluster: Cluster) -> None:
    ids = {name: one.topic_id for name, one in cluster.image.topics.items()}
    results = cluster.decide(delete_topics, delete("a", ids=[ids["b"]])).responses
    assert [(one.name, one.topic_id, one.error_code) for one in results] == [("a", ids["a"], 0), ("b", ids["b"], 0)]
    assert list(cluster.image.topics) == ["__consumer_offsets"]
    assert cluster.image.configs == {}


def test_the_old_form_of_the_request(cluster: Cluster) -> None:
    results = cluster.decide(delete_topics, DeleteTopicsRequest(topic_names=["a", "b", "b"])).responses
    assert codes(results) == [("a", "NONE"), ("b", "INVALID_REQUEST")]


def test_internal_topics_may_be_deleted(cluster: Cluster) -> None:
    """As in Kafka, where nothing but the right to do it is asked for."""
    assert codes(cluster.decide(delete_topics, delete("__consumer_offsets")).responses) == [("__consumer_offsets", "NONE")]


def test_a_topic_made_again_has_another_id(cluster: Cluster) -> None:
    before = cluster.image.topics["a"].topic_id
    cluster.decide(delete_topics, delete("a"))
    cluster.decide(create_topics, create(topic("a")))
    assert cluster.image.topics["a"].topic_id != before
    assert cluster.image.config(TOPIC_RESOURCE, "a") == {}


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (delete("no"), [("no", "UNKNOWN_TOPIC_OR_PARTITION", "This server does not host this topic-partition.")]),
        (delete(ids=[STRANGER]), [(None, "UNKNOWN_TOPIC_ID", "This server does not host this topic ID.")]),
        (delete("b", "b"), [("b", "INVALID_REQUEST", "Duplicate topic name.")]),
        (delete(ids=[STRANGER] * 2), [(None, "INVALID_REQUEST", "Duplicate topic id.")]),
        (
            delete(states=[DeleteTopicState(name="a", topic_id=STRANGER)]),
            [("a", "INVALID_REQUEST", "You may not specify both topic name and topic id.")],
        ),
        (
            delete(states=[DeleteTopicState(name=None)]),
            [(None, "INVALID_REQUEST", "Neither topic name nor id were specified.")],
        ),
        (delete("__cluster_metadata"), [("__cluster_metadata", "UNKNOWN_TOPIC_OR_PARTITION", None)]),
    ],
)
def test_what_is_not_deleted(cluster: Cluster, request_: DeleteTopicsRequest, expected: list[tuple[str, str, str]]) -> None:
    results = cluster.decide(delete_topics, request_).responses
    for result, (name, code, message) in zip(results, expected, strict=True):
        assert (result.name, ErrorCode(result.error_code).name) == (name, code)
        assert message in (None, result.error_message)
    assert cluster.records == []


def test_a_name_and_its_id(cluster: Cluster) -> None:
    topic_id = cluster.image.topics["a"].topic_id
    results = cluster.decide(delete_topics, delete("a", ids=[topic_id])).responses
    assert [one.error_code for one in results] == [ErrorCode.NONE, ErrorCode.INVALID_REQUEST]
    assert results[1].error_message == "The provided topic name maps to an ID that was already supplied."


def test_deletion_may_be_forbidden() -> None:
    cluster = Cluster(delete_topic_enable="false")
    cluster.decide(create_topics, create(topic("a")))
    assert codes(cluster.decide(delete_topics, delete("a")).responses) == [("a", "TOPIC_DELETION_DISABLED")]


# More partitions.


def grow(name: str, count: int, assignments: Sequence[Sequence[int]] | None = None) -> CreatePartitionsTopic:
    made = None if assignments is None else [CreatePartitionsAssignment(broker_ids=list(brokers)) for brokers in assignments]
    return CreatePartitionsTopic(name=name, count=count, assignments=made)


def request_of(*topics: CreatePartitionsTopic, validate_only: bool = False) -> CreatePartitionsRequest:
    return CreatePartitionsRequest(topics=list(topics), validate_only=validate_only)


def test_more_partitions(cluster: Cluster) -> None:
    before = cluster.image.topics["a"].partitions[0]
    assert codes(cluster.decide(create_partitions, request_of(grow("a", 3))).results) == [("a", "NONE")]
    made = cluster.image.topics["a"].partitions
    assert list(made) == [0, 1, 2]
    assert made[0] is before
    assert (made[2].leader, made[2].leader_epoch) == (1, 0)


def test_more_partitions_where_they_are_wanted(cluster: Cluster) -> None:
    assert codes(cluster.decide(create_partitions, request_of(grow("a", 3, [[1], [1]]))).results) == [("a", "NONE")]


def test_validating_adds_nothing(cluster: Cluster) -> None:
    assert codes(cluster.decide(create_partitions, request_of(grow("a", 3), validate_only=True)).results) == [("a", "NONE")]
    assert list(cluster.image.topics["a"].partitions) == [0]


def test_each_topic_is_decided_on_its_own(cluster: Cluster) -> None:
    request = request_of(grow("a", 2), grow("a", 3), grow("b", 2), grow("c", 2))
    assert codes(cluster.decide(create_partitions, request).results) == [
        ("a", "INVALID_REQUEST"),
        ("b", "NONE"),
        ("c", "UNKNOWN_TOPIC_OR_PARTITION"),
    ]


@pytest.mark.parametrize(
    ("wanted", "code", "message"),
    [
        (grow("a", 1), "INVALID_PARTITIONS", "Topic already has 1 partition(s)."),
        (grow("a", 0), "INVALID_PARTITIONS", "currently has 1 partition(s); 0 would not be an increase"),
        (grow("a", -1), "INVALID_PARTITIONS", "-1 would not be an increase"),
        (grow("a", 20_000), "POLICY_VIOLATION", "Excessively large number of partitions"),
        (grow("a", 3, [[1]]), "INVALID_REPLICA_ASSIGNMENT", "Attempted to add 2 additional partition(s), but only 1 assignment"),
        (grow("a", 2, [[1], [1]]), "INVALID_REPLICA_ASSIGNMENT", ""),
        (grow("a", 2, [[9]]), "INVALID_REPLICA_ASSIGNMENT", "no such broker is registered"),
        (grow("a", 2, [[1, 1]]), "INVALID_REPLICA_ASSIGNMENT", "more than once"),
        (grow("a", 2, [[]]), "INVALID_REPLICA_ASSIGNMENT", "empty replica list"),
        (grow("", 2), "UNKNOWN_TOPIC_OR_PARTITION", ""),
    ],
)
def test_what_is_not_added(cluster: Cluster, wanted: CreatePartitionsTopic, code: str, message: str) -> None:
    (result,) = cluster.decide(create_partitions, request_of(wanted)).results
    assert ErrorCode(result.error_code).name == code
    assert message in (result.error_message or "")
    assert cluster.records == []


def test_other_replication_factors_are_not_added() -> None:
    cluster = Cluster((1, 2))
    cluster.decide(create_topics, create(topic("a")))
    (result,) = cluster.decide(create_partitions, request_of(grow("a", 2, [[1, 2]]))).results
    assert result.error_code == ErrorCode.INVALID_REPLICA_ASSIGNMENT
    assert "a partition with 2 replica(s), the others have 1" in (result.error_message or "")


# When nothing can be appended.


def test_everything_is_refused_by_name() -> None:
    error = KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "full")
    answers: list[Sequence[Any]] = [
        refuse_create(create(topic("a"), topic("b")), error).topics,
        refuse_delete(delete("a", "b"), error).responses,
        refuse_partitions(request_of(grow("a", 2), grow("b", 2)), error).results,
    ]
    for results in answers:
        assert codes(results) == [("a", "KAFKA_STORAGE_ERROR"), ("b", "KAFKA_STORAGE_ERROR")]
        assert {one.error_message for one in results} == {"full"}


def test_settings_of_run_time_are_shown() -> None:
    cluster = Cluster()
    cluster.replay([ConfigRecord(resource_type=BROKER_RESOURCE, resource_name="", name="log.retention.ms", value="3")])
    (result,) = cluster.decide(create_topics, create(topic("t"))).topics
    assert [(entry.value, entry.config_source) for entry in result.configs if entry.name == "retention.ms"] == [("3", 3)]
