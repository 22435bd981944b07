"""A producer: batches to the partitions of a topic, sent again until they are acknowledged, as Kafka's clients do.

One lane per partition, with a producer id of its own when it is idempotent; all lanes share the connection, so that several
batches are under way. `depth`: how many batches of one lane are under way at a time. What is refused is sent again together
with all that followed it, in order. A value is `producer/number|filler`.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from broker.client.partitioner import partition_for_key
from broker.client.retriable import RETRIABLE, STALE_METADATA, error_of
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.init_producer_id import InitProducerIdRequest
from broker.protocol.messages.produce import (
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from broker.record.builder import RecordBatchBuilder
from simulation.ledger import Ledger, broken
from simulation.script import RETRY_MS, Client, Script, all_of
from simulation.world import Simulation

BRIEF = "brief"
RECORDS_MAX, RECORDS_MAX_IN_CLUSTER = 4, 20
NO_PRODUCER = (-1, -1)
BY_ID_SINCE = 13
# The broker does not know what came before: it lost the producer's latest batches, or all of them.
LOST_STATE = frozenset({ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, ErrorCode.UNKNOWN_PRODUCER_ID})


class Batch:
    """Records that are sent together; their sequence numbers stay."""

    def __init__(self, sequence: int, records: list[tuple[bytes, bytes]]) -> None:
        self.sequence = sequence
        self.records = records
        # Where the records stood already when they were sent again, None when they did not.
        self.stood_at: int | None = None

    @property
    def values(self) -> list[bytes]:
        return [value for _, value in self.records]


class Lane:
    """One partition of a producer's topic."""

    def __init__(self, producer: "Producer", index: int) -> None:
        self.producer = producer
        self.index = index
        self.name = f"{producer.name}.{index}"
        self.identity = NO_PRODUCER
        self.next_sequence = 0
        self.waiting = 0
        self._number = 0
        self._key = 0
        if producer.idempotent:
            producer.ledger.idempotent.add(self.name)

    def run(self) -> Script:
        producer = self.producer
        if producer.idempotent:
            yield from self._identify()
        while not (producer.stopping or producer.is_abandoned()):
            # A leader that knows nothing of a producer takes any sequence for its first: the first batch goes alone.
            depth = producer.depth if self.next_sequence or producer.is_alone else 1
            window = [self._batch() for _ in range(producer.rng.randint(1, depth))]
            self.waiting = len(window)
            while window:
                window = yield from self._send(window)
                self.waiting = len(window)
                if window:
                    if producer.is_abandoned():
                        self.waiting = 0
                        return
                    yield producer.sleep(*RETRY_MS)
            yield producer.sleep(0, producer.pause_ms_max)

    def _identify(self) -> Script:
        request = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=60_000)
        answer, code = yield from self.producer.retried(f"{self.name} wants an id", lambda: request, lambda r: r.error_code)
        if code is not ErrorCode.NONE:
            raise broken(f"{self.name}: InitProducerId ended in {code.name}")
        self.identity = (answer.producer_id, answer.producer_epoch)
        self.next_sequence = 0

    def _batch(self) -> Batch:
        rng, records = self.producer.rng, []
        for _ in range(rng.randint(1, RECORDS_MAX if self.producer.is_alone else RECORDS_MAX_IN_CLUSTER)):
            self._number += 1
            while partition_for_key(key := f"{self.name}/{self._key}".encode(), self.producer.partitions) != self.index:
                self._key += 1
            filler = "x" * (rng.randint(0, 200) if rng.randrange(40 if self.producer.is_alone else 300) else 30_000)
            records.append((key, f"{self.name}/{self._number:06}|{filler}".encode()))
            self._key += 1
        batch = Batch(self.next_sequence, records)
        self.next_sequence += len(records)
        return batch

    def _send(self, window: list[Batch]) -> Script:
        """Send batches one behind the other; those that have to be sent again."""
        producer = self.producer
        leader = yield from producer.leader_of(producer.topic_id, self.index)
        if leader is None:
            return window
        steps = [producer.asked(self._request(batch), version_max=producer.version_max, host=leader.host) for batch in window]
        outcomes = yield all_of(steps)
        for position, (batch, outcome) in enumerate(zip(window, outcomes, strict=True)):
            code = self._judge(batch, outcome)
            if code is ErrorCode.NONE:
                continue
            if code in LOST_STATE and position == 0:
                if not producer.ledger.machine_deaths:
                    raise broken(f"{self.name}: {code.name}, though no batch before this one was lost")
                producer.note(f"{self.name}: {code.name}, a new identity")
                yield from self._begin_anew(window)
            self._find_again(window[position:])
            return window[position:]
        return []

    def _find_again(self, window: Sequence[Batch]) -> None:
        """Note what stands in the log already though nobody said so: it must not stand there twice."""
        for batch in window:
            batch.stood_at = self.producer.ledger.place_of(self.producer.topic_id, self.index, batch.values[0])

    def _begin_anew(self, window: Sequence[Batch]) -> Script:
        yield from self._identify()
        for batch in window:
            batch.sequence = self.next_sequence
            self.next_sequence += len(batch.records)

    def _request(self, batch: Batch) -> ProduceRequest:
        producer_id, epoch = self.identity
        builder = RecordBatchBuilder(
            producer_id=producer_id, producer_epoch=epoch, base_sequence=batch.sequence if self.producer.idempotent else -1
        )
        for key, value in batch.records:
            builder.append(self.producer.wall_ms, key, value)
        data = PartitionProduceData(index=self.index, records=builder.build())
        by_id = (self.producer.version_max or BY_ID_SINCE) >= BY_ID_SINCE
        topic = TopicProduceData(partition_data=[data])
        if by_id:
            topic.topic_id = self.producer.topic_id
        else:
            topic.name = self.producer.topic
        return ProduceRequest(transactional_id=None, acks=self.producer.acks, timeout_ms=10_000, topic_data=[topic])

    def _judge(self, batch: Batch, outcome: Any) -> ErrorCode:
        """What became of a batch; None of its errors may be one that a healthy broker never gives."""
        producer = self.producer
        if not isinstance(outcome, ProduceResponse):
            producer.routes.doubt(producer.topic_id, self.index)
            return ErrorCode.NETWORK_EXCEPTION
        answer = outcome.responses[0].partition_responses[0]
        code = error_of(answer.error_code)
        if code in STALE_METADATA:
            self._follow(answer)
        if code is ErrorCode.NONE:
            producer.note(f"{self.name}: {len(batch.records)} records at {answer.base_offset}")
            producer.ledger.acknowledged(producer.topic_id, self.index, answer.base_offset, batch.values, producer.acks)
            if producer.idempotent and answer.base_offset == batch.stood_at:
                producer.duplicates += 1
        elif code not in RETRIABLE | LOST_STATE:
            raise broken(f"{self.name}: a produce ended in {code.name}: {answer.error_message}")
        else:
            producer.note(f"{self.name}: {code.name}")
            producer.refused[code] = producer.refused.get(code, 0) + 1
        return code

    def _follow(self, answer: PartitionProduceResponse) -> None:
        """Another one leads: the answer may say who (KIP-951)."""
        routes, topic_id = self.producer.routes, self.producer.topic_id
        routes.doubt(topic_id, self.index)
        if answer.current_leader.leader_id >= 0:
            leader = answer.current_leader
            routes.hear(topic_id, self.index, leader.leader_id, leader.leader_epoch, by_id=self.producer.version_max is None)


