"""Producer snapshots: Kafka's bytes, what comes back, and that a damaged one is none."""

import struct

from broker.log import producer_snapshot
from broker.log.producer_state import ProducedBatch, ProducerEntry, ProducerState
from broker.record.crc import crc32c
from hypothesis import given
from hypothesis import strategies as st


def state_of(*entries: tuple[int, ProducerEntry]) -> ProducerState:
    state = ProducerState()
    for producer_id, entry in entries:
        state.add(producer_id, entry)
    return state


def entry(*batches: ProducedBatch, epoch: int = 3, timestamp: int = 99, txn: int = -1) -> ProducerEntry:
    made = ProducerEntry(epoch, last_timestamp=timestamp, coordinator_epoch=4, txn_first_offset=txn)
    made.batches.extend(batches)
    return made


def test_the_bytes_are_kafkas() -> None:
    """Version, checksum of what follows, and the fields of ProducerSnapshot.json."""
    data = producer_snapshot.encode(state_of((7, entry(ProducedBatch(1, 11, 1, 98), ProducedBatch(5, 15, 3, 99), txn=12))))
    body = struct.pack(">i", 1) + struct.pack(">qhiqiqiq", 7, 3, 5, 15, 3, 99, 4, 12)
    assert data == struct.pack(">hI", 1, crc32c(body)) + body


def test_the_last_batch_of_each_producer_comes_back() -> None:
    written = state_of((9, entry(ProducedBatch(0, 10, 0, 97), ProducedBatch(2, 12, 1, 99))), (4, entry(txn=30)))
    found = producer_snapshot.decode(producer_snapshot.encode(written))
    assert found is not None
    assert list(found.producers) == [4, 9]
    nine = found.producers[9]
    assert (list(nine.batches), nine.epoch, nine.last_timestamp, nine.coordinator_epoch) == (
        [ProducedBatch(2, 12, 1, 99)],
        3,
        99,
        4,
    )
    assert not found.producers[4].batches
    assert found.first_unstable_offset == 30


def test_no_producers() -> None:
    found = producer_snapshot.decode(producer_snapshot.encode(ProducerState()))
    assert found is not None and len(found) == 0


@given(st.data())
def test_a_damaged_snapshot_is_none(data: st.DataObject) -> None:
    whole = producer_snapshot.encode(state_of((7, entry(ProducedBatch(5, 15, 3, 99))), (8, entry())))
    cut = data.draw(st.integers(0, len(whole) - 1))
    assert producer_snapshot.decode(whole[:cut]) is None
    position, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
    flipped = bytearray(whole)
    flipped[position] ^= 1 << bit
    assert producer_snapshot.decode(bytes(flipped)) is None
    assert producer_snapshot.decode(whole + b"\0") is None


def test_a_count_that_promises_more_than_there_is() -> None:
    body = struct.pack(">i", 2**31 - 1)
    assert producer_snapshot.decode(struct.pack(">hI", 1, crc32c(body)) + body) is None
