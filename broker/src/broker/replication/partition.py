"""One partition on its leader: who may append, what is visible, and who waits for it.

Invariants: high watermark <= log end offset, and it never goes back; a waiter is woken at most once per turn of the loop.
The high watermark is the smallest log end offset within the ISR; where this node is all of it, it moves with every append.
Source: ``Partition``. Not done: followers' fetches, ISR changes (the next step; their place is `_advance`).
"""

import uuid
from collections.abc import Callable

from broker.log.partition_log import AppendInfo, PartitionLog
from broker.metadata.image import PartitionImage
from broker.protocol.errors import ErrorCode, KafkaError
from broker.storage.port import Buffer

ALL_REPLICAS = -1


class Partition:
    """State and log of a partition this node leads."""

    def __init__(self, topic: str, topic_id: uuid.UUID, index: int, log: PartitionLog, node_id: int) -> None:
        self.topic = topic
        self.topic_id = topic_id
        self.index = index
        self.log = log
        self.image: PartitionImage | None = None
        self.high_watermark = 0
        self._node_id = node_id
        # Called once when something new can be read; see `ReplicaManager.wake_soon`.
        self.waiters: dict[Callable[[], None], None] = {}

    def become_leader(self, image: PartitionImage, high_watermark: int) -> None:
        """Lead in the epoch of `image`; `high_watermark` is the one that was checkpointed."""
        if self.image is None or image.leader_epoch > self.image.leader_epoch:
            self.log.assign_epoch(image.leader_epoch, self.log.log_end_offset)
        self.image = image
        self.high_watermark = max(self.high_watermark, min(high_watermark, self.log.log_end_offset))
        self._advance()

    @property
    def leader_epoch(self) -> int:
        assert self.image is not None
        return self.image.leader_epoch

    @property
    def is_leader(self) -> bool:
        return self.image is not None and self.image.leader == self._node_id

    def check_epoch(self, claimed: int) -> None:
        """KafkaError when the client knows another leader epoch; -1 means it does not say."""
        if not self.is_leader:
            raise KafkaError(ErrorCode.NOT_LEADER_OR_FOLLOWER)
        if claimed < 0 or claimed == self.leader_epoch:
            return
        raise KafkaError(ErrorCode.FENCED_LEADER_EPOCH if claimed < self.leader_epoch else ErrorCode.UNKNOWN_LEADER_EPOCH)

    def append(self, batch: Buffer, required_acks: int, min_insync_replicas: int, now_ms: int) -> AppendInfo:
        """Append a client's batch. KafkaError when it is refused."""
        if not self.is_leader:
            raise KafkaError(ErrorCode.NOT_LEADER_OR_FOLLOWER)
        assert self.image is not None
        if required_acks == ALL_REPLICAS and len(self.image.isr) < min_insync_replicas:
            raise KafkaError(
                ErrorCode.NOT_ENOUGH_REPLICAS,
                f"the ISR {list(self.image.isr)} is smaller than min.insync.replicas={min_insync_replicas}",
            )
        info = self.log.append_as_leader(batch, self.leader_epoch, now_ms)
        self._advance()
        return info

    def append_own(self, batch: Buffer, now_ms: int) -> AppendInfo:
        """Append a batch this node made itself (an internal topic's)."""
        if not self.is_leader:
            raise KafkaError(ErrorCode.NOT_LEADER_OR_FOLLOWER)
        info = self.log.append_own(batch, self.leader_epoch, now_ms)
        self._advance()
        return info

    def _advance(self) -> None:
        """Move the high watermark to the smallest log end offset within the ISR."""
        assert self.image is not None
        if self.image.isr == (self._node_id,) and self.log.log_end_offset > self.high_watermark:
            self.high_watermark = self.log.log_end_offset

    def read(self, offset: int, max_bytes: int, *, at_least_one: bool) -> list[Buffer]:
        """What a consumer may see from `offset` on. KafkaError(OFFSET_OUT_OF_RANGE) outside the log."""
        if offset < self.log.log_start_offset or offset > self.log.log_end_offset:
            raise KafkaError(
                ErrorCode.OFFSET_OUT_OF_RANGE,
                f"offset {offset} of {self.topic}-{self.index} is not within "
                f"{self.log.log_start_offset}..{self.log.log_end_offset}",
            )
        if offset >= self.high_watermark:
            return []
        return self.log.read(offset, max_bytes, self.high_watermark, at_least_one=at_least_one)
