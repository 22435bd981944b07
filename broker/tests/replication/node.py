"""What the tests of replication share: one node's replica manager on a simulated disk, and metadata that changes."""

import random
import uuid
from collections.abc import Callable
from typing import Any

from broker.clock.simulated import WALL_START_MS, SimulatedClock
from broker.config import BrokerConfig
from broker.config.sources import SHIPPED
from broker.log.failure import LogDirFailure
from broker.log.log_manager import LogManager
from broker.log.properties import MetaProperties
from broker.metadata.image import MetadataImage
from broker.metadata.publisher import MetadataPublisher
from broker.metadata.records import encode_record
from broker.protocol.message import Record, Request
from broker.protocol.messages.metadata_records import ConfigRecord, PartitionRecord, RemoveTopicRecord, TopicRecord
from broker.record.builder import build_batch
from broker.replication.fetcher import ReplicaFetcher
from broker.replication.manager import ReplicaManager
from broker.storage.simulated import CrashMode, SimulatedStorage

ROOT = "/data"
NODE = 1


def topic_id(number: int) -> uuid.UUID:
    return uuid.UUID(int=number)


def batch(count: int = 1, **settings: Any) -> bytes:
    return build_batch([(b"k", b"v" * 20)] * count, WALL_START_MS, **settings)


class NoController:
    """Nobody asks for an ISR of one."""

    def submit(self, request: Request, version: int, on_done: Callable[[Any], None]) -> None:
        raise AssertionError(f"{type(request).__name__} is not expected")


def no_fetcher(leader_id: int, host: str, port: int) -> ReplicaFetcher:
    raise AssertionError("there is nobody to follow")


class Node:
    """A node without a network: its disk and what was agreed on outlive it."""

    def __init__(self, disk: type[SimulatedStorage] = SimulatedStorage, **settings: str) -> None:
        self.clock = SimulatedClock()
        self.storage = disk(self.clock)
        self.storage.make_directory(ROOT)
        self.storage.fsync_directory("/")
        self.failures: list[LogDirFailure] = []
        self.agreed: list[bytes] = []
        self.config = BrokerConfig(SHIPPED | {name.replace("_", "."): value for name, value in settings.items()})
        self.start()

    def start(self) -> None:
        """A new life on the same disk, that learns what was agreed on."""
        self.logs = LogManager(self.storage, self.clock, ROOT, self.failures.append)
        self.logs.claim()
        if self.logs.meta is None:
            self.logs.format(MetaProperties("4L6g3nShT-eMCtK--X86sw", NODE, topic_id(99)))
        self.logs.open()
        self.replicas = ReplicaManager(
            self.config, self.clock, self.logs, NoController(), own_epoch=lambda: 1, make_fetcher=no_fetcher
        )
        self.metadata = MetadataPublisher()
        self.metadata.subscribe(self.replicas.apply)
        for number, value in enumerate(self.agreed):
            self.metadata.handle_commit([value], number)
        self.metadata.begin()

    def crash(self, seed: int = 0, mode: CrashMode = "process") -> None:
        self.storage.crash(random.Random(seed), mode)
        self.start()

    def agree(self, *batch: Record) -> MetadataImage:
        """Commit records together."""
        values = [encode_record(record) for record in batch]
        self.agreed += values
        self.metadata.handle_commit(values, len(self.agreed) - 1)
        return self.metadata.image

    def create(self, name: str = "t", number: int = 1, *, partitions: int = 1, **partition: object) -> None:
        self.agree(
            TopicRecord(name=name, topic_id=topic_id(number)),
            *(partition_record(number, index, **partition) for index in range(partitions)),
        )

    def remove(self, number: int = 1) -> None:
        self.agree(RemoveTopicRecord(topic_id=topic_id(number)))

    def set(self, name: str, value: str | None, topic: str = "t") -> None:
        self.agree(ConfigRecord(resource_type=2, resource_name=topic, name=name, value=value))

    def turn(self) -> None:
        """The end of this turn of the loop."""
        self.clock.run_until(self.clock.now_ms)

    def settle(self, milliseconds: int = 1000) -> None:
        self.clock.run_until(self.clock.now_ms + milliseconds)

    def names(self) -> list[str]:
        return [name for name in self.storage.list_directory(ROOT) if "-0" in name or "-1" in name]


def partition_record(number: int, index: int = 0, **changes: object) -> PartitionRecord:
    settings: dict[str, object] = {"replicas": [NODE], "isr": [NODE], "leader": NODE, "leader_epoch": 0, "partition_epoch": 0}
    return PartitionRecord(partition_id=index, topic_id=topic_id(number), **(settings | changes))
