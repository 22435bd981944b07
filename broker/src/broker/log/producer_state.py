"""What a partition remembers of its idempotent producers.

Per producer: its epoch and its last five batches. A batch that is among them is answered with its first offset again;
a gap is refused; an unknown producer may begin anywhere (its state may have been lost to retention). Transactions of a log
that Kafka wrote are followed as far as the last stable offset needs it: where one begins, and that a marker ends it.
Source: ``ProducerAppendInfo``, ``ProducerStateEntry``, ``ProducerStateManager``.
Not done: the rules of transactions (verification, coordinator fencing) and the index of aborted ones.
"""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from broker.protocol.errors import ErrorCode, KafkaError
from broker.record.batch import (
    NO_PRODUCER_EPOCH,
    NO_SEQUENCE,
    NO_TIMESTAMP,
    SEQUENCE_MAX,
    BatchHeader,
    Buffer,
)
from broker.record.builder import ControlType, control_type
from broker.record.records import iter_records

BATCHES_KEPT = 5
NO_OFFSET = -1
NO_COORDINATOR_EPOCH = -1


class ProducedBatch(NamedTuple):
    """One remembered batch."""

    last_sequence: int
    last_offset: int
    offset_delta: int
    timestamp: int

    @property
    def first_sequence(self) -> int:
        return (self.last_sequence - self.offset_delta) & SEQUENCE_MAX

    @property
    def first_offset(self) -> int:
        return self.last_offset - self.offset_delta


class ProducerEntry:
    """One producer."""

    __slots__ = ("batches", "coordinator_epoch", "epoch", "last_timestamp", "txn_first_offset")

    def __init__(
        self,
        epoch: int = NO_PRODUCER_EPOCH,
        *,
        last_timestamp: int = NO_TIMESTAMP,
        coordinator_epoch: int = NO_COORDINATOR_EPOCH,
        txn_first_offset: int = NO_OFFSET,
    ) -> None:
        self.epoch = epoch
        self.batches: deque[ProducedBatch] = deque(maxlen=BATCHES_KEPT)
        self.last_timestamp = last_timestamp
        self.coordinator_epoch = coordinator_epoch
        self.txn_first_offset = txn_first_offset

    @property
    def last_sequence(self) -> int:
        return self.batches[-1].last_sequence if self.batches else NO_SEQUENCE

    def find(self, header: BatchHeader) -> ProducedBatch | None:
        """The remembered batch with exactly these sequence numbers."""
        if header.producer_epoch != self.epoch:
            return None
        for batch in self.batches:
            if batch.last_sequence == header.last_sequence and batch.first_sequence == header.base_sequence:
                return batch
        return None

    def set_epoch(self, epoch: int) -> None:
        if epoch != self.epoch:
            self.batches.clear()
            self.epoch = epoch


