"""The ground of the generated functions: variable-length numbers, bounds, and naming the field that failed."""

import pytest
from broker.protocol import compiler
from broker.protocol.codec import decode, encode
from broker.protocol.compiler import (
    ELEMENTS_MAX,
    MalformedMessage,
    read_uvarint,
    size_min,
    take_elements,
    write_uvarint,
)
from broker.protocol.message import Message, Record, Struct
from broker.protocol.types import array, blob, int8, int32, int64, string, struct, uuid_
from hypothesis import given
from hypothesis import strategies as st

UINT32_MAX = 2**32 - 1


class Part(Struct):
    number: int = int32()
    text: str = string()
    tagged: int = int32("1+", tag=0)


class Whole(Record, key=9, versions="0-2", flexible="1+"):
    """One of each length, for the sizes."""

    first: int = int8()
    parts: list[Part] = array(Part)
    one: Part = struct(Part)
    maybe: Part | None = struct(Part, "1+", nullable="1+", default=None)
    later: int = int64("2+")
    ids: list[int] = array(uuid_, "2+")
    data: bytes = blob("2+")


@given(st.integers(0, UINT32_MAX))
def test_uvarints_come_back_and_are_kios(value: int) -> None:
    from kio.serial.readers import read_unsigned_varint

    out = bytearray(b"?")
    write_uvarint(out, value)
    assert read_uvarint(out, 1) == (value, len(out))
    assert read_unsigned_varint(bytes(out), 1) == (value, len(out) - 1)


@given(st.integers(0, UINT32_MAX))
def test_a_uvarint_that_ends_early_is_no_number(value: int) -> None:
    out = bytearray()
    write_uvarint(out, value)
    with pytest.raises(IndexError):
        read_uvarint(out[:-1], 0)


@given(st.binary(max_size=8))
def test_any_bytes_are_a_uvarint_or_refused(data: bytes) -> None:
    try:
        value, end = read_uvarint(data, 0)
    except (IndexError, MalformedMessage):
        return
    assert 0 <= value <= UINT32_MAX
    assert end <= 5


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff\x10", b"\x80\x80\x80\x80\x80\x00", b"\xff" * 10])
def test_a_uvarint_beyond_32_bits_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessage, match="longer than 32 bits"):
        read_uvarint(data, 0)


def test_elements_are_counted_over_the_whole_message() -> None:
    compiler.elements_left[0] = ELEMENTS_MAX
    take_elements(ELEMENTS_MAX - 1, 1, ELEMENTS_MAX, "a")
    take_elements(1, 1, 1, "b")
    with pytest.raises(MalformedMessage, match="c: the message has more than"):
        take_elements(1, 1, 1, "c")


@pytest.mark.parametrize(("count", "size", "left"), [(-1, 4, 100), (26, 4, 100), (2**31 - 1, 1, 100), (1, 1, -5)])
def test_elements_that_cannot_fit_are_refused(count: int, size: int, left: int) -> None:
    compiler.elements_left[0] = ELEMENTS_MAX
    with pytest.raises(MalformedMessage, match=f"a: {count} elements do not fit into the {left} bytes left"):
        take_elements(count, size, left, "a")


@pytest.mark.parametrize(
    ("kind", "version", "flexible", "size"),
    [
        ("int64", 0, False, 8),
        ("uuid", 0, True, 16),
        ("string", 0, False, 2),
        ("bytes", 0, False, 4),
        ("string", 1, True, 1),
        (Part, 0, False, 6),
        (Part, 1, True, 6),  # int32, an empty string, no tagged field
        (Whole, 0, False, 1 + 4 + 6),
        (Whole, 1, True, 1 + 1 + 6 + 1 + 1),
        (Whole, 2, True, 1 + 1 + 6 + 1 + 8 + 1 + 1 + 1),
    ],
)
def test_the_fewest_bytes_of_a_value(kind: object, version: int, flexible: bool, size: int) -> None:
    assert size_min(kind, version, flexible) == size


@pytest.mark.parametrize("version", [0, 1, 2])
def test_the_smallest_message_has_the_fewest_bytes(version: int) -> None:
    smallest = b"".join(encode(Whole(), version))
    assert len(smallest) == size_min(Whole, version, Whole.is_flexible(version))
    assert decode(Whole, version, smallest) == Whole()


def test_an_error_names_the_innermost_field() -> None:
    data = b"".join(encode(Whole(parts=[Part(number=1, text="abc")]), 0))
    with pytest.raises(MalformedMessage, match=r"Part\.number version 0: the message ends in the middle of it"):
        decode(Whole, 0, data[:16])
    with pytest.raises(MalformedMessage, match=r"Part\.text: its length 3 is not within the 1 bytes left"):
        decode(Whole, 0, data[:12])


def test_a_version_that_cannot_be_read_in_a_way_of_its_own() -> None:
    assert compiler.is_flexible(Part, 1, True) is True
    assert compiler.is_flexible(Whole, 0, None) is False
    assert compiler.is_flexible(Whole, 1, None) is True
    assert issubclass(Whole, Message)
