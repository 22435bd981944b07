"""Idempotent producers: duplicates, gaps, wrapping, epochs, expiry, and open transactions of a log that Kafka wrote."""

from typing import Any

import pytest
from broker.log.producer_state import BATCHES_KEPT, ProducedBatch, ProducerState
from broker.protocol.errors import ErrorCode, KafkaError
from broker.record.batch import SEQUENCE_MAX, BatchHeader, patch, read_header
from broker.record.builder import ControlType, build_control_batch
from hypothesis import given
from hypothesis import strategies as st

from .disk import batch


def header(sequence: int, count: int = 1, *, offset: int = 0, epoch: int = 0, producer: int = 7, **settings: Any) -> BatchHeader:
    made = batch(count, producer_id=producer, producer_epoch=epoch, base_sequence=sequence, **settings)
    return read_header(made)._replace(base_offset=offset)


def code(state: ProducerState, head: BatchHeader) -> ErrorCode:
    with pytest.raises(KafkaError) as caught:
        state.check(head)
    return caught.value.code


def with_batches(count: int, size: int = 2) -> ProducerState:
    state = ProducerState()
    for number in range(count):
        head = header(number * size, size, offset=100 + number * size)
        assert state.check(head) is None
        state.update(head)
    return state


def test_a_duplicate_is_recognised_with_the_offsets_it_got() -> None:
    state = with_batches(3)
    for number in range(3):
        found = state.check(header(number * 2, 2))
        assert found is not None
        assert (found.first_offset, found.last_offset) == (100 + number * 2, 101 + number * 2)


def test_only_the_last_five_batches_are_remembered() -> None:
    state = with_batches(BATCHES_KEPT + 1)
    assert code(state, header(0, 2)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert state.check(header(2, 2)) is not None


def test_the_same_numbers_in_another_cut_are_no_duplicate() -> None:
    assert code(with_batches(2), header(0, 4)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER


def test_a_gap_is_refused() -> None:
    state = with_batches(1)
    assert code(state, header(3)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert state.check(header(2)) is None


def test_an_unknown_producer_may_begin_anywhere() -> None:
    assert ProducerState().check(header(4711)) is None


def test_sequence_numbers_wrap() -> None:
    state = ProducerState()
    state.update(header(SEQUENCE_MAX - 1, 2, offset=0))
    assert state.check(header(0, 3)) is None
    assert code(state, header(1)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER


def test_a_batch_over_the_wrap_is_recognised() -> None:
    state = ProducerState()
    state.update(header(SEQUENCE_MAX - 1, 5, offset=40))
    found = state.check(header(SEQUENCE_MAX - 1, 5))
    assert found is not None and (found.first_offset, found.first_sequence, found.last_sequence) == (40, SEQUENCE_MAX - 1, 2)
    assert state.check(header(3)) is None


def test_an_older_epoch_is_fenced() -> None:
    state = ProducerState()
    state.update(header(0, epoch=2))
    assert code(state, header(1, epoch=1)) is ErrorCode.INVALID_PRODUCER_EPOCH


def test_a_new_epoch_begins_with_zero() -> None:
    state = with_batches(2)
    assert code(state, header(4, epoch=1)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    fresh = header(0, epoch=1, offset=200)
    assert state.check(fresh) is None
    state.update(fresh)
    assert [one.last_offset for one in state.producers[7].batches] == [200], "the old epoch's batches are forgotten"
    assert code(state, header(2, 2)) is ErrorCode.INVALID_PRODUCER_EPOCH


def test_refusing_changes_nothing() -> None:
    state = with_batches(2)
    before = list(state.producers[7].batches)
    for head in (header(9), header(5, epoch=1)):
        with pytest.raises(KafkaError):
            state.check(head)
    assert list(state.producers[7].batches) == before
    assert state.producers[7].epoch == 0


def test_producers_do_not_know_each_other() -> None:
    state = with_batches(2)
    assert state.check(header(0, producer=8)) is None
    state.update(header(0, producer=8))
    assert [producer_id for producer_id, _ in state.items()] == [7, 8]
    assert len(state) == 2


def test_silent_producers_expire() -> None:
    state = ProducerState()
    state.update(header(0, producer=1, timestamp=1000))
    state.update(header(0, producer=2, timestamp=2000))
    assert state.expire(2999, 2000) == 0
    assert state.expire(3000, 2000) == 1
    assert list(state.producers) == [2]


def marker(kind: ControlType, offset: int, producer: int = 7) -> tuple[BatchHeader, bytes]:
    value = b"\0\0" + (5).to_bytes(4, "big")
    made = build_control_batch(kind, value, 9000, producer_id=producer, producer_epoch=0, transactional=True)
    content = b"".join(patch(made, offset, 0))
    return read_header(content), content


@pytest.mark.parametrize("kind", [ControlType.COMMIT, ControlType.ABORT])
def test_a_transaction_is_open_until_its_marker(kind: ControlType) -> None:
    state = ProducerState()
    state.update(header(0, 2, offset=10, transactional=1))
    state.update(header(2, offset=12, transactional=1))
    state.update(header(0, offset=13, producer=8, transactional=1))
    assert state.first_unstable_offset == 10
    assert code(state, header(3)) is ErrorCode.INVALID_TXN_STATE
    assert state.expire(10**15, 1) == 0, "an open transaction does not expire"
    head, content = marker(kind, 14)
    state.update(head, content)
    assert state.first_unstable_offset == 13
    entry = state.producers[7]
    assert (entry.coordinator_epoch, entry.last_timestamp, entry.txn_first_offset) == (5, 9000, -1)
    assert entry.last_sequence == 2, "a marker has no sequence number"


def test_what_a_remembered_batch_says() -> None:
    one = ProducedBatch(last_sequence=1, last_offset=30, offset_delta=4, timestamp=5)
    assert (one.first_sequence, one.first_offset) == (SEQUENCE_MAX - 2, 26)


@given(st.lists(st.integers(1, 3), min_size=1, max_size=12), st.data())
def test_resending_anything_never_appends_twice(sizes: list[int], data: st.DataObject) -> None:
    """A producer that sends again what it is not sure of: the log holds every sequence number once."""
    state = ProducerState()
    sent: list[tuple[int, int]] = []
    appended: list[int] = []
    sequence = 0
    for size in sizes:
        sent.append((sequence, size))
        sequence += size
        first = data.draw(st.integers(max(0, len(sent) - BATCHES_KEPT), len(sent) - 1))
        for start, count in sent[first:]:
            head = header(start, count, offset=len(appended))
            known = state.check(head)
            if known is None:
                state.update(head)
                appended += range(start, start + count)
            else:
                assert (known.first_offset, known.last_offset) == (start, start + count - 1)
    assert appended == list(range(sequence))
