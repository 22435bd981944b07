"""What administrators are told, case by case and word by word: topics, partitions and settings that are refused.

The codes are those of both brokers; a text is given where both say the same. Where ours differs on purpose (a value that is
not allowed says what is, and a setting that it does not know is refused), the unit tests of the controller hold it.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from broker.protocol.errors import ErrorCode
from broker.protocol.message import Request
from broker.protocol.messages.create_partitions import (
    CreatePartitionsAssignment,
    CreatePartitionsRequest,
    CreatePartitionsTopic,
)
from broker.protocol.messages.create_topics import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from broker.protocol.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from broker.protocol.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from broker.protocol.types import UUID

from .conftest import Target
from .raw import Raw

TIMEOUT_MS = 30_000
STRANGER = UUID(int=77)
TOPIC, BROKER = 2, 4
SET, DELETE, APPEND, SUBTRACT = range(4)
# A topic or resource, the code, and the text; None where the brokers use words of their own.
Told = tuple[str | None, str, str | None]
INVALID_COUNT = "Number of partitions was set to an invalid non-positive value."
INVALID_FACTOR = "Replication factor must be larger than 0, or -1 to use the default value."


@pytest.fixture
def raw(target: Target) -> Iterator[Raw]:
    with Raw(target) as connection:
        yield connection


@pytest.fixture
def there(raw: Raw, target: Target) -> str:
    """A topic of two partitions."""
    name = target.fresh("there")
    assert told(raw, create(topic(name, 2))) == [(name, "NONE")]
    return name


def told(raw: Raw, request: Request, version: int | None = None) -> list[tuple[str | None, str]]:
    return [(name, code) for name, code, _ in said(raw, request, version)]


def said(raw: Raw, request: Request, version: int | None = None) -> list[Told]:
    answer: Any = raw.ask(request, version)
    results = next(getattr(answer, name) for name in ("topics", "responses", "results") if hasattr(answer, name))
    found = [
        (one.resource_name if hasattr(one, "resource_name") else one.name, ErrorCode(one.error_code).name, one.error_message)
        for one in results
    ]
    return sorted(found, key=str)


def topic(
    name: str, partitions: int = 1, factor: int = 1, assignments: Sequence[tuple[int, list[int]]] = (), **configs: str | None
) -> CreatableTopic:
    return CreatableTopic(
        name=name,
        num_partitions=partitions,
        replication_factor=factor,
        assignments=[CreatableReplicaAssignment(partition_index=index, broker_ids=brokers) for index, brokers in assignments],
        configs=[CreatableTopicConfig(name=key.replace("_", "."), value=value) for key, value in configs.items()],
    )


def create(*topics: CreatableTopic, validate_only: bool = False) -> CreateTopicsRequest:
    return CreateTopicsRequest(topics=list(topics), timeout_ms=TIMEOUT_MS, validate_only=validate_only)


def delete(*names: str | None, ids: Sequence[UUID] = ()) -> DeleteTopicsRequest:
    states = [DeleteTopicState(name=name) for name in names] + [DeleteTopicState(name=None, topic_id=one) for one in ids]
    return DeleteTopicsRequest(topics=states, timeout_ms=TIMEOUT_MS)


def grow(name: str, count: int, assignments: Sequence[list[int]] | None = None) -> CreatePartitionsTopic:
    made = None if assignments is None else [CreatePartitionsAssignment(broker_ids=brokers) for brokers in assignments]
    return CreatePartitionsTopic(name=name, count=count, assignments=made)


def partitions(*topics: CreatePartitionsTopic, validate_only: bool = False) -> CreatePartitionsRequest:
    return CreatePartitionsRequest(topics=list(topics), timeout_ms=TIMEOUT_MS, validate_only=validate_only)


def alter(
    name: str, *changes: tuple[str, int, str | None], kind: int = TOPIC, validate_only: bool = False
) -> IncrementalAlterConfigsRequest:
    configs = [AlterableConfig(name=key, config_operation=operation, value=value) for key, operation, value in changes]
    resource = AlterConfigsResource(resource_type=kind, resource_name=name, configs=configs)
    return IncrementalAlterConfigsRequest(resources=[resource], validate_only=validate_only)


@pytest.mark.parametrize(
    ("made", "code", "text"),
    [
        (topic(""), "INVALID_TOPIC_EXCEPTION", None),
        (topic("a b"), "INVALID_TOPIC_EXCEPTION", None),
        (topic("x" * 250), "INVALID_TOPIC_EXCEPTION", None),
        (topic("__cluster_metadata"), "INVALID_REQUEST", "Creation of internal topic __cluster_metadata is prohibited."),
        (topic("z", 0), "INVALID_PARTITIONS", INVALID_COUNT),
        (topic("z", -2), "INVALID_PARTITIONS", INVALID_COUNT),
        (topic("z", 1, 0), "INVALID_REPLICATION_FACTOR", INVALID_FACTOR),
        (topic("z", 0, 0), "INVALID_REPLICATION_FACTOR", INVALID_FACTOR),
        (topic("z", 1, 2), "INVALID_REPLICATION_FACTOR", None),
        (topic("z", 10_001), "POLICY_VIOLATION", "Excessively large number of partitions per request."),
        (topic("z", 1, -1, [(0, [1])]), "INVALID_REQUEST", None),
        (topic("z", -1, 1, [(0, [1])]), "INVALID_REQUEST", None),
        (topic("z", -1, -1, [(0, [1]), (0, [1])]), "INVALID_REPLICA_ASSIGNMENT", None),
        (topic("z", -1, -1, [(0, [1]), (2, [1])]), "INVALID_REPLICA_ASSIGNMENT", None),
        (topic("z", -1, -1, [(0, [9])]), "INVALID_REPLICA_ASSIGNMENT", None),
        (topic("z", -1, -1, [(0, [1, 1])]), "INVALID_REPLICA_ASSIGNMENT", None),
        (topic("z", -1, -1, [(0, [])]), "INVALID_REPLICA_ASSIGNMENT", None),
        (topic("z", no_such="1"), "INVALID_CONFIG", "Unknown topic config name: no.such"),
        (topic("z", retention_ms="soon"), "INVALID_CONFIG", None),
        (topic("z", retention_ms="-2"), "INVALID_CONFIG", None),
        (topic("z", cleanup_policy="shrink"), "INVALID_CONFIG", None),
        (topic("z", segment_bytes="10"), "INVALID_CONFIG", None),
        (topic("z", retention_ms=None), "INVALID_CONFIG", "Null value not supported for topic configs: retention.ms"),
    ],
)
def test_topics_that_are_not_made(raw: Raw, made: CreatableTopic, code: str, text: str | None) -> None:
    ((name, found, words),) = said(raw, create(made))
    assert (name, found) == (made.name, code)
    assert text in (None, words)


def test_topics_that_are_there_or_look_alike(raw: Raw, there: str) -> None:
    twin = there.replace("-", ".")
    assert told(raw, create(topic(twin))) == [(twin, "NONE")]
    other = twin.replace(".", "_")
    assert said(raw, create(topic(there))) == [(there, "TOPIC_ALREADY_EXISTS", f"Topic '{there}' already exists.")]
    text = f"Topic '{other}' collides with existing topic: {twin}"
    assert said(raw, create(topic(other))) == [(other, "INVALID_TOPIC_EXCEPTION", text)]


def test_a_topic_that_is_named_twice(raw: Raw, target: Target) -> None:
    twice, once = target.fresh("twice"), target.fresh("zonce")
    found = said(raw, create(topic(twice), topic(twice), topic(twice), topic(once)))
    assert found == [(twice, "INVALID_REQUEST", "Duplicate topic name."), (once, "NONE", None)]


def test_validating_makes_nothing(raw: Raw, target: Target, there: str) -> None:
    name = target.fresh("alpha")
    for _ in range(2):
        found = told(raw, create(topic(name), topic(there), validate_only=True))
        assert found == [(name, "NONE"), (there, "TOPIC_ALREADY_EXISTS")]
    assert told(raw, partitions(grow(there, 4), validate_only=True)) == [(there, "NONE")]
    assert told(raw, partitions(grow(there, 3))) == [(there, "NONE")]
    assert told(raw, alter(there, ("retention.ms", SET, "5"), validate_only=True)) == [(there, "NONE")]


def test_deleting(raw: Raw, there: str) -> None:
    missing = "This server does not host this topic-partition."
    assert said(raw, delete("no-such")) == [("no-such", "UNKNOWN_TOPIC_OR_PARTITION", missing)]
    assert said(raw, delete("__cluster_metadata")) == [("__cluster_metadata", "UNKNOWN_TOPIC_OR_PARTITION", missing)]
    assert said(raw, delete(there, there)) == [(there, "INVALID_REQUEST", "Duplicate topic name.")]
    assert said(raw, delete(None)) == [(None, "INVALID_REQUEST", "Neither topic name nor id were specified.")]
    assert said(raw, delete(ids=[STRANGER])) == [(None, "UNKNOWN_TOPIC_ID", "This server does not host this topic ID.")]
    assert said(raw, delete(ids=[STRANGER] * 2)) == [(None, "INVALID_REQUEST", "Duplicate topic id.")]
    both = DeleteTopicsRequest(topics=[DeleteTopicState(name=there, topic_id=STRANGER)], timeout_ms=TIMEOUT_MS)
    assert said(raw, both) == [(there, "INVALID_REQUEST", "You may not specify both topic name and topic id.")]
    assert told(raw, DeleteTopicsRequest(topic_names=["no-such"], timeout_ms=TIMEOUT_MS), 3) == [
        ("no-such", "UNKNOWN_TOPIC_OR_PARTITION")
    ]
    assert said(raw, delete(there)) == [(there, "NONE", None)]
    assert told(raw, delete(there)) == [(there, "UNKNOWN_TOPIC_OR_PARTITION")]


@pytest.mark.parametrize(
    ("count", "assignments", "code"),
    [
        (2, None, "INVALID_PARTITIONS"),
        (1, None, "INVALID_PARTITIONS"),
        (0, None, "INVALID_PARTITIONS"),
        (-1, None, "INVALID_PARTITIONS"),
        (4, [[1]], "INVALID_REPLICA_ASSIGNMENT"),
        (3, [[1], [1]], "INVALID_REPLICA_ASSIGNMENT"),
        (3, [[9]], "INVALID_REPLICA_ASSIGNMENT"),
        (3, [[1, 1]], "INVALID_REPLICA_ASSIGNMENT"),
        (3, [[]], "INVALID_REPLICA_ASSIGNMENT"),
        (3, [[1]], "NONE"),
    ],
)
def test_more_partitions(raw: Raw, there: str, count: int, assignments: list[list[int]] | None, code: str) -> None:
    assert told(raw, partitions(grow(there, count, assignments))) == [(there, code)]


def test_more_partitions_of_other_topics(raw: Raw, there: str) -> None:
    assert told(raw, partitions(grow("no-such", 3))) == [("no-such", "UNKNOWN_TOPIC_OR_PARTITION")]
    assert said(raw, partitions(grow(there, 3), grow(there, 4))) == [(there, "INVALID_REQUEST", "Duplicate topic name.")]


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ([("retention.ms", SET, "5")], "NONE", None),
        ([("retention.ms", DELETE, None)], "NONE", None),
        ([("no.such", DELETE, None)], "NONE", None),
        ([("cleanup.policy", APPEND, "compact")], "NONE", None),
        ([("cleanup.policy", SUBTRACT, "delete")], "NONE", None),
        ([], "NONE", None),
        (
            [("retention.ms", SET, None), ("segment.ms", SET, None)],
            "INVALID_REQUEST",
            "Null value not supported for : retention.ms, segment.ms",
        ),
        ([("retention.ms", SET, "5"), ("retention.ms", SET, "6")], "INVALID_REQUEST", "Error due to duplicate config keys"),
        ([("no.such", SET, "1")], "INVALID_CONFIG", "Unknown topic config name: no.such"),
        ([("retention.ms", SET, "x")], "INVALID_CONFIG", None),
        ([("retention.ms", SET, "5"), ("segment.ms", SET, "x")], "INVALID_CONFIG", None),
        ([("retention.ms", APPEND, "5")], "INVALID_CONFIG", "Can't APPEND to key retention.ms because its type is not LIST."),
        ([("retention.ms", SUBTRACT, "5")], "INVALID_CONFIG", "Can't SUBTRACT to key retention.ms because its type is not LIST."),
    ],
)
def test_settings_of_topics(
    raw: Raw, there: str, changes: list[tuple[str, int, str | None]], code: str, text: str | None
) -> None:
    ((name, found, words),) = said(raw, alter(there, *changes))
    assert (name, found) == (there, code)
    assert text in (None, words)


@pytest.mark.parametrize(
    ("kind", "name", "key", "value", "code", "text"),
    [
        (TOPIC, "no-such", "retention.ms", "5", "UNKNOWN_TOPIC_OR_PARTITION", "The topic 'no-such' does not exist."),
        (TOPIC, "", "retention.ms", "5", "INVALID_REQUEST", "Default topic resources are not allowed."),
        (BROKER, "9", "log.retention.ms", "5", "INVALID_REQUEST", None),
        (BROKER, "x", "log.retention.ms", "5", "INVALID_REQUEST", "Node id must be an integer, but it is: x"),
        (BROKER, "1", "node.id", "5", "INVALID_REQUEST", "Cannot update these configs dynamically: [node.id]"),
        (BROKER, "1", "log.retention.ms", "x", "INVALID_REQUEST", None),
        (3, "x", "retention.ms", "5", "INVALID_REQUEST", None),
    ],
)
def test_settings_that_are_refused(raw: Raw, kind: int, name: str, key: str, value: str, code: str, text: str | None) -> None:
    ((_, found, words),) = said(raw, alter(name, (key, SET, value), kind=kind))
    assert found == code
    assert text in (None, words)


def test_a_resource_that_is_named_twice(raw: Raw, there: str) -> None:
    request = alter(there, ("retention.ms", SET, "5"))
    request.resources = request.resources * 2
    found = said(raw, request)
    assert {one[:2] for one in found} == {(there, "INVALID_REQUEST")}
    assert {one[2] for one in found} == {"Each resource must appear at most once."}
