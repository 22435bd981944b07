"""What the tests of the controller share: a picture of a cluster, requests, and deciding with replay at once."""

from collections.abc import Callable, Sequence
from typing import Any

from broker.clock.randomness import Randomness
from broker.config import BrokerConfig
from broker.config.sources import SHIPPED
from broker.controller.context import Context
from broker.controller.sessions import BrokerSessions
from broker.core import Result
from broker.metadata.image import MetadataImage
from broker.protocol.errors import ErrorCode
from broker.protocol.message import Record
from broker.protocol.messages.create_topics import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from broker.protocol.messages.metadata_records import BrokerRegistrationChangeRecord, RegisterBrokerRecord
from broker.protocol.types import UUID

CLUSTER_ID = "4L6g3nShT-eMCtK--X86sw"
Assignments = Sequence[tuple[int, Sequence[int]]]


class Cluster:
    """The state decisions see. `brokers` are registered, `fenced` of them are not usable as leaders."""

    def __init__(self, brokers: Sequence[int] = (1,), fenced: Sequence[int] = (), **settings: str) -> None:
        self.image = MetadataImage()
        self.config = BrokerConfig(SHIPPED | {name.replace("_", "."): value for name, value in settings.items()})
        self.randomness = Randomness(7)
        self.sessions = BrokerSessions(self.config.broker_session_timeout_ms)
        self.now_ms = 0
        for broker_id in brokers:
            self.replay([RegisterBrokerRecord(broker_id=broker_id, broker_epoch=broker_id, log_dirs=[UUID(int=100 + broker_id)])])
            if broker_id not in fenced:
                self.replay([BrokerRegistrationChangeRecord(broker_id=broker_id, broker_epoch=broker_id, fenced=-1)])

    @property
    def context(self) -> Context:
        return Context(self.image, self.image.offset + 1, self.config, self.randomness, self.sessions, CLUSTER_ID, self.now_ms)

    def replay(self, records: Sequence[Record]) -> None:
        if records:
            self.image = self.image.apply(records, self.image.offset + len(records))

    def decide(self, decide: Callable[[Any, Context], Result[Record, Any]], request: object) -> Any:
        """The response; what was decided is replayed, and deciding itself changes nothing."""
        before = self.image
        result = decide(request, self.context)
        assert self.image is before
        self.records = result.records
        self.replay(result.records)
        return result.response


def topic(
    name: str, partitions: int = 1, replication_factor: int = 1, assignments: Assignments = (), **configs: str | None
) -> CreatableTopic:
    return CreatableTopic(
        name=name,
        num_partitions=partitions,
        replication_factor=replication_factor,
        assignments=[
            CreatableReplicaAssignment(partition_index=index, broker_ids=list(brokers)) for index, brokers in assignments
        ],
        configs=[CreatableTopicConfig(name=key.replace("_", "."), value=value) for key, value in configs.items()],
    )


def create(*topics: CreatableTopic, validate_only: bool = False) -> CreateTopicsRequest:
    return CreateTopicsRequest(topics=list(topics), validate_only=validate_only)


def codes(results: Sequence[Any], name: str = "name") -> list[tuple[str, str]]:
    """(name, code) of every result, by name."""
    return sorted((str(getattr(one, name)), ErrorCode(one.error_code).name) for one in results)
