"""A topic for one test: its name is its own, so that tests can share a broker."""

import secrets
from collections.abc import Mapping

from broker.cli.cluster import Cluster as Connections
from broker.cli.failures import check
from broker.protocol.messages.create_topics import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
)

TIMEOUT_MS = 30_000
BY_DEFAULT = -1
# So many random bytes keep the topics of one test apart that runs again and again on one broker.
SUFFIX_BYTES = 4


def create_topic(bootstrap_servers: str, prefix: str, partitions: int, settings: Mapping[str, object]) -> str:
    """Make a topic with the default replication factor, wait until it is there, and give its name.

    `settings` are Kafka's, with `_` for `.`. A refusal is a `broker.cli.failures.Failure` that says why.
    """
    name = f"{prefix}-{secrets.token_hex(SUFFIX_BYTES)}"
    configs = [CreatableTopicConfig(name=key.replace("_", "."), value=str(value)) for key, value in settings.items()]
    topic = CreatableTopic(name=name, num_partitions=partitions, replication_factor=BY_DEFAULT, configs=configs)
    with Connections(bootstrap_servers, "testing") as connections:
        request = CreateTopicsRequest(topics=[topic], timeout_ms=TIMEOUT_MS)
        result = connections.any().ask(request, CreateTopicsResponse).topics[0]
        check(result.error_code, f"cannot create topic '{name}'", result.error_message)
        connections.metadata([name])
    return name
