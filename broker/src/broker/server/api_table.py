"""The APIs of this broker as data. Handlers and codecs are loaded when the first request of their kind arrives.

ApiVersions is built from this table, so what is advertised is what is served.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from broker.protocol.api_keys import ApiKey
from broker.protocol.message import Request

BROKER, CONTROLLER = "broker", "controller"
BOTH = frozenset({BROKER, CONTROLLER})
CLIENTS = frozenset({BROKER})
NODES = frozenset({CONTROLLER})


@dataclass(frozen=True)
class Api:
    """One row. The versions stand here too, so that ApiVersions needs no codec; a test holds them against the declarations."""

    key: ApiKey
    first: int
    last: int
    flexible_from: int | None
    listeners: frozenset[str] = CLIENTS

    @property
    def module(self) -> str:
        return self.key.name.lower()

    @cached_property
    def request(self) -> type[Request]:
        name = "".join(part.capitalize() for part in self.key.name.split("_")) + "Request"
        found: Any = getattr(importlib.import_module(f"broker.protocol.messages.{self.module}"), name)
        assert isinstance(found, type)
        assert issubclass(found, Request)
        return found

    @cached_property
    def handler(self) -> Callable[..., Any]:
        found: Callable[..., Any] = importlib.import_module(f"broker.server.handlers.{self.module}").handle
        return found


TABLE = (
    Api(ApiKey.PRODUCE, 3, 13, 9),
    Api(ApiKey.FETCH, 4, 18, 12, BOTH),
    Api(ApiKey.LIST_OFFSETS, 1, 11, 6),
    Api(ApiKey.METADATA, 0, 13, 9),
    Api(ApiKey.OFFSET_COMMIT, 2, 10, 8),
    Api(ApiKey.OFFSET_FETCH, 1, 10, 6),
    Api(ApiKey.FIND_COORDINATOR, 0, 6, 3),
    Api(ApiKey.JOIN_GROUP, 0, 9, 6),
    Api(ApiKey.HEARTBEAT, 0, 4, 4),
    Api(ApiKey.LEAVE_GROUP, 0, 5, 4),
    Api(ApiKey.SYNC_GROUP, 0, 5, 4),
    Api(ApiKey.DESCRIBE_GROUPS, 0, 6, 5),
    Api(ApiKey.LIST_GROUPS, 0, 5, 3),
    Api(ApiKey.API_VERSIONS, 0, 4, 3, BOTH),
    Api(ApiKey.CREATE_TOPICS, 2, 7, 5, BOTH),
    Api(ApiKey.DELETE_TOPICS, 1, 6, 4, BOTH),
    Api(ApiKey.INIT_PRODUCER_ID, 0, 5, 2),
    Api(ApiKey.OFFSET_FOR_LEADER_EPOCH, 2, 4, 4),
    Api(ApiKey.DESCRIBE_CONFIGS, 1, 4, 4, BOTH),
    Api(ApiKey.DESCRIBE_LOG_DIRS, 1, 5, 2),
    Api(ApiKey.CREATE_PARTITIONS, 0, 3, 2, BOTH),
    Api(ApiKey.DELETE_GROUPS, 0, 2, 2),
    Api(ApiKey.INCREMENTAL_ALTER_CONFIGS, 0, 1, 1, BOTH),
    Api(ApiKey.LIST_PARTITION_REASSIGNMENTS, 0, 0, 0, BOTH),
    Api(ApiKey.ELECT_LEADERS, 0, 2, 2, BOTH),
    Api(ApiKey.OFFSET_DELETE, 0, 0, None),
    Api(ApiKey.VOTE, 0, 2, 0, NODES),
    Api(ApiKey.BEGIN_QUORUM_EPOCH, 0, 1, 1, NODES),
    Api(ApiKey.END_QUORUM_EPOCH, 0, 1, 1, NODES),
    Api(ApiKey.DESCRIBE_QUORUM, 0, 2, 0, BOTH),
    Api(ApiKey.ALTER_PARTITION, 2, 3, 0, NODES),
    Api(ApiKey.ENVELOPE, 0, 0, 0, NODES),
    Api(ApiKey.FETCH_SNAPSHOT, 0, 1, 0, NODES),
    Api(ApiKey.DESCRIBE_CLUSTER, 0, 2, 0, BOTH),
    Api(ApiKey.BROKER_REGISTRATION, 0, 4, 0, NODES),
    Api(ApiKey.BROKER_HEARTBEAT, 0, 2, 0, NODES),
    Api(ApiKey.UNREGISTER_BROKER, 0, 0, 0, BOTH),
    Api(ApiKey.ALLOCATE_PRODUCER_IDS, 0, 0, 0, NODES),
    Api(ApiKey.CONTROLLER_REGISTRATION, 0, 0, 0, NODES),
    Api(ApiKey.DESCRIBE_TOPIC_PARTITIONS, 0, 0, 0),
)
BY_KEY = {api.key.value: api for api in TABLE}
# librdkafka derives features from the range of Produce; Kafka advertises from 0 although it refuses 0 to 2 (KAFKA-18659).
ADVERTISED_FIRST = {ApiKey.PRODUCE: 0}


def served_on(listener_kind: str) -> list[Api]:
    return [api for api in TABLE if listener_kind in api.listeners]
