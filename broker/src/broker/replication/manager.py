"""All partitions on this node: made and deleted as the metadata says, found by name or id, waited for.

Appends wake waiters once per turn of the loop, however many there were. High watermarks are checkpointed together.
A partition that a full disk leaves no room for is answered with KAFKA_STORAGE_ERROR and made as soon as there is some.
"""

import errno
import logging
import uuid
from collections.abc import Mapping

from broker.clock.port import Clock
from broker.config import BrokerConfig, TopicConfig
from broker.log.failure import DISK_FULL, LogDirFailure
from broker.log.log_manager import LogManager
from broker.log.partition_log import AppendInfo
from broker.log.properties import DirectoryError
from broker.metadata.image import BROKER_RESOURCE, TOPIC_RESOURCE, MetadataImage, TopicImage
from broker.protocol.errors import ErrorCode, KafkaError
from broker.replication.partition import Partition
from broker.storage.port import Buffer

log = logging.getLogger("broker.replication")
Key = tuple[str, int]


class ReplicaManager:
    """See the module. `apply` is subscribed to the metadata publisher."""

    def __init__(self, config: BrokerConfig, clock: Clock, logs: LogManager) -> None:
        self._config = config
        self._clock = clock
        self._logs = logs
        self.partitions: dict[Key, Partition] = {}
        self.topic_configs: dict[str, TopicConfig] = {}
        self._names: Mapping[uuid.UUID, str] = {}
        self._woken: dict[Partition, None] = {}
        self._dynamic: Mapping[str, str] = {}
        self._begun = False
        # The newest image, and the partitions in it that wait for room on the disk.
        self._image = MetadataImage()
        self._unmade: dict[Key, None] = {}

    # Metadata.

    def apply(self, before: MetadataImage, after: MetadataImage) -> None:
        """Follow a new image: logs for new partitions, none for deleted topics, settings for both.

        The first one is all that was agreed on before this node started: what else is on its disk is set aside.
        """
        if after.topics is before.topics and after.configs is before.configs and self._begun:
            return
        self._image = after
        dynamic = dynamic_broker_settings(after, self._config.node_id)
        for name, topic in before.topics.items():
            kept = after.topics.get(name)
            if kept is None or kept.topic_id != topic.topic_id:
                self._forget(topic)
        for name, topic in after.topics.items():
            changed = after.config(TOPIC_RESOURCE, name) != before.config(TOPIC_RESOURCE, name)
            if topic is not before.topics.get(name) or changed or dynamic != self._dynamic:
                self._update(topic, after, dynamic)
        self._names, self._dynamic = after.names_by_id, dynamic
        if not self._begun:
            self._begun = True
            self._logs.set_strays_aside({(topic.name, index) for topic in after.topics.values() for index in topic.partitions})

    def _update(self, topic: TopicImage, image: MetadataImage, dynamic: Mapping[str, str]) -> None:
        config = TopicConfig.from_overrides(self._config, image.config(TOPIC_RESOURCE, topic.name), dynamic)
        self.topic_configs[topic.name] = config
        for index, state in topic.partitions.items():
            key = (topic.name, index)
            partition = self.partitions.get(key)
            if partition is None:
                if self._config.node_id not in state.replicas:
                    continue
                partition = self._make(topic, index, config)
                if partition is None:
                    continue
            if partition.log.config is not config:
                partition.log.configure(config)
            if state is not partition.image:
                partition.become_leader(state, self._logs.high_watermarks.get(key, 0))

    def _make(self, topic: TopicImage, index: int, config: TopicConfig) -> Partition | None:
        """A partition with its log; None when there is no room for it now, or the log directory has failed."""
        key = (topic.name, index)
        try:
            made = self._logs.get_or_create(topic.name, index, topic.topic_id, config)
        except OSError as error:
            if error.errno not in DISK_FULL:
                self._logs.fail(LogDirFailure(f"{topic.name}-{index}", error))
            elif key not in self._unmade:
                log.error("%s-%d cannot be made now: %s", *key, error)
            self._unmade[key] = None
            return None
        except DirectoryError as error:
            self._logs.fail(LogDirFailure(f"{topic.name}-{index}", OSError(errno.EIO, str(error))))
            self._unmade[key] = None
            return None
        self._unmade.pop(key, None)
        partition = self.partitions[key] = Partition(topic.name, topic.topic_id, index, made, self._config.node_id)
        return partition

    def _make_again(self) -> None:
        """Try those again that a full disk left no room for."""
        for name in dict.fromkeys(topic for topic, _ in self._unmade):
            self._update(self._image.topics[name], self._image, self._dynamic)

    def _forget(self, topic: TopicImage) -> None:
        config = self.topic_configs.pop(topic.name, None)
        delay = config.file_delete_delay_ms if config is not None else 0
        for index in topic.partitions:
            self._unmade.pop((topic.name, index), None)
            partition = self.partitions.pop((topic.name, index), None)
            if partition is not None:
                self._logs.delete(topic.name, index, delay)
                # Not now: who is woken may ask for what the new image has and this node does not have yet.
                self.wake_soon(partition)

    # Lookup.

    def name_of(self, topic_id: uuid.UUID) -> str | None:
        return self._names.get(topic_id)

    def find(self, topic: str, index: int) -> Partition:
        """KafkaError(UNKNOWN_TOPIC_OR_PARTITION) when it is not here."""
        partition = self.partitions.get((topic, index))
        if partition is None:
            if (topic, index) in self._unmade:
                raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"there is no room for {topic}-{index} on the disk")
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        return partition

    # Appending and waiting.

    def append(self, partition: Partition, batch: Buffer, required_acks: int) -> AppendInfo:
        """Append for a client, and wake whoever waits for the partition at the end of this turn."""
        minimum = self.topic_configs[partition.topic].min_insync_replicas
        info = partition.append(batch, required_acks, minimum, self._clock.wall_ms())
        if partition.waiters:
            self.wake_soon(partition)
        return info

    def append_own(self, partition: Partition, batch: Buffer) -> AppendInfo:
        info = partition.append_own(batch, self._clock.wall_ms())
        if partition.waiters:
            self.wake_soon(partition)
        return info

    def wake_soon(self, partition: Partition) -> None:
        if not self._woken:
            self._clock.call_soon(self._wake_all)
        self._woken[partition] = None

    def _wake_all(self) -> None:
        woken, self._woken = self._woken, {}
        for partition in woken:
            self._wake(partition)

    @staticmethod
    def _wake(partition: Partition) -> None:
        waiters, partition.waiters = partition.waiters, {}
        for waiter in waiters:
            waiter()

    # Upkeep.

    def checkpoint_high_watermarks(self) -> None:
        self._make_again()
        self._logs.write_high_watermarks({key: partition.high_watermark for key, partition in self.partitions.items()})

    def apply_retention(self) -> None:
        self._logs.apply_retention(self._high_watermark_of)

    def _high_watermark_of(self, key: Key) -> int:
        partition = self.partitions.get(key)
        return partition.high_watermark if partition is not None else 0


def dynamic_broker_settings(image: MetadataImage, node_id: int) -> Mapping[str, str]:
    """Broker settings changed at run time: those of all brokers, and over them those of this one."""
    return {**image.config(BROKER_RESOURCE, ""), **image.config(BROKER_RESOURCE, str(node_id))}
