"""Zig-zag numbers: they come back, are those of kio and kafka-python, and damaged ones are refused."""

import pytest
from broker.record.varint import read_varint, write_varint
from hypothesis import example, given
from hypothesis import strategies as st

INT64 = st.integers(-(2**63), 2**63 - 1)


def written(value: int) -> bytes:
    out = bytearray()
    write_varint(out, value)
    return bytes(out)


@given(INT64)
@example(-(2**63))
@example(2**63 - 1)
@example(0)
@example(-1)
def test_numbers_come_back(value: int) -> None:
    data = written(value)
    assert read_varint(b"?" + data + b"!", 1) == (value, 1 + len(data))


@given(INT64)
def test_the_bytes_are_kios(value: int) -> None:
    from kio.serial.readers import read_signed_varlong

    data = written(value)
    assert read_signed_varlong(data, 0) == (value, len(data))


@given(INT64)
def test_the_bytes_are_kafka_pythons(value: int) -> None:
    from kafka.record.util import encode_varint

    theirs = bytearray()
    encode_varint(value, theirs.append)
    assert bytes(theirs) == written(value)


@given(INT64)
def test_a_number_that_ends_early_is_refused(value: int) -> None:
    data = written(value)
    for end in range(len(data)):
        with pytest.raises(IndexError):
            read_varint(data[:end], 0)


@given(st.binary(max_size=16))
@example(b"\xff" * 9 + b"\x7f")
@example(b"\x80" * 9 + b"\x02")
@example(b"\xff" * 16)
def test_any_bytes_are_a_number_of_64_bits_or_refused(data: bytes) -> None:
    try:
        value, end = read_varint(data, 0)
    except (IndexError, ValueError):
        return
    assert -(2**63) <= value < 2**63
    assert end <= 10
