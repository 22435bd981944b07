"""CRC-32C (Castagnoli), by the processor's own instruction: the checksum of batches and of producer snapshots."""

from collections.abc import Callable

from crc32c import crc32c as _crc32c

Buffer = bytes | bytearray | memoryview

# crc32c(data, value_so_far=0)
crc32c: Callable[..., int] = _crc32c
