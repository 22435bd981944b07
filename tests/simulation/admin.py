"""Administrators: one makes, changes and deletes topics, others look whether what was answered holds."""

from collections.abc import Callable, Sequence
from uuid import UUID

from broker.client.retriable import error_of
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.create_partitions import CreatePartitionsRequest, CreatePartitionsTopic
from broker.protocol.messages.create_topics import CreatableTopic, CreatableTopicConfig, CreateTopicsRequest
from broker.protocol.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from broker.protocol.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResource
from broker.protocol.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from broker.protocol.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from broker.protocol.messages.offset_fetch import OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchResponse
from simulation.ledger import Ledger, Topic, broken
from simulation.script import RETRY_MS, Client, Script
from simulation.world import Simulation

TOPIC_RESOURCE = 2
SET = 0
# UNKNOWN_TOPIC_OR_PARTITION and its like are answers here, and no passing errors.
NAMED_UNTIL = 9
# A broker that is about to stop is given no partition any more; it comes back.
STOPPING = frozenset({ErrorCode.INVALID_REPLICATION_FACTOR})


class Admin(Client):
    """Makes topics and does with them what `plan` says; what was acknowledged goes into the ledger."""

    def create_topic(self, name: str, partitions: int, settings: dict[str, str]) -> Script:
        """Make a topic; its id. It may have been made by a request whose answer was lost."""
        topic = CreatableTopic(
            name=name,
            num_partitions=partitions,
            replication_factor=-1,
            configs=[CreatableTopicConfig(name=key, value=value) for key, value in settings.items()],
        )
        request = CreateTopicsRequest(topics=[topic], timeout_ms=10_000)
        answer, code = yield from self.retried(f"topic {name}", lambda: request, lambda r: r.topics[0].error_code, also=STOPPING)
        topic_id = answer.topics[0].topic_id
        if code is ErrorCode.TOPIC_ALREADY_EXISTS:
            topic_id = yield from self.id_of(name)
        elif code is not ErrorCode.NONE:
            raise broken(f"making topic {name} ended in {code.name}: {answer.topics[0].error_message}")
        self.ledger.topic_made(topic_id, Topic(name, partitions, dict(settings)))
        self.note(f"made topic {name}")
        return topic_id

    def id_of(self, name: str) -> Script:
        request = MetadataRequest(topics=[MetadataRequestTopic(name=name)], allow_auto_topic_creation=False)
        while True:
            answer, code = yield from self.retried(f"the id of {name}", lambda: request, lambda r: r.topics[0].error_code)
            if code is not ErrorCode.NONE:
                raise broken(f"topic {name} exists, and its id is answered with {code.name}")
            if not self.ledger.answers_lag or answer.topics[0].topic_id not in self.ledger.doomed:
                return answer.topics[0].topic_id
            yield self.sleep(*RETRY_MS)

    def delete_topic(self, topic_id: UUID) -> Script:
        self.ledger.doomed.add(topic_id)
        request = DeleteTopicsRequest(topics=[DeleteTopicState(topic_id=topic_id)], timeout_ms=10_000)
        # An unknown id is an answer: an earlier try has done it.
        while True:
            answer = yield self.asked(request)
            code = error_of(answer.responses[0].error_code) if not isinstance(answer, Exception) else None
            if code in (ErrorCode.NONE, ErrorCode.UNKNOWN_TOPIC_ID):
                break
            self.note(f"deleting {self.ledger.topics[topic_id].name}: {code.name if code is not None else answer}")
            if code is not None:
                self.ask_another()
            yield self.sleep(*RETRY_MS)
        self.ledger.topic_deleted(topic_id)
        self.note(f"deleted topic {self.ledger.topics[topic_id].name}")

    def set_config(self, topic_id: UUID, name: str, value: str) -> Script:
        topic = self.ledger.topics[topic_id]
        # Until it is answered, both the old and the new value may be seen.
        topic.settings.pop(name, None)
        resource = AlterConfigsResource(
            resource_type=TOPIC_RESOURCE,
            resource_name=topic.name,
            configs=[AlterableConfig(name=name, config_operation=SET, value=value)],
        )
        request = IncrementalAlterConfigsRequest(resources=[resource], validate_only=False)
        answer, code = yield from self.retried(f"{name} of {topic.name}", lambda: request, lambda r: r.responses[0].error_code)
        if code is not ErrorCode.NONE:
            raise broken(f"setting {name} of {topic.name} ended in {code.name}: {answer.responses[0].error_message}")
        topic.settings[name] = value
        self.note(f"set {name} of {topic.name} to {value}")

    def add_partitions(self, topic_id: UUID, count: int) -> Script:
        topic = self.ledger.topics[topic_id]
        request = CreatePartitionsRequest(topics=[CreatePartitionsTopic(name=topic.name, count=count, assignments=None)])
        _, code = yield from self.retried(
            f"partitions of {topic.name}", lambda: request, lambda r: r.results[0].error_code, also=STOPPING
        )
        # INVALID_PARTITIONS: it has so many already, by a request whose answer was lost.
        if code not in (ErrorCode.NONE, ErrorCode.INVALID_PARTITIONS):
            raise broken(f"more partitions for {topic.name} ended in {code.name}")
        topic.partitions = count
        self.note(f"topic {topic.name} has {count} partitions")

    def churn(self, on_topic: Callable[[str, UUID, int], None], stopping: Callable[[], bool]) -> Script:
        """Make topics, change them, delete most of them, sometimes under their old names."""
        number = 0
        while not stopping():
            name = f"brief-{number % 2}"
            number += 1
            count = self.rng.randint(1, 3)
            topic_id = yield from self.create_topic(name, count, {})
            on_topic(name, topic_id, count)
            for _ in range(self.rng.randint(0, 3)):
                yield self.sleep(100, 1500)
                if self.rng.randrange(3):
                    yield from self.set_config(topic_id, "retention.ms", str(self.rng.randint(10**8, 10**9)))
                else:
                    yield from self.add_partitions(topic_id, self.ledger.topics[topic_id].partitions + 1)
            yield self.sleep(100, 1500)
            yield from self.delete_topic(topic_id)


