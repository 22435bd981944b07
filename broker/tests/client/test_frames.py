"""Frames out of bytes: in any pieces the same frames, and no buffer for a length that cannot be."""

import random

import pytest
from broker.client.frames import BadFrame, FrameReader

BODIES = [b"abcd", b"x" * 5, bytes(range(256)) * 40, b"last"]
STREAM = b"".join(len(body).to_bytes(4, "big") + body for body in BODIES)


def test_all_at_once() -> None:
    assert [bytes(frame) for frame in FrameReader().feed(STREAM)] == BODIES


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 11, 4096])
def test_in_pieces_of_one_size(size: int) -> None:
    reader = FrameReader()
    found = [bytes(frame) for start in range(0, len(STREAM), size) for frame in reader.feed(STREAM[start : start + size])]
    assert found == BODIES


@pytest.mark.parametrize("seed", range(20))
def test_in_pieces_of_any_size(seed: int) -> None:
    rng = random.Random(seed)
    cuts = sorted(rng.randrange(len(STREAM) + 1) for _ in range(15))
    reader = FrameReader()
    pieces = [STREAM[low:high] for low, high in zip([0, *cuts], [*cuts, len(STREAM)], strict=True)]
    assert [bytes(frame) for piece in pieces for frame in reader.feed(piece)] == BODIES


def test_a_frame_keeps_its_bytes_when_the_buffer_is_used_again() -> None:
    buffer = bytearray(STREAM[: 4 + len(BODIES[0])])
    (frame,) = FrameReader().feed(buffer)
    buffer[:] = bytes(len(buffer))
    assert bytes(frame) == BODIES[0]


@pytest.mark.parametrize("length", [-1, 0, 3, -(2**31), 2**31 - 1, (200 << 20) + 1])
def test_a_length_out_of_bounds_is_refused_before_anything_is_allocated(length: int) -> None:
    with pytest.raises(BadFrame, match=str(length)):
        list(FrameReader().feed(length.to_bytes(4, "big", signed=True)))


def test_the_bound_is_the_readers() -> None:
    reader = FrameReader(frame_bytes_max=10)
    assert [bytes(frame) for frame in reader.feed(b"\0\0\0\x0a" + b"x" * 10)] == [b"x" * 10]
    with pytest.raises(BadFrame, match="11"):
        list(reader.feed(b"\0\0\0\x0b"))


def test_the_http_that_somebody_speaks_to_us_is_no_frame() -> None:
    with pytest.raises(BadFrame):
        list(FrameReader().feed(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