class ProducerState:
    """All producers of one partition, as of the end of its log."""

    __slots__ = ("_open_transactions", "producers")

    def __init__(self) -> None:
        self.producers: dict[int, ProducerEntry] = {}
        # First offsets of open transactions, by producer.
        self._open_transactions: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.producers)

    @property
    def first_unstable_offset(self) -> int | None:
        """Where the earliest open transaction begins: the last stable offset when there is one."""
        return min(self._open_transactions.values(), default=None)

    def add(self, producer_id: int, entry: ProducerEntry) -> None:
        """Take over a producer from a snapshot."""
        self.producers[producer_id] = entry
        if entry.txn_first_offset != NO_OFFSET:
            self._open_transactions[producer_id] = entry.txn_first_offset

    def check(self, header: BatchHeader, *, sequences: bool = True) -> ProducedBatch | None:
        """The remembered batch when this one is a duplicate, None when it may be appended; KafkaError when it may not.

        `sequences`: whether it comes from a client; a coordinator's batches have epochs only.
        """
        entry = self.producers.get(header.producer_id)
        if entry is None:
            return None
        if sequences and (found := entry.find(header)) is not None:
            return found
        if header.producer_epoch < entry.epoch:
            raise KafkaError(
                ErrorCode.INVALID_PRODUCER_EPOCH,
                f"producer {header.producer_id} comes with epoch {header.producer_epoch}, {entry.epoch} is known",
            )
        if sequences:
            self._check_sequence(header, entry)
        if entry.txn_first_offset != NO_OFFSET and not header.is_transactional and header.producer_epoch == entry.epoch:
            raise KafkaError(
                ErrorCode.INVALID_TXN_STATE, f"producer {header.producer_id} has an open transaction, this batch is not in it"
            )
        return None

    @staticmethod
    def _check_sequence(header: BatchHeader, entry: ProducerEntry) -> None:
        sequence = header.base_sequence
        if header.producer_epoch != entry.epoch:
            if sequence == 0 or entry.epoch == NO_PRODUCER_EPOCH:
                return
            why = f"epoch {header.producer_epoch} is new and must begin with 0"
        else:
            last = entry.last_sequence
            if sequence == last + 1 or (sequence == 0 and last == SEQUENCE_MAX):
                return
            why = f"the last one was {last}"
        raise KafkaError(
            ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
            f"producer {header.producer_id} comes with sequence number {sequence}, but {why}",
        )

    def update(self, header: BatchHeader, batch: Buffer | None = None) -> None:
        """Remember a batch that was appended (its offsets are settled). A control batch brings its bytes."""
        entry = self.producers.get(header.producer_id)
        if entry is None:
            entry = self.producers[header.producer_id] = ProducerEntry(header.producer_epoch)
        else:
            entry.set_epoch(header.producer_epoch)
        if header.is_control:
            self._end_transaction(header, entry, batch)
            return
        entry.batches.append(
            ProducedBatch(header.last_sequence, header.last_offset, header.last_offset_delta, header.max_timestamp)
        )
        entry.last_timestamp = header.max_timestamp
        if header.is_transactional and entry.txn_first_offset == NO_OFFSET:
            entry.txn_first_offset = self._open_transactions[header.producer_id] = header.base_offset

    def recall(self, header: BatchHeader) -> None:
        """Know again a batch from before a snapshot, which has the last one of each producer alone. To be called in order."""
        entry = self.producers.get(header.producer_id)
        if entry is None or header.is_control or header.producer_epoch != entry.epoch or not entry.batches:
            return
        last = entry.batches.pop()
        if header.last_offset < last.last_offset:
            entry.batches.append(
                ProducedBatch(header.last_sequence, header.last_offset, header.last_offset_delta, header.max_timestamp)
            )
        entry.batches.append(last)

    def _end_transaction(self, header: BatchHeader, entry: ProducerEntry, batch: Buffer | None) -> None:
        record = next(iter_records(batch, header), None) if batch is not None else None
        if record is None or control_type(record.key) not in (ControlType.ABORT, ControlType.COMMIT):
            return
        if record.value is not None and len(record.value) >= 6:
            entry.coordinator_epoch = int.from_bytes(record.value[2:6], "big", signed=True)
        entry.last_timestamp = record.timestamp
        entry.txn_first_offset = NO_OFFSET
        self._open_transactions.pop(header.producer_id, None)

    def expire(self, now_ms: int, expiration_ms: int) -> int:
        """Forget producers that were silent for `expiration_ms` and have nothing open; how many. `now_ms` is wall time."""
        expired = [producer_id for producer_id, entry in self.producers.items() if _is_expired(entry, now_ms, expiration_ms)]
        for producer_id in expired:
            del self.producers[producer_id]
        return len(expired)

    def items(self) -> Iterator[tuple[int, ProducerEntry]]:
        """By ascending producer id."""
        yield from sorted(self.producers.items())


def _is_expired(entry: ProducerEntry, now_ms: int, expiration_ms: int) -> bool:
    return entry.txn_first_offset == NO_OFFSET and now_ms - entry.last_timestamp >= expiration_ms
