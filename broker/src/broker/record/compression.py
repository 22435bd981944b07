"""The codecs of record batches, each a single call into C. Raw snappy is read as well as the framed one that Java writes.

Invariant: decompression never gives more than `DECOMPRESSED_BYTES_MAX`, whatever the input says.
"""

from typing import Any

import cramjam

from broker.protocol.errors import ErrorCode, KafkaError

Buffer = bytes | bytearray | memoryview

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
CODEC_NAMES = ("none", "gzip", "snappy", "lz4", "zstd")
# A batch may be 1 MiB on the wire and compress a thousandfold; what would be larger than this is refused.
DECOMPRESSED_BYTES_MAX = 128 << 20
# The first guess of the decompressed size, as a multiple of the compressed one, and the least it may be.
_GUESS_FACTOR = 4
_GUESS_BYTES_MIN = 64 << 10
# snappy-java's frame: magic, version, compatible version, then blocks with a length each.
_XERIAL_MAGIC = b"\x82SNAPPY\x00"
_XERIAL_HEADER = _XERIAL_MAGIC + b"\x00\x00\x00\x01\x00\x00\x00\x01"
_XERIAL_BLOCK_BYTES = 32 << 10


class CompressionError(KafkaError):
    """Data that its codec cannot read, or that would become too large."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorCode.INVALID_RECORD, message)


def compress(codec: int, data: Buffer) -> bytes:
    """As Kafka's clients expect to find it."""
    if codec == NONE:
        return bytes(data)
    if codec == GZIP:
        return bytes(cramjam.gzip.compress(data))
    if codec == SNAPPY:
        return _compress_snappy(memoryview(data))
    if codec == LZ4:
        # Kafka's reader takes frames of independent blocks only.
        compressor = cramjam.lz4.Compressor(block_linked=False, content_checksum=False)
        compressor.compress(bytes(data))  # it takes no other buffer
        return bytes(compressor.finish())
    if codec == ZSTD:
        return bytes(cramjam.zstd.compress(data))
    raise _unknown(codec)


def decompress(codec: int, data: Buffer, limit_bytes: int = DECOMPRESSED_BYTES_MAX) -> bytes:
    """Raises CompressionError when the data is damaged or would exceed `limit_bytes`."""
    if codec == NONE:
        return bytes(data)
    try:
        if codec == SNAPPY:
            return _decompress_snappy(memoryview(data), limit_bytes)
        if codec in (GZIP, LZ4, ZSTD):
            module = (cramjam.gzip, cramjam.lz4, cramjam.zstd)[(GZIP, LZ4, ZSTD).index(codec)]
            return _decompress_growing(module, data, limit_bytes)
    except cramjam.DecompressionError as error:
        raise CompressionError(f"{CODEC_NAMES[codec]} data cannot be decompressed: {error}") from error
    raise _unknown(codec)


def _unknown(codec: int) -> CompressionError:
    return CompressionError(f"unknown compression codec {codec}, known are 0 to 4 ({', '.join(CODEC_NAMES)})")


def _decompress_growing(module: Any, data: Buffer, limit_bytes: int) -> bytes:
    """Decompress into a buffer that doubles until the data fits or the limit is passed."""
    size = min(limit_bytes, max(_GUESS_BYTES_MIN, len(data) * _GUESS_FACTOR))
    while True:
        out = bytearray(size)
        try:
            return bytes(memoryview(out)[: module.decompress_into(data, out)])
        except cramjam.DecompressionError as error:
            if "write whole buffer" not in str(error):
                raise
            if size >= limit_bytes:
                raise _too_large(limit_bytes) from error
            size = min(limit_bytes, size * 2)


def _too_large(limit_bytes: int) -> CompressionError:
    return CompressionError(f"the records are larger than {limit_bytes} bytes when decompressed")


def _compress_snappy(data: memoryview) -> bytes:
    parts = [_XERIAL_HEADER]
    for start in range(0, len(data), _XERIAL_BLOCK_BYTES):
        block = bytes(cramjam.snappy.compress_raw(data[start : start + _XERIAL_BLOCK_BYTES]))
        parts += [len(block).to_bytes(4, "big"), block]
    return b"".join(parts)


def _decompress_snappy(data: memoryview, limit_bytes: int) -> bytes:
    if bytes(data[: len(_XERIAL_MAGIC)]) != _XERIAL_MAGIC:
        return _decompress_snappy_block(data, limit_bytes)
    parts = []
    position, total = len(_XERIAL_HEADER), 0
    while position < len(data):
        end = position + 4 + int.from_bytes(data[position : position + 4], "big")
        if position + 4 > len(data) or end > len(data):
            raise CompressionError(f"snappy data ends within the block at byte {position}")
        total += _snappy_length(data[position + 4 : end])
        if total > limit_bytes:
            raise _too_large(limit_bytes)
        parts.append(bytes(cramjam.snappy.decompress_raw(data[position + 4 : end])))
        position = end
    return b"".join(parts)


def _decompress_snappy_block(block: memoryview, limit_bytes: int) -> bytes:
    if _snappy_length(block) > limit_bytes:
        raise _too_large(limit_bytes)
    return bytes(cramjam.snappy.decompress_raw(block))


def _snappy_length(block: memoryview) -> int:
    """What a block says of its size; the library refuses a block that turns out to be another one."""
    length: int = cramjam.snappy.decompress_raw_len(block)
    return length
