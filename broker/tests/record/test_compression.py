"""Every codec: what we write others read, what others write we read, and hostile data stays small."""

import contextlib
import gzip
import random
import tracemalloc

import lz4.frame
import pytest
import snappy
import zstandard
from broker.protocol.errors import ErrorCode
from broker.record.compression import (
    CODEC_NAMES,
    GZIP,
    LZ4,
    NONE,
    SNAPPY,
    ZSTD,
    CompressionError,
    compress,
    decompress,
)
from hypothesis import given, settings
from hypothesis import strategies as st

CODECS = [NONE, GZIP, SNAPPY, LZ4, ZSTD]
SMALL = b"hello, hello, hello"
RANDOM = random.Random(1).randbytes(300_000)
SAMPLES = {"empty": b"", "one": b"x", "small": SMALL, "random": RANDOM, "zeros": bytes(5_000_000), "blocks": RANDOM * 4}


def name(codec: int) -> str:
    return CODEC_NAMES[codec]


@pytest.mark.parametrize("codec", CODECS, ids=name)
@pytest.mark.parametrize("sample", SAMPLES)
def test_data_comes_back(codec: int, sample: str) -> None:
    data = SAMPLES[sample]
    packed = compress(codec, data)
    assert decompress(codec, packed) == data
    assert decompress(codec, memoryview(bytearray(packed))) == data


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(CODECS), st.binary(max_size=3000))
def test_any_data_comes_back(codec: int, data: bytes) -> None:
    assert decompress(codec, compress(codec, bytearray(data))) == data


@pytest.mark.parametrize("sample", ["small", "random", "zeros"])
def test_others_read_what_we_write(sample: str) -> None:
    data = SAMPLES[sample]
    assert gzip.decompress(compress(GZIP, data)) == data
    assert lz4.frame.decompress(compress(LZ4, data)) == data
    assert zstandard.ZstdDecompressor().decompress(compress(ZSTD, data), max_output_size=len(data)) == data


@pytest.mark.parametrize("sample", ["small", "random", "zeros"])
def test_we_read_what_others_write(sample: str) -> None:
    data = SAMPLES[sample]
    assert decompress(GZIP, gzip.compress(data, 9)) == data
    assert decompress(LZ4, lz4.frame.compress(data, block_linked=False)) == data
    assert decompress(LZ4, lz4.frame.compress(data, block_linked=True, content_checksum=True, store_size=False)) == data
    assert decompress(ZSTD, zstandard.ZstdCompressor(level=19).compress(data)) == data
    streaming = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    assert decompress(ZSTD, streaming.compress(data) + streaming.flush()) == data
    assert decompress(SNAPPY, snappy.compress(data)) == data  # one raw block, as librdkafka writes


def test_gzip_of_several_members_is_one_text() -> None:
    assert decompress(GZIP, gzip.compress(b"first ") + gzip.compress(b"second")) == b"first second"


def test_lz4_has_independent_blocks() -> None:
    """Kafka's reader takes no others."""
    info = lz4.frame.get_frame_info(compress(LZ4, RANDOM))
    assert info["block_linked"] is False


def test_snappy_has_the_frame_of_snappy_java() -> None:
    packed = compress(SNAPPY, RANDOM)
    assert packed.startswith(b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01")
    position, blocks = 16, []
    while position < len(packed):
        size = int.from_bytes(packed[position : position + 4], "big")
        blocks.append(snappy.decompress(packed[position + 4 : position + 4 + size]))
        position += 4 + size
    assert b"".join(blocks) == RANDOM
    assert {len(block) for block in blocks[:-1]} == {32 << 10}


@pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD], ids=name)
def test_data_beyond_the_limit_is_refused_without_making_it(codec: int) -> None:
    bomb = compress(codec, bytes(20_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(CompressionError, match="larger than 1000000 bytes"):
            decompress(codec, bomb, 1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 6_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD], ids=name)
def test_the_limit_itself_is_allowed(codec: int) -> None:
    assert len(decompress(codec, compress(codec, bytes(1_000_000)), 1_000_000)) == 1_000_000
    assert decompress(codec, compress(codec, SMALL), len(SMALL)) == SMALL


@pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD], ids=name)
def test_damaged_data_is_read_or_refused(codec: int) -> None:
    rng = random.Random(codec)
    packed = compress(codec, SMALL * 50)
    for end in range(len(packed)):
        _read_or_refused(codec, packed[:end])
    for _ in range(500):
        damaged = bytearray(packed)
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        _read_or_refused(codec, bytes(damaged))
        _read_or_refused(codec, rng.randbytes(rng.randrange(60)))


def _read_or_refused(codec: int, data: bytes) -> None:
    with contextlib.suppress(CompressionError):
        assert len(decompress(codec, data, 1_000_000)) <= 1_000_000


@pytest.mark.parametrize("codec", [5, 6, 7])
def test_an_unknown_codec_is_refused(codec: int) -> None:
    for function in (compress, decompress):
        with pytest.raises(CompressionError, match=f"unknown compression codec {codec}") as caught:
            function(codec, SMALL)
        assert caught.value.code is ErrorCode.INVALID_RECORD
