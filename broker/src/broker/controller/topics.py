"""Decisions about topics: create, delete, add partitions. Source: ``ReplicationControlManager``."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from broker.config import ConfigError
from broker.config.definitions import find_topic, parse_topic
from broker.config.entries import DynamicSettings, topic_entries
from broker.controller.context import Context
from broker.controller.placement import check_assignment, new_partition, place
from broker.core import Result
from broker.metadata import topic_names
from broker.metadata.image import TOPIC_RESOURCE, TopicImage
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.message import Record
from broker.protocol.messages.create_partitions import (
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreatePartitionsTopic,
    CreatePartitionsTopicResult,
)
from broker.protocol.messages.create_topics import (
    CreatableTopic,
    CreatableTopicConfigs,
    CreatableTopicResult,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from broker.protocol.messages.delete_topics import (
    DeletableTopicResult,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
)
from broker.protocol.messages.metadata_records import ConfigRecord, RemoveTopicRecord, TopicRecord
from broker.protocol.types import UUID, ZERO_UUID

# What one request may ask for, so that its records fit into one batch (Kafka: MAX_RECORDS_PER_USER_OP).
PARTITIONS_PER_REQUEST_MAX = 10_000
TOO_MANY_PARTITIONS = KafkaError(ErrorCode.POLICY_VIOLATION, "Excessively large number of partitions per request.")


def create_topics(request: CreateTopicsRequest, context: Context) -> Result[Record, CreateTopicsResponse]:
    """New topics with their partitions and settings; each topic is decided on its own, one that is named twice is refused."""
    if sum(_wanted_partitions(topic, context) for topic in request.topics) > PARTITIONS_PER_REQUEST_MAX:
        return Result(refuse_create(request, TOO_MANY_PARTITIONS))
    times = Counter(topic.name for topic in request.topics)
    flat = {_flat(name): name for name in context.image.topics}
    results, records = [], []
    for topic in request.topics:
        if times[topic.name] > 1:
            continue
        try:
            result, decided = _create(topic, context, flat)
            results.append(result)
            records += decided
        except KafkaError as error:
            results.append(_refused(topic.name, error))
    results += [_refused(name, KafkaError(ErrorCode.INVALID_REQUEST, "Duplicate topic name.")) for name in _repeated(times)]
    return Result(CreateTopicsResponse(topics=results), [] if request.validate_only else records)


def _wanted_partitions(topic: CreatableTopic, context: Context) -> int:
    if topic.assignments:
        return len(topic.assignments)
    return int(context.config.num_partitions) if topic.num_partitions == -1 else max(topic.num_partitions, 0)


def _repeated(times: Mapping[str, int]) -> list[str]:
    return [name for name, count in times.items() if count > 1]


def _refused(name: str, error: KafkaError) -> CreatableTopicResult:
    return CreatableTopicResult(name=name, error_code=error.code, error_message=error.message)


def refuse_create(request: CreateTopicsRequest, error: KafkaError) -> CreateTopicsResponse:
    return CreateTopicsResponse(topics=[_refused(name, error) for name in dict.fromkeys(topic.name for topic in request.topics)])


def _create(topic: CreatableTopic, context: Context, flat: Mapping[str, str]) -> tuple[CreatableTopicResult, list[Record]]:
    """`flat`: the topics that are there by their names as `_flat` makes them."""
    _check_name(topic.name, context, flat)
    overrides = _check_configs(topic, context)
    assignments = _assignments(topic, context)
    topic_id = context.randomness.uuid4()
    records: list[Record] = [TopicRecord(name=topic.name, topic_id=topic_id)]
    records += [
        ConfigRecord(resource_type=TOPIC_RESOURCE, resource_name=topic.name, name=name, value=value)
        for name, value in overrides.items()
    ]
    records += [new_partition(context, topic_id, index, replicas) for index, replicas in enumerate(assignments)]
    shown = topic_entries(context.config, overrides, DynamicSettings(cluster=context.dynamic))
    result = CreatableTopicResult(
        name=topic.name,
        topic_id=topic_id,
        error_message=None,
        num_partitions=len(assignments),
        replication_factor=len(assignments[0]),
        configs=[CreatableTopicConfigs(name=e.name, value=e.value, config_source=e.source, read_only=False) for e in shown],
    )
    return result, records


def _flat(name: str) -> str:
    """In the names of metrics a period becomes an underscore: two topics may not differ in that alone."""
    return name.replace(".", "_")


def _check_name(name: str, context: Context, flat: Mapping[str, str]) -> None:
    if name == topic_names.CLUSTER_METADATA:
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"Creation of internal topic {name} is prohibited.")
    wrong = topic_names.problem(name)
    if wrong is not None:
        raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, wrong)
    if name in context.image.topics:
        raise KafkaError(ErrorCode.TOPIC_ALREADY_EXISTS, f"Topic '{name}' already exists.")
    if (other := flat.get(_flat(name))) is not None:
        raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, f"Topic '{name}' collides with existing topic: {other}")


def _check_configs(topic: CreatableTopic, context: Context) -> dict[str, str]:
    overrides: dict[str, str] = {}
    for item in topic.configs:
        if item.value is None:
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"Null value not supported for topic configs: {item.name}")
        try:
            value = parse_topic(item.name, item.value)
        except ConfigError as error:
            raise KafkaError(ErrorCode.INVALID_CONFIG, str(error)) from error
        overrides[item.name] = find_topic(item.name).render(value)
    return overrides


def _assignments(topic: CreatableTopic, context: Context) -> list[list[int]]:
    """The replicas of every partition, as asked for or as placed."""
    if topic.assignments:
        return _manual_assignments(topic, context)
    if topic.replication_factor == 0 or topic.replication_factor < -1:
        raise KafkaError(
            ErrorCode.INVALID_REPLICATION_FACTOR, "Replication factor must be larger than 0, or -1 to use the default value."
        )
    if topic.num_partitions == 0 or topic.num_partitions < -1:
        raise KafkaError(ErrorCode.INVALID_PARTITIONS, "Number of partitions was set to an invalid non-positive value.")
    partitions = context.config.num_partitions if topic.num_partitions == -1 else topic.num_partitions
    factor = context.config.default_replication_factor if topic.replication_factor == -1 else topic.replication_factor
    return place(context, partitions, factor)


def _manual_assignments(topic: CreatableTopic, context: Context) -> list[list[int]]:
    if topic.replication_factor != -1:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, "A manual partition assignment was specified, but replication factor was not set to -1."
        )
    if topic.num_partitions != -1:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, "A manual partition assignment was specified, but numPartitions was not set to -1."
        )
    found: dict[int, list[int]] = {}
    for item in topic.assignments:
        if item.partition_index in found:
            raise KafkaError(
                ErrorCode.INVALID_REPLICA_ASSIGNMENT,
                f"Found multiple manual partition assignments for partition {item.partition_index}",
            )
        check_assignment(context, item.broker_ids)
        found[item.partition_index] = list(item.broker_ids)
    if sorted(found) != list(range(len(found))):
        raise KafkaError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, "partitions should be a consecutive 0-based integer sequence")
    if len({len(replicas) for replicas in found.values()}) > 1:
        raise KafkaError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, "Inconsistent replication factor between partitions.")
    return [found[index] for index in range(len(found))]


def delete_topics(request: DeleteTopicsRequest, context: Context) -> Result[Record, DeleteTopicsResponse]:
    """Remove topics by name or by id; one that is named twice is refused. Source: ``ControllerApis.deleteTopics``."""
    topics: dict[UUID, None] = {}
    results: list[DeletableTopicResult] = []
    for state, times in Counter(_wanted(request)).items():
        try:
            if times > 1:
                what = "name" if state.name is not None else "id"
                raise KafkaError(ErrorCode.INVALID_REQUEST, f"Duplicate topic {what}.")
            topic = _find(state, context)
            if topic.topic_id in topics:
                raise KafkaError(ErrorCode.INVALID_REQUEST, "The provided topic name maps to an ID that was already supplied.")
            topics[topic.topic_id] = None
            results.append(DeletableTopicResult(name=topic.name, topic_id=topic.topic_id))
        except KafkaError as error:
            results.append(_undeleted(state, error))
    return Result(DeleteTopicsResponse(responses=results), [RemoveTopicRecord(topic_id=topic_id) for topic_id in topics])


class _Wanted(NamedTuple):
    """A topic that is to be deleted: by its name, or by its id."""

    name: str | None
    topic_id: UUID = ZERO_UUID


def _wanted(request: DeleteTopicsRequest) -> list[_Wanted]:
    return [_Wanted(name) for name in request.topic_names] + [_Wanted(state.name, state.topic_id) for state in request.topics]


def _undeleted(state: _Wanted, error: KafkaError) -> DeletableTopicResult:
    return DeletableTopicResult(name=state.name, topic_id=state.topic_id, error_code=error.code, error_message=error.message)


def refuse_delete(request: DeleteTopicsRequest, error: KafkaError) -> DeleteTopicsResponse:
    return DeleteTopicsResponse(responses=[_undeleted(state, error) for state in dict.fromkeys(_wanted(request))])


def _find(state: _Wanted, context: Context) -> TopicImage:
    if not context.config.value("delete.topic.enable"):
        raise KafkaError(ErrorCode.TOPIC_DELETION_DISABLED, "Topic deletion is disabled.")
    if state.name is not None and state.topic_id != ZERO_UUID:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "You may not specify both topic name and topic id.")
    if state.name is not None:
        topic = context.image.topics.get(state.name)
        if topic is None:
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "This server does not host this topic-partition.")
        return topic
    if state.topic_id == ZERO_UUID:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "Neither topic name nor id were specified.")
    topic = context.image.topic_by_id(state.topic_id)
    if topic is None:
        raise KafkaError(ErrorCode.UNKNOWN_TOPIC_ID, "This server does not host this topic ID.")
    return topic


def create_partitions(request: CreatePartitionsRequest, context: Context) -> Result[Record, CreatePartitionsResponse]:
    """More partitions for topics that are there."""
    times = Counter(topic.name for topic in request.topics)
    results = [_not_grown(name, KafkaError(ErrorCode.INVALID_REQUEST, "Duplicate topic name.")) for name in _repeated(times)]
    records: list[Record] = []
    for topic in request.topics:
        if times[topic.name] > 1:
            continue
        try:
            records += _add_partitions(topic, context)
            results.append(CreatePartitionsTopicResult(name=topic.name))
        except KafkaError as error:
            results.append(_not_grown(topic.name, error))
    if len(records) > PARTITIONS_PER_REQUEST_MAX:
        return Result(refuse_partitions(request, TOO_MANY_PARTITIONS))
    return Result(CreatePartitionsResponse(results=results), [] if request.validate_only else records)


def _not_grown(name: str, error: KafkaError) -> CreatePartitionsTopicResult:
    return CreatePartitionsTopicResult(name=name, error_code=error.code, error_message=error.message)


def refuse_partitions(request: CreatePartitionsRequest, error: KafkaError) -> CreatePartitionsResponse:
    return CreatePartitionsResponse(
        results=[_not_grown(name, error) for name in dict.fromkeys(topic.name for topic in request.topics)]
    )


def _add_partitions(topic: CreatePartitionsTopic, context: Context) -> list[Record]:
    known = context.image.topics.get(topic.name)
    if known is None:
        raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    have = len(known.partitions)
    if topic.count == have:
        raise KafkaError(ErrorCode.INVALID_PARTITIONS, f"Topic already has {have} partition(s).")
    if topic.count < have:
        raise KafkaError(
            ErrorCode.INVALID_PARTITIONS,
            f"The topic {topic.name} currently has {have} partition(s); {topic.count} would not be an increase.",
        )
    more = topic.count - have
    if more > PARTITIONS_PER_REQUEST_MAX:
        raise TOO_MANY_PARTITIONS
    factor = len(known.partitions[0].replicas)
    if topic.assignments is None:
        replicas = place(context, more, factor)
    else:
        replicas = [list(assignment.broker_ids) for assignment in topic.assignments]
        if len(replicas) != more:
            raise KafkaError(
                ErrorCode.INVALID_REPLICA_ASSIGNMENT,
                f"Attempted to add {more} additional partition(s), but only {len(replicas)} assignment(s) were specified.",
            )
        for one in replicas:
            check_assignment(context, one)
            if len(one) != factor:
                raise KafkaError(
                    ErrorCode.INVALID_REPLICA_ASSIGNMENT,
                    f"The manual partition assignment includes a partition with {len(one)} replica(s), the others have {factor}.",
                )
    return [new_partition(context, known.topic_id, have + number, one) for number, one in enumerate(replicas)]