class Observer(Client):
    """Looks at topics, settings and groups, again and again."""

    def __init__(
        self, simulation: Simulation, ledger: Ledger, name: str, brokers: str | Sequence[str], groups: list[str]
    ) -> None:
        super().__init__(simulation, ledger, name, brokers)
        self.groups = groups
        self.looks = 0
        self.spawn(self._run())

    def _run(self) -> Script:
        while True:
            yield self.sleep(200, 1500)
            yield from self._look_at_topics()
            for group in self.groups:
                yield from self._look_at(group)

    def _look_at_topics(self) -> Script:
        # What is answered from now on must hold; what is asked for meanwhile may or may not be seen.
        made = {topic_id: (topic.partitions, dict(topic.settings)) for topic_id, topic in self.ledger.topics.items()}
        deleted = set(self.ledger.deleted)
        answer = yield self.asked(MetadataRequest(topics=None))
        if not isinstance(answer, MetadataResponse):
            return
        found = {topic.topic_id: (topic.name or "", len(topic.partitions)) for topic in answer.topics}
        self.ledger.described(found, {topic_id: count for topic_id, (count, _) in made.items()}, deleted)
        self.looks += 1
        for topic_id, (_, settings) in made.items():
            if settings and topic_id not in self.ledger.doomed and not self.ledger.answers_lag:
                yield from self._look_at_settings(topic_id, settings)

    def _look_at_settings(self, topic_id: UUID, settings: dict[str, str]) -> Script:
        topic = self.ledger.topics[topic_id]
        resource = DescribeConfigsResource(
            resource_type=TOPIC_RESOURCE, resource_name=topic.name, configuration_keys=list(settings)
        )
        answer = yield self.asked(DescribeConfigsRequest(resources=[resource]))
        if isinstance(answer, Exception) or topic_id in self.ledger.doomed:
            return
        seen = {config.name: config.value for config in answer.results[0].configs}
        for name, value in settings.items():
            if topic.settings.get(name) == value and seen.get(name) != value:
                raise broken(f"topic {topic.name}: {name} was set to {value}, and is {seen.get(name)}")

    def _look_at(self, group: str) -> Script:
        host = self.host if self.is_alone else (yield from self.coordinator_of(group))
        if host is None:
            return
        before = {key: commits.settled for key, commits in self.ledger.commits.items()}
        request = OffsetFetchRequest(groups=[OffsetFetchRequestGroup(group_id=group, topics=None)])
        asked = self.ledger.asks(host, group)
        answer = yield self.asked(request, version_max=NAMED_UNTIL, host=host)
        if not isinstance(answer, OffsetFetchResponse) or answer.groups[0].error_code:
            return
        for topic in answer.groups[0].topics:
            for found in topic.partitions:
                name = (group, topic.name, found.partition_index)
                self.ledger.committed(*name, found.committed_offset, since=before.get(name, -1), host=host, asked=asked)
