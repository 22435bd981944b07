"""What `broker topics --describe` prints: a line for each topic, a line for each of its partitions.

Not done: replicas that are being added or removed, since reassignment is not built.
"""

import argparse
from collections.abc import Iterator

from broker.cli.cluster import NO_LEADER, Cluster
from broker.cli.failures import check
from broker.protocol.messages.describe_configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
)
from broker.protocol.messages.describe_topic_partitions import (
    Cursor,
    DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
    TopicRequest,
)
from broker.protocol.types import uuid_to_base64

TOPIC_RESOURCE = 2
# The source of a setting that nobody set.
DEFAULT_CONFIG = 5
PARTITIONS_PER_RESPONSE = 2000
MIN_ISR = "min.insync.replicas"


def describe(cluster: Cluster, names: list[str], options: argparse.Namespace) -> None:
    """Print the topics, as far as the options select them and their partitions."""
    if not names:
        return
    settings = _settings(cluster, names)
    alive = frozenset(cluster.node_ids())
    some_only = (
        options.unavailable_partitions
        or options.under_replicated_partitions
        or options.under_min_isr_partitions
        or options.at_min_isr_partitions
    )
    for topic in _topics(cluster, names):
        name = topic.name or ""
        own = [one for one in settings[name] if one.config_source != DEFAULT_CONFIG]
        if options.topics_with_overrides and not own:
            continue
        if not some_only:
            print(_topic_line(topic, own))
        if options.topics_with_overrides:
            continue
        min_isr = next((int(one.value or 1) for one in settings[name] if one.name == MIN_ISR), 1)
        for partition in topic.partitions:
            if not some_only or _is_wanted(partition, options, alive, min_isr):
                print(_partition_line(name, partition))


def _topics(cluster: Cluster, names: list[str]) -> Iterator[DescribeTopicPartitionsResponseTopic]:
    """Every topic once, with all its partitions; one that was deleted meanwhile is left out."""
    cursor = None
    held: DescribeTopicPartitionsResponseTopic | None = None
    while True:
        request = DescribeTopicPartitionsRequest(
            topics=[TopicRequest(name=name) for name in names if cursor is None or name >= cursor.topic_name],
            response_partition_limit=PARTITIONS_PER_RESPONSE,
            cursor=cursor,
        )
        response = cluster.any().ask(request, DescribeTopicPartitionsResponse)
        for topic in response.topics:
            if held is not None and held.name == topic.name:
                held.partitions += topic.partitions
                continue
            if held is not None:
                yield held
            held = None if topic.error_code else topic
        if response.next_cursor is None:
            break
        cursor = Cursor(topic_name=response.next_cursor.topic_name, partition_index=response.next_cursor.partition_index)
    if held is not None:
        yield held


def _settings(cluster: Cluster, names: list[str]) -> dict[str, list[DescribeConfigsResourceResult]]:
    resources = [
        DescribeConfigsResource(resource_type=TOPIC_RESOURCE, resource_name=name, configuration_keys=None) for name in names
    ]
    response = cluster.any().ask(DescribeConfigsRequest(resources=resources), DescribeConfigsResponse)
    for result in response.results:
        check(result.error_code, f"settings of topic '{result.resource_name}'", result.error_message)
    return {result.resource_name: result.configs for result in response.results}


def _is_wanted(
    partition: DescribeTopicPartitionsResponsePartition, options: argparse.Namespace, alive: frozenset[int], min_isr: int
) -> bool:
    led = partition.leader_id != NO_LEADER
    in_sync = len(partition.isr_nodes)
    return bool(
        (options.unavailable_partitions and partition.leader_id not in alive)
        or (options.under_replicated_partitions and in_sync < len(partition.replica_nodes))
        or (options.under_min_isr_partitions and (not led or in_sync < min_isr))
        or (options.at_min_isr_partitions and in_sync == min_isr)
    )


def _topic_line(topic: DescribeTopicPartitionsResponseTopic, own: list[DescribeConfigsResourceResult]) -> str:
    factor = len(topic.partitions[0].replica_nodes) if topic.partitions else 0
    configs = ",".join(f"{one.name}={'null' if one.value is None else one.value}" for one in own)
    return (
        f"Topic: {topic.name}\tTopicId: {uuid_to_base64(topic.topic_id)}\tPartitionCount: {len(topic.partitions)}\t"
        f"ReplicationFactor: {factor}\tConfigs: {configs}"
    )


def _partition_line(topic: str, partition: DescribeTopicPartitionsResponsePartition) -> str:
    leader = "none" if partition.leader_id == NO_LEADER else str(partition.leader_id)
    return (
        f"\tTopic: {topic}\tPartition: {partition.partition_index}\tLeader: {leader}"
        f"\tReplicas: {_ids(partition.replica_nodes)}\tIsr: {_ids(partition.isr_nodes)}"
        f"\tElr: {_ids(partition.eligible_leader_replicas)}\tLastKnownElr: {_ids(partition.last_known_elr)}"
    )


def _ids(nodes: list[int] | None) -> str:
    return "N/A" if nodes is None else ",".join(map(str, nodes))
