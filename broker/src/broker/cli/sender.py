"""Records of one topic to its leaders: batches per partition, idempotent when all replicas acknowledge, retried.

Invariant: while a batch has no outcome, no other batch of its partition is made; so a batch that is sent again has the
same sequence numbers, and the leader knows it by them. Records that could not be delivered are counted and told, and the
next ones are tried all the same.
"""

import random
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from broker.cli.cluster import Cluster
from broker.cli.failures import Unavailable, check, meaning
from broker.cli.retrying import patiently
from broker.client.partitioner import partition_for_key
from broker.client.retriable import RETRIABLE, STALE_METADATA, error_of
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from broker.protocol.messages.produce import (
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from broker.record.batch import NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, add_sequence
from broker.record.builder import RecordBatchBuilder
from broker.record.compression import NONE
from broker.record.records import Header

ALL_REPLICAS = -1
# The newest version that names topics, not their ids.
PRODUCE_VERSION = 12
TRANSACTION_TIMEOUT_MS = 2**31 - 1
# What a record takes beside its key, value and headers, at most.
RECORD_OVERHEAD_BYTES = 40
# The leader has the batch: it came before, and the answer was lost.
DELIVERED = frozenset({ErrorCode.NONE, ErrorCode.DUPLICATE_SEQUENCE_NUMBER})
# The leader and this producer do not agree on what came before.
LOST_COUNT = frozenset({ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, ErrorCode.UNKNOWN_PRODUCER_ID, ErrorCode.INVALID_PRODUCER_EPOCH})


class SenderSettings(NamedTuple):
    """As the settings of Kafka's producer with these names."""

    acks: int = ALL_REPLICAS
    codec: int = NONE
    batch_size: int = 16 << 10
    retries: int = 3
    retry_backoff_ms: int = 100
    request_timeout_ms: int = 30_000
    delivery_timeout_ms: int = 120_000
    idempotent: bool = True


class _Batch(NamedTuple):
    data: bytes
    records: int


class Sender:
    """See the module. KafkaError when the topic is not there and is not created."""

    def __init__(self, cluster: Cluster, topic: str, settings: SenderSettings, tell: Callable[[str], None]) -> None:
        self._cluster, self._topic, self._settings, self._tell = cluster, topic, settings, tell
        self._leaders = cluster.leaders(topic, create=True)
        self._producer = (NO_PRODUCER_ID, NO_PRODUCER_EPOCH)
        self._sequences: dict[int, int] = {}
        self._open: dict[int, RecordBatchBuilder] = {}
        self._sticky = random.choice(sorted(self._leaders))
        self.failed = 0
        if settings.idempotent:
            self._renew_producer_id()

    @property
    def has_open(self) -> bool:
        """Whether records wait for `flush`."""
        return bool(self._open)

    def append(self, key: bytes | None, value: bytes | None, headers: Sequence[Header] = ()) -> None:
        """One more record; what is open is sent when its batch is full."""
        size = RECORD_OVERHEAD_BYTES + len(key or b"") + len(value or b"")
        size += sum(RECORD_OVERHEAD_BYTES + len(name) + len(content or b"") for name, content in headers)
        partition = self._partition(key)
        builder = self._open.get(partition)
        if builder is not None and builder.size + size > self._settings.batch_size:
            self.flush()
            partition = self._partition(key)
            builder = None
        if builder is None:
            builder = self._open[partition] = self._builder(partition)
        builder.append(time.time_ns() // 1_000_000, key, value, headers)

    def flush(self) -> None:
        """Send what is open, and wait until each batch has its outcome."""
        waiting = {index: _Batch(builder.build(), builder.count) for index, builder in self._open.items()}
        self._open.clear()
        # Records without a key go to one partition until their batch is sent, then to another: larger batches that way.
        self._sticky = random.choice(sorted(self._leaders))
        deadline = time.monotonic() + self._settings.delivery_timeout_ms / 1000
        for attempt in range(self._settings.retries + 1):
            if attempt:
                time.sleep(self._settings.retry_backoff_ms / 1000)
            again = self._attempt(waiting, last=attempt == self._settings.retries or time.monotonic() > deadline)
            waiting = {index: waiting[index] for index in again}
            if not waiting:
                return

    def _partition(self, key: bytes | None) -> int:
        return self._sticky if key is None else partition_for_key(key, len(self._leaders))

    def _builder(self, partition: int) -> RecordBatchBuilder:
        producer_id, epoch = self._producer
        sequence = self._sequences.get(partition, 0) if self._settings.idempotent else NO_SEQUENCE
        return RecordBatchBuilder(
            codec=self._settings.codec, producer_id=producer_id, producer_epoch=epoch, base_sequence=sequence
        )

    def _renew_producer_id(self) -> None:
        """A new producer id, and sequences from 0: after the outcome of a batch stayed unknown."""

        def ask() -> tuple[int, int]:
            request = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=TRANSACTION_TIMEOUT_MS)
            response = self._cluster.any().ask(request, InitProducerIdResponse)
            check(response.error_code, "cannot get a producer id")
            return response.producer_id, response.producer_epoch

        self._producer = patiently(ask, RETRIABLE)
        self._sequences.clear()

    def _attempt(self, batches: dict[int, _Batch], *, last: bool) -> list[int]:
        """Send once; the partitions to try again. On the `last` attempt there are none, and failures are told."""
        again = []
        unknown = False
        for index, (code, text) in self._send(batches).items():
            if code in DELIVERED:
                self._sequences[index] = add_sequence(self._sequences.get(index, 0), batches[index].records)
            elif code in RETRIABLE and not last:
                again.append(index)
            else:
                # A leader that refused for good did not take the sequence numbers; otherwise nobody knows.
                unknown = unknown or code in RETRIABLE or code in LOST_COUNT
                self.failed += batches[index].records
                self._tell(f"{batches[index].records} records for {self._topic}-{index} were not delivered: {text}")
        if unknown and self._settings.idempotent:
            self._renew_producer_id()
        return again

    def _send(self, batches: dict[int, _Batch]) -> dict[int, tuple[ErrorCode, str]]:
        """One request to each leader; the outcome of each partition."""
        outcomes: dict[int, tuple[ErrorCode, str]] = {}
        pending = []
        for leader in sorted({self._leaders[index] for index in batches}):
            mine = {index: batch for index, batch in batches.items() if self._leaders[index] == leader}
            try:
                connection = self._cluster.node(leader)
                request = self._request(mine)
                answered = self._settings.acks != 0
                pending.append((mine, connection, connection.begin(request, version_max=PRODUCE_VERSION, answered=answered)))
            except Unavailable as error:
                outcomes |= dict.fromkeys(mine, (ErrorCode.NETWORK_EXCEPTION, str(error)))
        for mine, connection, one in pending:
            try:
                response = connection.wait(one, ProduceResponse)
            except Unavailable as error:
                outcomes |= dict.fromkeys(mine, (ErrorCode.NETWORK_EXCEPTION, str(error)))
                continue
            answers = {answer.index: answer for topic in response.responses for answer in topic.partition_responses}
            outcomes |= {index: _outcome(answers.get(index)) for index in mine}
        if any(code in STALE_METADATA or code is ErrorCode.NETWORK_EXCEPTION for code, _ in outcomes.values()):
            self._refresh_leaders()
        return outcomes

    def _refresh_leaders(self) -> None:
        try:
            self._leaders |= self._cluster.leaders(self._topic)
        except (Unavailable, KafkaError):
            # Whatever it is, the next attempt meets it as well, and tells it.
            return

    def _request(self, batches: dict[int, _Batch]) -> ProduceRequest:
        data = [PartitionProduceData(index=index, records=batch.data) for index, batch in batches.items()]
        return ProduceRequest(
            transactional_id=None,
            acks=self._settings.acks,
            timeout_ms=self._settings.request_timeout_ms,
            topic_data=[TopicProduceData(name=self._topic, partition_data=data)],
        )


def _outcome(answer: PartitionProduceResponse | None) -> tuple[ErrorCode, str]:
    """No answer at all is what acks=0 gives."""
    if answer is None or answer.error_code == ErrorCode.NONE:
        return ErrorCode.NONE, ""
    return error_of(answer.error_code), meaning(answer.error_code, answer.error_message)
