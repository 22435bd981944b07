"""`__consumer_offsets` as the group coordinator sees it: partitions of this node, and the making of the topic."""

import logging
from collections.abc import Callable, Iterator, Sequence

from broker.clock.port import Clock
from broker.config import BrokerConfig
from broker.group.ports import KeyValue
from broker.metadata.publisher import MetadataPublisher
from broker.metadata.topic_names import CONSUMER_OFFSETS
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.create_topics import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from broker.record.batch import iter_batches
from broker.record.builder import build_batch
from broker.record.records import Record, iter_records
from broker.replication.manager import ReplicaManager
from broker.server.services import Controller

log = logging.getLogger("broker.node")
CREATE_VERSION = 7
READ_BYTES = 1 << 20


class NodeOffsetsLog:
    """The port of the group coordinator, on this node's partitions."""

    def __init__(
        self, config: BrokerConfig, clock: Clock, metadata: MetadataPublisher, replicas: ReplicaManager, controller: Controller
    ) -> None:
        self._config = config
        self._clock = clock
        self._metadata = metadata
        self._replicas = replicas
        self._controller = controller
        self._creating = False
        # Why the topic could not be made last: clients ask again and again.
        self._refusal: str | None = None

    def partition_count(self) -> int:
        topic = self._metadata.image.topics.get(CONSUMER_OFFSETS)
        return len(topic.partitions) if topic is not None else 0

    def ensure_topic(self) -> None:
        if self._creating:
            return
        self._creating = True
        settings = {"cleanup.policy": "compact", "segment.bytes": str(self._config.offsets_topic_segment_bytes)}
        topic = CreatableTopic(
            name=CONSUMER_OFFSETS,
            num_partitions=self._config.offsets_topic_num_partitions,
            replication_factor=self._config.offsets_topic_replication_factor,
            configs=[CreatableTopicConfig(name=name, value=value) for name, value in settings.items()],
        )
        self._controller.submit(CreateTopicsRequest(topics=[topic]), CREATE_VERSION, self._created)

    def _created(self, response: CreateTopicsResponse) -> None:
        self._creating = False
        (topic,) = response.topics
        refusal = topic.error_message if topic.error_code != ErrorCode.TOPIC_ALREADY_EXISTS else None
        if refusal and refusal != self._refusal:
            factor = self._config.offsets_topic_replication_factor
            text = "groups have no coordinator, for %s cannot be made: %s (offsets.topic.replication.factor=%d)"
            log.warning(text, CONSUMER_OFFSETS, refusal, factor)
        self._refusal = refusal

    def is_leader(self, partition: int) -> bool:
        return self.leader_id(partition) == self._config.node_id

    def leader_id(self, partition: int) -> int:
        return self._metadata.image.topics[CONSUMER_OFFSETS].partitions[partition].leader

    def append(
        self,
        partition: int,
        records: Sequence[KeyValue],
        committed: Callable[[], None],
        done: Callable[[ErrorCode], None],
    ) -> None:
        now = self._clock.wall_ms()
        batch = build_batch([Record(0, now, key, value) for key, value in records])
        try:
            found = self._replicas.find(CONSUMER_OFFSETS, partition)
            largest = self._replicas.topic_configs[CONSUMER_OFFSETS].max_message_bytes
            if len(batch) > largest:
                raise KafkaError(ErrorCode.MESSAGE_TOO_LARGE, f"{len(batch)} bytes are more than max.message.bytes={largest}")
            info = self._replicas.append_own(found, batch)
        except KafkaError as error:
            done(error.code)
            return
        self._replicas.on_commit(found, info.last_offset + 1, committed)
        self._replicas.when_committed(found, info, self._config.value("offsets.commit.timeout.ms"), done)

    def when_committed(self, partition: int, done: Callable[[], None]) -> None:
        found = self._replicas.find(CONSUMER_OFFSETS, partition)
        self._replicas.on_commit(found, found.log.log_end_offset, done)

    def read_all(self, partition: int) -> Iterator[Record]:
        log = self._replicas.find(CONSUMER_OFFSETS, partition).log
        offset = log.log_start_offset
        while offset < log.log_end_offset:
            buffers = log.read(offset, READ_BYTES, log.log_end_offset)
            if not buffers:
                return
            for buffer in buffers:
                for header, batch in iter_batches(buffer):
                    offset = header.next_offset
                    if not header.is_control:
                        yield from iter_records(batch, header)
