"""Batches that we build, against the builders and readers of kafka-python and aiokafka, in every codec."""

from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatch as AiokafkaBatch
from aiokafka.record.default_records import DefaultRecordBatchBuilder as AiokafkaBuilder
from broker.record.batch import NO_TIMESTAMP, SEQUENCE_MAX, TimestampType, check_crc, read_header
from broker.record.builder import (
    ControlType,
    RecordBatchBuilder,
    build_batch,
    build_control_batch,
    control_key,
    control_type,
)
from broker.record.compression import CODEC_NAMES, NONE
from broker.record.records import Record, iter_records
from kafka.record.default_records import DefaultRecordBatch as KafkaPythonBatch
from kafka.record.default_records import DefaultRecordBatchBuilder as KafkaPythonBuilder

CODECS = range(5)
RECORDS = [
    Record(0, 1_700_000_000_000, b"key", b"value"),
    Record(1, 1_700_000_000_005, None, b""),
    Record(2, 1_699_999_999_000, b"", None, [("h", b"1"), ("한글", None), ("", b"")]),
    Record(3, 1_700_000_000_001, b"k" * 300, b"v" * 70_000),
]


def theirs(builder: Any) -> bytes:
    for record in RECORDS:
        builder.append(record.offset, record.timestamp, record.key, record.value, list(record.headers))
    return bytes(builder.build())


def builders(codec: int, producer: tuple[int, int, int]) -> list[bytes]:
    producer_id, epoch, sequence = producer
    common = {"magic": 2, "compression_type": codec, "is_transactional": 0, "batch_size": 1 << 20}
    return [
        theirs(kind(**common, producer_id=producer_id, producer_epoch=epoch, base_sequence=sequence))
        for kind in (KafkaPythonBuilder, AiokafkaBuilder)
    ]


@pytest.mark.parametrize("producer", [(-1, -1, -1), (5, 2, 1000)])
def test_an_uncompressed_batch_is_theirs_byte_for_byte(producer: tuple[int, int, int]) -> None:
    ours = build_batch(RECORDS, producer_id=producer[0], producer_epoch=producer[1], base_sequence=producer[2], leader_epoch=0)
    for other in builders(NONE, producer):
        # They write another leader epoch, which is the broker's to set and outside the checksum.
        assert (other[:12], other[16:]) == (ours[:12], ours[16:])


@pytest.mark.parametrize("codec", CODECS, ids=CODEC_NAMES)
def test_we_read_what_they_build(codec: int) -> None:
    for batch in builders(codec, (5, 2, 1000)):
        header = read_header(batch)
        check_crc(batch, header)
        assert header.codec == codec
        assert list(iter_records(batch, header)) == [record._replace(headers=record.headers or ()) for record in RECORDS]


@pytest.mark.parametrize("codec", CODECS, ids=CODEC_NAMES)
@pytest.mark.parametrize("reader", [KafkaPythonBatch, AiokafkaBatch], ids=["kafka-python", "aiokafka"])
def test_they_read_what_we_build(codec: int, reader: Any) -> None:
    batch = reader(build_batch(RECORDS, codec=codec, base_offset=50))
    assert batch.validate_crc()
    found = [Record(r.offset, r.timestamp, r.key, r.value, tuple(tuple(h) for h in r.headers)) for r in batch]
    assert found == [record._replace(offset=50 + record.offset, headers=tuple(record.headers)) for record in RECORDS]


@pytest.mark.parametrize("codec", CODECS, ids=CODEC_NAMES)
def test_compression_pays(codec: int) -> None:
    size = len(build_batch(RECORDS, codec=codec))
    plain = len(build_batch(RECORDS))
    assert size == plain if codec == NONE else size < plain // 5


def test_what_the_header_says() -> None:
    batch = build_batch(
        [(b"a", b"1"), (b"b", b"2")],
        1234,
        base_offset=7,
        leader_epoch=3,
        producer_id=9,
        producer_epoch=1,
        base_sequence=SEQUENCE_MAX,
        transactional=True,
        timestamp_type=TimestampType.LOG_APPEND_TIME,
    )
    header = read_header(batch)
    assert (header.base_offset, header.last_offset, header.records_count) == (7, 8, 2)
    assert (header.base_timestamp, header.max_timestamp) == (1234, 1234)
    assert (header.base_sequence, header.last_sequence) == (SEQUENCE_MAX, 0)
    assert header.is_transactional
    assert header.timestamp_type is TimestampType.LOG_APPEND_TIME
    assert header.partition_leader_epoch == 3


def test_offsets_may_have_gaps() -> None:
    builder = RecordBatchBuilder(base_offset=10)
    for offset in (10, 13, 20):
        builder.append(1, None, b"%d" % offset, offset=offset)
    batch = builder.build()
    assert [record.offset for record in iter_records(batch)] == [10, 13, 20]
    assert read_header(batch).last_offset == 20
    assert [record.offset for record in KafkaPythonBatch(batch)] == [10, 13, 20]


def test_size_is_told_while_building() -> None:
    builder = RecordBatchBuilder()
    for number in range(10):
        builder.append(number, b"k", b"v" * number)
        assert builder.count == number + 1
    assert builder.size == len(builder.build())


def test_a_batch_has_a_record() -> None:
    with pytest.raises(ValueError, match="at least one record"):
        RecordBatchBuilder().build()


def test_without_a_time_there_is_none() -> None:
    header = read_header(build_batch([(None, b"x")]))
    assert (header.base_timestamp, header.max_timestamp) == (NO_TIMESTAMP, NO_TIMESTAMP)


def test_control_batches() -> None:
    batch = build_control_batch(ControlType.COMMIT, b"\0\0\0\0\0\1", 99, producer_id=4, producer_epoch=1, transactional=True)
    header = read_header(batch)
    assert header.is_control
    assert header.is_transactional
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (4, 1, -1)
    (record,) = iter_records(batch)
    assert (record.key, control_type(record.key)) == (control_key(ControlType.COMMIT), ControlType.COMMIT)
    (other,) = KafkaPythonBatch(batch)
    assert other.commit


def test_what_is_no_control_key() -> None:
    assert [control_type(key) for key in (None, b"", b"\0\0\0")] == [-1, -1, -1]
