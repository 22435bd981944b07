"""`<offset>.snapshot`: a partition's producers as of an offset, in Kafka's format. Source: ``ProducerSnapshot.json``.

Only the last batch of each producer is in it. A file that is not whole reads as None: an older snapshot and the batches after
it say the same.
"""

import struct

from broker.log.producer_state import NO_OFFSET, ProducedBatch, ProducerEntry, ProducerState
from broker.record.batch import NO_SEQUENCE
from broker.record.crc import crc32c

VERSION = 1
SUFFIX = ".snapshot"
_START = struct.Struct(">hI")
_COUNT = struct.Struct(">i")
# producer id, epoch, last sequence, last offset, offset delta, timestamp, coordinator epoch, first offset of the transaction
_ENTRY = struct.Struct(">qhiqiqiq")


def encode(state: ProducerState) -> bytes:
    """The file's content."""
    body = bytearray(_COUNT.pack(len(state)))
    for producer_id, entry in state.items():
        last = entry.batches[-1] if entry.batches else ProducedBatch(NO_SEQUENCE, NO_OFFSET, 0, entry.last_timestamp)
        body += _ENTRY.pack(
            producer_id,
            entry.epoch,
            last.last_sequence,
            last.last_offset,
            last.offset_delta,
            entry.last_timestamp,
            entry.coordinator_epoch,
            entry.txn_first_offset,
        )
    return _START.pack(VERSION, crc32c(body)) + bytes(body)


def decode(data: bytes) -> ProducerState | None:
    """None when the file is not whole, or of another version."""
    if len(data) < _START.size + _COUNT.size:
        return None
    version, crc = _START.unpack_from(data)
    body = memoryview(data)[_START.size :]
    count = _COUNT.unpack_from(body)[0]
    if version != VERSION or len(body) != _COUNT.size + count * _ENTRY.size or crc32c(body) != crc:
        return None
    state = ProducerState()
    for producer_id, epoch, sequence, offset, delta, timestamp, coordinator_epoch, txn_first in _ENTRY.iter_unpack(
        body[_COUNT.size :]
    ):
        entry = ProducerEntry(epoch, last_timestamp=timestamp, coordinator_epoch=coordinator_epoch, txn_first_offset=txn_first)
        if offset >= 0:
            entry.batches.append(ProducedBatch(sequence, offset, delta, timestamp))
        state.add(producer_id, entry)
    return state
