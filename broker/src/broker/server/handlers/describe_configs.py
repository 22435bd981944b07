"""DescribeConfigs (API key 32), versions 1-4: settings of topics and brokers, and where each value comes from.

Source: ``ConfigHelper``. Not done: loggers, client metrics, groups as resources; they are refused by type.
"""

from broker.config.entries import ConfigEntry, DynamicSettings, broker_entries, cluster_entries, topic_entries
from broker.metadata import topic_names
from broker.metadata.image import BROKER_RESOURCE, TOPIC_RESOURCE
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.describe_configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
    DescribeConfigsResult,
    DescribeConfigsSynonym,
)
from broker.server.services import BrokerServices, RequestContext


def handle(request: DescribeConfigsRequest, context: RequestContext, broker: BrokerServices) -> DescribeConfigsResponse:
    return DescribeConfigsResponse(results=[_describe(resource, request, broker) for resource in request.resources])


def _describe(
    resource: DescribeConfigsResource, request: DescribeConfigsRequest, broker: BrokerServices
) -> DescribeConfigsResult:
    result = DescribeConfigsResult(resource_type=resource.resource_type, resource_name=resource.resource_name, error_message=None)
    try:
        entries = _entries(resource.resource_type, resource.resource_name, broker)
    except KafkaError as error:
        result.error_code, result.error_message = error.code, error.message
        return result
    wanted = resource.configuration_keys
    result.configs = [_shown(entry, request) for entry in entries if not wanted or entry.name in wanted]
    return result


def _entries(kind: int, name: str, broker: BrokerServices) -> list[ConfigEntry]:
    image = broker.metadata.image
    dynamic = DynamicSettings(image.config(BROKER_RESOURCE, str(broker.node_id)), image.config(BROKER_RESOURCE, ""))
    if kind == TOPIC_RESOURCE:
        if topic_names.problem(name) is not None:
            raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, topic_names.problem(name))
        if name not in image.topics:
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        return topic_entries(broker.config, image.config(TOPIC_RESOURCE, name), dynamic)
    if kind != BROKER_RESOURCE:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, f"Unsupported resource type: {kind}; topics (2) and brokers (4) can be described."
        )
    if name == "":
        return cluster_entries(broker.config, dynamic)
    if name != str(broker.node_id):
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, f"Unexpected broker id, expected {broker.node_id} or empty string, but received {name}"
        )
    return broker_entries(broker.config, dynamic)


def _shown(entry: ConfigEntry, request: DescribeConfigsRequest) -> DescribeConfigsResourceResult:
    synonyms = entry.synonyms if request.include_synonyms else []
    return DescribeConfigsResourceResult(
        name=entry.name,
        value=entry.value,
        read_only=entry.read_only,
        config_source=entry.source,
        synonyms=[DescribeConfigsSynonym(name=one.name, value=one.value, source=one.source) for one in synonyms],
        config_type=entry.type,
        documentation=entry.doc if request.include_documentation else None,
    )
