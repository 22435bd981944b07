"""Asking the controller for changes of ISRs: many partitions in one AlterPartition, one request under way.

Invariants: a partition has one proposal at a time (`LeaderState.pending_isr`), which is withdrawn only when the controller has
refused it for good; one whose outcome is not known stays pending, and its members count, until the metadata says more.
Source: ``AlterPartitionManager``, ``Partition.handleAlterPartitionError``.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from broker.clock.port import Clock
from broker.protocol.errors import ErrorCode
from broker.protocol.message import Request
from broker.protocol.messages.alter_partition import (
    AlterPartitionRequest,
    AlterPartitionResponse,
    BrokerState,
    PartitionData,
    ResponsePartitionData,
    TopicData,
)
from broker.protocol.types import UUID
from broker.replication.leader_state import NO_BROKER_EPOCH
from broker.replication.partition import Partition

log = logging.getLogger("broker.replication")
VERSION = 3
RETRY_MS = 50
# Refused for good: the committed ISR holds again. Everything else that is not retried waits for the metadata.
WITHDRAWN = frozenset({ErrorCode.OPERATION_NOT_ATTEMPTED, ErrorCode.INELIGIBLE_REPLICA})
ABANDONED = frozenset(
    {
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode.UNKNOWN_TOPIC_ID,
        ErrorCode.FENCED_LEADER_EPOCH,
        ErrorCode.INVALID_UPDATE_VERSION,
        ErrorCode.INVALID_REQUEST,
        ErrorCode.NEW_LEADER_ELECTED,
    }
)
Key = tuple[UUID, int]


class ControllerChannel(Protocol):
    """The active controller, wherever it is."""

    def submit(self, request: Request, version: int, on_done: Callable[[Any], None]) -> None:
        """`on_done(response)` exactly once; an error of the whole request stands in its `error_code`."""


class IsrUpdates:
    """See the module. `own_epoch()`: under which epoch this node is registered; `on_settled` hears of every ISR that changed."""

    def __init__(
        self,
        node_id: int,
        clock: Clock,
        controller: ControllerChannel,
        own_epoch: Callable[[], int],
        on_settled: Callable[[Partition], None],
    ) -> None:
        self._node_id = node_id
        self._clock = clock
        self._controller = controller
        self._own_epoch = own_epoch
        self._on_settled = on_settled
        self._wanted: dict[Key, Partition] = {}
        self._sent: Mapping[Key, tuple[Partition, int]] = {}
        self._scheduled = False

    def propose(self, partition: Partition, isr: tuple[int, ...]) -> None:
        """Ask for this ISR; sent at the end of the turn, together with others."""
        assert partition.leader is not None
        partition.leader.pending_isr = isr
        log.info("%s asks for the ISR %s instead of %s", partition, list(isr), list(partition.leader.isr))
        self._wanted[partition.topic_id, partition.index] = partition
        self._schedule()

    def _schedule(self, delay_ms: int = 0) -> None:
        if not self._scheduled and not self._sent and self._wanted:
            self._scheduled = True
            self._clock.call_at(self._clock.monotonic_ms() + delay_ms, self._send)

    def _send(self) -> None:
        self._scheduled = False
        wanted, self._wanted = self._wanted, {}
        topics: dict[UUID, TopicData] = {}
        sent = {}
        for (topic_id, index), partition in wanted.items():
            leader = partition.leader
            if leader is None or leader.pending_isr is None:
                continue
            sent[topic_id, index] = (partition, partition.leader_epoch)
            data = PartitionData(
                partition_index=index,
                leader_epoch=partition.leader_epoch,
                new_isr_with_epochs=[self._member(partition, replica) for replica in leader.pending_isr],
                partition_epoch=leader.image.partition_epoch,
            )
            topics.setdefault(topic_id, TopicData(topic_id=topic_id)).partitions.append(data)
        if not sent:
            return
        self._sent = sent
        request = AlterPartitionRequest(broker_id=self._node_id, broker_epoch=self._own_epoch(), topics=list(topics.values()))
        self._controller.submit(request, VERSION, self._answered)

    def _member(self, partition: Partition, replica: int) -> BrokerState:
        assert partition.leader is not None
        if replica == self._node_id:
            return BrokerState(broker_id=replica, broker_epoch=self._own_epoch())
        follower = partition.leader.followers.get(replica)
        return BrokerState(broker_id=replica, broker_epoch=follower.broker_epoch if follower is not None else NO_BROKER_EPOCH)

    def _answered(self, response: AlterPartitionResponse) -> None:
        sent, self._sent = self._sent, {}
        answers = {(topic.topic_id, one.partition_index): one for topic in response.topics for one in topic.partitions}
        failed = response.error_code != ErrorCode.NONE
        again = False
        for key, (partition, epoch) in sent.items():
            leader = partition.leader
            if leader is None or partition.leader_epoch != epoch:
                continue
            answer = answers.get(key)
            if failed or answer is None or not self._settle(partition, answer):
                again = True
                if leader.pending_isr is not None:
                    self._wanted[key] = partition
        self._schedule(RETRY_MS if again else 0)

    def _settle(self, partition: Partition, answer: ResponsePartitionData) -> bool:
        """Whether that is the end of what was asked; False when it is to be asked again."""
        leader = partition.leader
        assert leader is not None
        code = ErrorCode(answer.error_code)
        if code is ErrorCode.NONE:
            image = replace(leader.image, isr=tuple(answer.isr), partition_epoch=answer.partition_epoch)
            if leader.settle(image):
                self._on_settled(partition)
        elif code in WITHDRAWN:
            log.info("the controller refuses the ISR of %s: %s", partition, code.name)
            leader.withdraw()
            self._on_settled(partition)
        elif code in ABANDONED:
            log.info("the ISR of %s is left to the metadata: %s", partition, code.name)
        else:
            return False
        return True
