"""The writing half: what ends up in which buffer, tagged fields, and lengths at the edge of their forms."""

import pytest
from broker.protocol.codec import UnsupportedField, decode, encode
from broker.protocol.message import Record, Struct
from broker.protocol.types import Records, array, blob, int32, records, string


class Slice(Struct):
    index: int = int32()
    batches: Records | None = records(nullable="0+")
    after: int = int32()


class Carrier(Record, key=1, versions="0-1", flexible="1+"):
    """Records in the middle, and fields behind them."""

    slices: list[Slice] = array(Slice)
    last: int = int32()
    note: str = string("1+", tag=1, default="none")
    data: bytes = blob("1+", tag=0)


def joined(message: Record, version: int) -> bytes:
    return b"".join(encode(message, version))


def test_records_stand_between_small_buffers() -> None:
    first, second = b"A" * 10, memoryview(b"B" * 20)
    message = Carrier(slices=[Slice(index=1, batches=first, after=2), Slice(index=3, batches=[first, second])], last=9)
    parts = encode(message, 0)
    assert [bytes(part) for part in parts] == [
        b"\x00\x00\x00\x02" + b"\x00\x00\x00\x01" + b"\x00\x00\x00\x0a",
        first,
        b"\x00\x00\x00\x02" + b"\x00\x00\x00\x03" + b"\x00\x00\x00\x1e",
        first,
        bytes(second),
        b"\x00\x00\x00\x00" + b"\x00\x00\x00\x09",
    ]
    assert parts[1] is first
    assert parts[4] is second


def test_no_records_and_empty_records_differ() -> None:
    for version in (0, 1):
        for batches, expected in ((None, None), (b"", b""), ([], b"")):
            read = decode(Carrier, version, joined(Carrier(slices=[Slice(batches=batches)]), version))
            assert read.slices[0].batches == expected


def test_tagged_fields_are_written_in_order_and_only_when_they_differ() -> None:
    assert joined(Carrier(), 1) == b"\x01" + bytes(4) + b"\x00"
    assert joined(Carrier(note="none", data=b""), 1) == b"\x01" + bytes(4) + b"\x00"
    assert joined(Carrier(note="", data=b"d"), 1) == b"\x01" + bytes(4) + b"\x02" + b"\x00\x02\x02d" + b"\x01\x01\x01"
    with pytest.raises(UnsupportedField, match=r"Carrier\.note is set, but version 0 does not have it"):
        encode(Carrier(note="x"), 0)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 16382, 16383, 16384, 32767])
def test_lengths_at_the_edges(size: int) -> None:
    message = Carrier(note="x" * size, slices=[Slice(batches=b"y" * size)] * 2)
    assert decode(Carrier, 1, joined(message, 1)) == message


@pytest.mark.parametrize("count", [126, 127, 128])
def test_counts_at_the_edges(count: int) -> None:
    message = Carrier(slices=[Slice(index=number) for number in range(count)])
    for version in (0, 1):
        assert decode(Carrier, version, joined(message, version)) == message


def test_what_is_written_is_of_this_moment() -> None:
    """No buffer is shared between two calls."""
    message = Carrier(last=1)
    first = encode(message, 0)
    message.last = 2
    second = encode(message, 0)
    assert b"".join(first)[-1] == 1
    assert b"".join(second)[-1] == 2


def test_a_value_of_another_type_is_refused() -> None:
    without = Carrier()
    without.slices = None  # type: ignore[assignment]
    for wrong in (without, Carrier(slices=[None]), Carrier(last="1"), Carrier(slices=[Slice(batches=5)])):
        with pytest.raises(UnsupportedField, match=r"Carrier|Slice"):
            encode(wrong, 0)