class Producer(Client):
    """See the module."""

    def __init__(
        self,
        simulation: Simulation,
        ledger: Ledger,
        name: str,
        brokers: str | Sequence[str],
        *,
        topic: str,
        topic_id: UUID,
        partitions: int,
        idempotent: bool,
        depth: int = 1,
    ) -> None:
        super().__init__(simulation, ledger, name, brokers)
        self.topic = topic
        self.topic_id = topic_id
        self.partitions = partitions
        self.idempotent = idempotent
        self.depth = depth if idempotent else 1
        self.acks = -1 if idempotent else self.rng.choice((1, -1))
        self.version_max = self.rng.choice((None, 9, 12))
        if not self.is_alone and name.startswith(BRIEF):
            # Names that are used again mean what a broker has heard of last: only ids are sure.
            self.version_max = None
        self.pause_ms_max = self.rng.choice((100, 300, 1000) if self.is_alone else (500, 1000, 2000))
        self.stopping = False
        self.refused: dict[ErrorCode, int] = {}
        # Batches that were sent again, stood in the log already, and were answered as the ones there.
        self.duplicates = 0
        self.lanes = [Lane(self, index) for index in range(partitions)]
        for lane in self.lanes:
            self.spawn(lane.run())

    def is_abandoned(self) -> bool:
        """Whether the topic is being deleted, so that nothing can be said about what was sent."""
        return self.topic_id in self.ledger.doomed

    @property
    def unanswered(self) -> int:
        """Batches without an acknowledgement."""
        return sum(lane.waiting for lane in self.lanes)
