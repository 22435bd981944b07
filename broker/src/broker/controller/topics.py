"""Decisions about topics: create, delete, add partitions. Source: ``ReplicationControlManager``."""

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
    DeleteTopicState,
)
from broker.protocol.messages.metadata_records import ConfigRecord, RemoveTopicRecord, TopicRecord
from broker.protocol.types import ZERO_UUID

# What one request may ask for, so that its records fit into one batch (Kafka: MAX_RECORDS_PER_USER_OP).
PARTITIONS_PER_REQUEST_MAX = 10_000


def create_topics(request: CreateTopicsRequest, context: Context) -> Result[Record, CreateTopicsResponse]:
    """New topics with their partitions and settings; each topic is decided on its own."""
    names = [topic.name for topic in request.topics]
    results, records = [], []
    made: dict[str, None] = {}
    for topic in request.topics:
        try:
            if names.count(topic.name) > 1:
                raise KafkaError(ErrorCode.INVALID_REQUEST, "Duplicate topic name.")
            result, decided = _create(topic, context, made)
            made[topic.name] = None
            results.append(result)
            records += decided
            if len(records) > PARTITIONS_PER_REQUEST_MAX:
                raise KafkaError(
                    ErrorCode.POLICY_VIOLATION, f"Excessively large number of partitions per request: {len(records)}"
                )
        except KafkaError as error:
            results.append(CreatableTopicResult(name=topic.name, error_code=error.code, error_message=error.message))
    return Result(CreateTopicsResponse(topics=results), [] if request.validate_only else records)


def refuse_create(request: CreateTopicsRequest, error: KafkaError) -> CreateTopicsResponse:
    return CreateTopicsResponse(
        topics=[CreatableTopicResult(name=t.name, error_code=error.code, error_message=error.message) for t in request.topics]
    )


def _create(topic: CreatableTopic, context: Context, made: dict[str, None]) -> tuple[CreatableTopicResult, list[Record]]:
    _check_name(topic.name, context, made)
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
        num_partitions=len(assignments),
        replication_factor=len(assignments[0]),
        configs=[CreatableTopicConfigs(name=e.name, value=e.value, config_source=e.source, read_only=False) for e in shown],
    )
    return result, records


def _check_name(name: str, context: Context, made: dict[str, None]) -> None:
    wrong = topic_names.problem(name)
    if wrong is not None:
        raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, wrong)
    if name in context.image.topics:
        raise KafkaError(ErrorCode.TOPIC_ALREADY_EXISTS, f"Topic '{name}' already exists.")
    if "." in name or "_" in name:
        # In the names of metrics a period becomes an underscore.
        flat = name.replace(".", "_")
        for other in [*context.image.topics, *made]:
            if other.replace(".", "_") == flat:
                raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, f"Topic '{name}' collides with existing topic: {other}")


def _check_configs(topic: CreatableTopic, context: Context) -> dict[str, str]:
    overrides: dict[str, str] = {}
    for item in topic.configs:
        if item.value is None:
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"Null value not supported for topic configs: {item.name}")
        if item.name in overrides:
            raise KafkaError(ErrorCode.INVALID_REQUEST, f"The setting {item.name} is given twice.")
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
    if topic.num_partitions == 0 or topic.num_partitions < -1:
        raise KafkaError(ErrorCode.INVALID_PARTITIONS, "Number of partitions was set to an invalid non-positive value.")
    if topic.replication_factor == 0 or topic.replication_factor < -1:
        raise KafkaError(ErrorCode.INVALID_REPLICATION_FACTOR, "Replication factor was set to an invalid non-positive value.")
    partitions = context.config.num_partitions if topic.num_partitions == -1 else topic.num_partitions
    factor = context.config.default_replication_factor if topic.replication_factor == -1 else topic.replication_factor
    if partitions > PARTITIONS_PER_REQUEST_MAX:
        raise KafkaError(
            ErrorCode.INVALID_PARTITIONS,
            f"{partitions} partitions at once are too many, {PARTITIONS_PER_REQUEST_MAX} are allowed",
        )
    return place(context, partitions, factor)


def _manual_assignments(topic: CreatableTopic, context: Context) -> list[list[int]]:
    if topic.num_partitions != -1:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, "A manual partition assignment was specified, but numPartitions was not set to -1."
        )
    if topic.replication_factor != -1:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, "A manual partition assignment was specified, but replication factor was not set to -1."
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
    """Remove topics by name or by id."""
    wanted = request.topics or [DeleteTopicState(name=name) for name in request.topic_names]
    results: list[DeletableTopicResult] = []
    records: list[Record] = []
    for state in wanted:
        try:
            topic = _find(state, context)
            if any(isinstance(r, RemoveTopicRecord) and r.topic_id == topic.topic_id for r in records):
                raise KafkaError(ErrorCode.INVALID_REQUEST, "The topic is named twice.")
            records.append(RemoveTopicRecord(topic_id=topic.topic_id))
            results.append(DeletableTopicResult(name=topic.name, topic_id=topic.topic_id))
        except KafkaError as error:
            results.append(
                DeletableTopicResult(name=state.name, topic_id=state.topic_id, error_code=error.code, error_message=error.message)
            )
    return Result(DeleteTopicsResponse(responses=results), records)


def refuse_delete(request: DeleteTopicsRequest, error: KafkaError) -> DeleteTopicsResponse:
    wanted = request.topics or [DeleteTopicState(name=name) for name in request.topic_names]
    return DeleteTopicsResponse(
        responses=[
            DeletableTopicResult(name=w.name, topic_id=w.topic_id, error_code=error.code, error_message=error.message)
            for w in wanted
        ]
    )


def _find(state: DeleteTopicState, context: Context) -> TopicImage:
    if not context.config.value("delete.topic.enable"):
        raise KafkaError(ErrorCode.TOPIC_DELETION_DISABLED, "delete.topic.enable is false")
    if state.name is not None and state.topic_id != ZERO_UUID:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "You may not specify both topic name and topic id.")
    if state.topic_id != ZERO_UUID:
        topic = context.image.topic_by_id(state.topic_id)
        missing = ErrorCode.UNKNOWN_TOPIC_ID
    else:
        topic = context.image.topics.get(state.name or "")
        missing = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if topic is None:
        raise KafkaError(missing)
    return topic


def create_partitions(request: CreatePartitionsRequest, context: Context) -> Result[Record, CreatePartitionsResponse]:
    """More partitions for topics that are there."""
    names = [topic.name for topic in request.topics]
    results, records = [], []
    for topic in request.topics:
        try:
            if names.count(topic.name) > 1:
                raise KafkaError(ErrorCode.INVALID_REQUEST, "Duplicate topic name.")
            records += _add_partitions(topic, context)
            results.append(CreatePartitionsTopicResult(name=topic.name))
        except KafkaError as error:
            results.append(CreatePartitionsTopicResult(name=topic.name, error_code=error.code, error_message=error.message))
    return Result(CreatePartitionsResponse(results=results), [] if request.validate_only else records)


def refuse_partitions(request: CreatePartitionsRequest, error: KafkaError) -> CreatePartitionsResponse:
    return CreatePartitionsResponse(
        results=[
            CreatePartitionsTopicResult(name=t.name, error_code=error.code, error_message=error.message) for t in request.topics
        ]
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
        raise KafkaError(
            ErrorCode.INVALID_PARTITIONS, f"{more} partitions at once are too many, {PARTITIONS_PER_REQUEST_MAX} are allowed"
        )
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
