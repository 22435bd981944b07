"""Records inside a batch: hostile ones end in InvalidRecord, whatever their checksum says."""

import contextlib
import random
import struct
import tracemalloc

import pytest
from broker.protocol.errors import ErrorCode
from broker.record.batch import HEADER_SIZE, TimestampType, pack_header, read_header
from broker.record.builder import build_batch
from broker.record.compression import CODEC_NAMES, CompressionError
from broker.record.records import InvalidRecord, Record, iter_records
from broker.record.varint import write_varint
from hypothesis import given, settings
from hypothesis import strategies as st

OPTIONAL_BYTES = st.none() | st.binary(max_size=50)
RECORDS = st.lists(
    st.builds(
        Record,
        offset=st.just(0),
        timestamp=st.integers(-1, 2**62),
        key=OPTIONAL_BYTES,
        value=OPTIONAL_BYTES,
        headers=st.lists(st.tuples(st.text(max_size=10), OPTIONAL_BYTES), max_size=3),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(records=RECORDS, codec=st.integers(0, 4), base_offset=st.integers(0, 2**60))
def test_records_come_back(records: list[Record], codec: int, base_offset: int) -> None:
    found = list(iter_records(memoryview(build_batch(records, codec=codec, base_offset=base_offset))))
    assert found == [r._replace(offset=base_offset + n, headers=r.headers or ()) for n, r in enumerate(records)]


def test_log_append_time_is_the_time_of_all() -> None:
    batch = build_batch([Record(0, 5, None, b"x"), Record(0, 9, None, b"y")], timestamp_type=TimestampType.LOG_APPEND_TIME)
    assert [record.timestamp for record in iter_records(batch)] == [9, 9]


def payload(*numbers_and_bytes: int | bytes) -> bytes:
    """One record's bytes after its length and attributes."""
    out = bytearray(b"\0")
    for part in numbers_and_bytes:
        if isinstance(part, bytes):
            out += part
        else:
            write_varint(out, part)
    length = bytearray()
    write_varint(length, len(out))
    return bytes(length + out)


def batch_of(body: bytes, count: int = 1, base_timestamp: int = 0) -> bytes:
    header = read_header(build_batch([(None, b"x")], base_timestamp))
    changed = header._replace(batch_length=HEADER_SIZE - 12 + len(body), records_count=count)
    return pack_header(changed) + body


GOOD = payload(0, 0, -1, 1, b"v", 0)


@pytest.mark.parametrize(
    ("body", "count", "said"),
    [
        (GOOD, -1, "declares -1 records"),
        (GOOD, 2, "record 1 of 2 at offset 0 cannot be read"),
        (GOOD + b"\0", 1, "1 bytes follow the 1 declared records"),
        (GOOD, 0, "bytes follow the 0 declared records"),
        (b"", 1, "record 0 of 1"),
        (b"\x01" + GOOD[1:], 1, "its length is -1"),
        (b"\xfe\xff\xff\xff\x0f" + GOOD[1:], 1, "its length is 2147483647"),
        (payload(0, 0, 2**31 - 1, b"k"), 1, "its key has 2147483647 bytes"),
        (payload(0, 0, -1, 2**62, b"v"), 1, "its value has 4611686018427387904 bytes"),
        (payload(0, 0, -1, 1, b"v", 2**31 - 1), 1, "it declares 2147483647 headers"),
        (payload(0, 0, -1, 1, b"v", -1), 1, "it declares -1 headers"),
        (payload(0, 0, -1, 1, b"v", 1, -1, -1), 1, "a header has no key"),
        (payload(0, 0, -1, 1, b"v", 1, 1, b"h", 9), 1, "its header value has 9 bytes"),
        (payload(0, 0, -1, 1, b"v", 0, b"more"), 1, "ends 4 bytes before"),
        (payload(2**63 - 1, 0, -1, 1, b"v", 0), 1, "has more than 64 bits"),
    ],
)
def test_a_lie_is_named(body: bytes, count: int, said: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRecord, match=said) as caught:
            list(iter_records(batch_of(body, count, base_timestamp=1)))
        assert caught.value.code is ErrorCode.INVALID_RECORD
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


def test_a_header_name_that_is_not_utf8_is_shown_as_well_as_can_be() -> None:
    (record,) = iter_records(batch_of(payload(0, 0, -1, 1, b"v", 1, 1, b"\xff", -1)))
    assert record.headers == [("\N{REPLACEMENT CHARACTER}", None)]


@pytest.mark.parametrize("codec", range(5), ids=CODEC_NAMES)
def test_damaged_batches_are_read_or_refused(codec: int) -> None:
    """The checksum is not looked at here: this is what a producer can send with a right one."""
    rng = random.Random(codec)
    batch = build_batch([Record(0, n, b"key%d" % n, b"value" * 9, [("h", b"v")]) for n in range(20)], codec=codec)
    for _ in range(1500):
        damaged = bytearray(batch)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(HEADER_SIZE - 4, len(damaged))] = rng.randrange(256)
        with contextlib.suppress(InvalidRecord, CompressionError):
            for record in iter_records(damaged):
                struct.pack(">qq", record.offset, record.timestamp)


@pytest.mark.parametrize("codec", range(5), ids=CODEC_NAMES)
def test_a_count_in_the_header_allocates_nothing(codec: int) -> None:
    batch = build_batch([(None, b"x")], codec=codec)
    lying = pack_header(read_header(batch)._replace(records_count=2**31 - 1)) + batch[HEADER_SIZE:]
    with pytest.raises(InvalidRecord, match="record 1 of 2147483647"):
        list(iter_records(lying))
