"""Decisions about settings of topics and brokers. Source: ``ConfigurationControlManager``."""

from collections import Counter
from collections.abc import Sequence
from enum import IntEnum

from broker.config import ConfigError
from broker.config.definitions import Setting, find, find_topic, parse_topic
from broker.controller.context import Context
from broker.core import Result
from broker.metadata.image import BROKER_RESOURCE, TOPIC_RESOURCE
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.message import Record
from broker.protocol.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    AlterConfigsResourceResponse,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)
from broker.protocol.messages.metadata_records import ClearElrRecord, ConfigRecord

MIN_INSYNC_REPLICAS = "min.insync.replicas"


class Operation(IntEnum):
    """What to do with a value."""

    SET = 0
    DELETE = 1
    APPEND = 2
    SUBTRACT = 3


def alter_configs(request: IncrementalAlterConfigsRequest, context: Context) -> Result[Record, IncrementalAlterConfigsResponse]:
    """Change single settings; all changes of one resource are taken, or none."""
    times = Counter((resource.resource_type, resource.resource_name) for resource in request.resources)
    answers: list[AlterConfigsResourceResponse] = []
    records: list[Record] = []
    for resource in request.resources:
        answer = AlterConfigsResourceResponse(
            resource_type=resource.resource_type, resource_name=resource.resource_name, error_message=None
        )
        try:
            if times[resource.resource_type, resource.resource_name] > 1:
                raise KafkaError(ErrorCode.INVALID_REQUEST, "Each resource must appear at most once.")
            records += _alter(resource, context)
        except KafkaError as error:
            answer.error_code, answer.error_message = error.code, error.message
        answers.append(answer)
    records += _forgotten_elrs(records)
    return Result(IncrementalAlterConfigsResponse(responses=answers), [] if request.validate_only else records)


def _forgotten_elrs(changed: Sequence[Record]) -> list[Record]:
    """Who was eligible under another min.insync.replicas may lack what is committed under the new one (KIP-966)."""
    forgotten: list[Record] = []
    for record in changed:
        if isinstance(record, ConfigRecord) and record.name == MIN_INSYNC_REPLICAS:
            topic = record.resource_name if record.resource_type == TOPIC_RESOURCE else ""
            forgotten.append(ClearElrRecord(topic_name=topic))
    return forgotten


def refuse_alter(request: IncrementalAlterConfigsRequest, error: KafkaError) -> IncrementalAlterConfigsResponse:
    return IncrementalAlterConfigsResponse(
        responses=[
            AlterConfigsResourceResponse(
                error_code=error.code,
                error_message=error.message,
                resource_type=resource.resource_type,
                resource_name=resource.resource_name,
            )
            for resource in request.resources
        ]
    )


def _alter(resource: AlterConfigsResource, context: Context) -> list[Record]:
    kind, name = resource.resource_type, resource.resource_name
    _check_names(resource.configs)
    _check_resource(kind, name, context)
    current = dict(context.image.config(kind, name))
    changed: list[Record] = []
    for item in resource.configs:
        value = _new_value(kind, item, current, context)
        if value != current.get(item.name):
            _check_minimum(kind, name, item.name, value)
            changed.append(ConfigRecord(resource_type=kind, resource_name=name, name=item.name, value=value))
    return changed


def _check_minimum(kind: int, resource: str, name: str, value: str | None) -> None:
    """The whole cluster has one minimum, or eligible leader replicas would not be what they are called."""
    if kind == BROKER_RESOURCE and name == MIN_INSYNC_REPLICAS:
        if resource:
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"Broker-level {name} cannot be altered while ELR is enabled.")
        if value is None:
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"Cluster-level {name} cannot be removed while ELR is enabled.")


def _check_names(items: Sequence[AlterableConfig]) -> None:
    names = [item.name for item in items]
    if len(set(names)) < len(names):
        raise KafkaError(ErrorCode.INVALID_REQUEST, "Error due to duplicate config keys")
    without = [item.name for item in items if item.value is None and item.config_operation != Operation.DELETE]
    if without:
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"Null value not supported for : {', '.join(without)}")


def _check_resource(kind: int, name: str, context: Context) -> None:
    if kind == TOPIC_RESOURCE:
        if not name:
            raise KafkaError(ErrorCode.INVALID_REQUEST, "Default topic resources are not allowed.")
        if name not in context.image.topics:
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"The topic '{name}' does not exist.")
        return
    if kind != BROKER_RESOURCE:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, f"Settings of resource type {kind} cannot be changed; topics (2) and brokers (4) can."
        )
    if name and not name.isdecimal():
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"Node id must be an integer, but it is: {name}")
    if name and int(name) not in context.image.brokers:
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"No broker with id {name} is registered.")


def _setting(kind: int, name: str) -> Setting:
    try:
        if kind == TOPIC_RESOURCE:
            return find_topic(name)
        setting = find(name)
    except ConfigError as error:
        raise KafkaError(ErrorCode.INVALID_CONFIG, str(error)) from error
    if not setting.dynamic:
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"Cannot update these configs dynamically: [{name}]")
    return setting


def _new_value(kind: int, item: AlterableConfig, current: dict[str, str], context: Context) -> str | None:
    """The value after the operation; None removes it."""
    if item.config_operation not in list(Operation):
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"Unknown operation type {item.config_operation} for {item.name}.")
    operation = Operation(item.config_operation)
    if operation is Operation.DELETE:
        return None
    setting = _setting(kind, item.name)
    text = item.value or ""
    if operation is not Operation.SET:
        text = _listed(setting, item, current, context, append=operation is Operation.APPEND)
    try:
        value = parse_topic(item.name, text) if kind == TOPIC_RESOURCE else setting.parse(text)
    except ConfigError as error:
        # Kafka's brokers answer for their own settings in another way than the controller for those of topics.
        code = ErrorCode.INVALID_CONFIG if kind == TOPIC_RESOURCE else ErrorCode.INVALID_REQUEST
        raise KafkaError(code, str(error)) from error
    return setting.render(value)


def _listed(setting: Setting, item: AlterableConfig, current: dict[str, str], context: Context, *, append: bool) -> str:
    if setting.type != "list":
        what = "APPEND" if append else "SUBTRACT"
        raise KafkaError(ErrorCode.INVALID_CONFIG, f"Can't {what} to key {item.name} because its type is not LIST.")
    before = current.get(item.name)
    if before is None:
        before = setting.render(context.config.value(setting.name))
    parts = [part for part in before.split(",") if part]
    given = [part.strip() for part in (item.value or "").split(",") if part.strip()]
    if append:
        parts += [part for part in given if part not in parts]
    else:
        parts = [part for part in parts if part not in given]
    return ",".join(parts)
