"""Walking over the batches of a file, from a position to an end. A walk ends at the first bytes that are no whole batch."""

from collections.abc import Iterator

from broker.log.open_files import LogFile
from broker.record.batch import HEADER_SIZE, BatchHeader, CorruptBatch, read_header

# Pieces in which a file is read: small where only headers are looked at, large where everything is.
HEADER_WINDOW_BYTES = 16 << 10
BATCH_WINDOW_BYTES = 1 << 20


def scan_headers(file: LogFile, position: int, end: int) -> Iterator[tuple[int, BatchHeader]]:
    """(position, header) of each batch, without reading what is inside where batches are large."""
    window, start = b"", position
    while position + HEADER_SIZE <= end:
        if position + HEADER_SIZE > start + len(window):
            window, start = file.pread(min(HEADER_WINDOW_BYTES, end - position), position), position
        try:
            header = read_header(window, position - start)
        except CorruptBatch:
            return
        if position + header.size > end:
            return
        yield position, header
        position += header.size


def scan_batches(file: LogFile, position: int, end: int) -> Iterator[tuple[int, BatchHeader, memoryview]]:
    """(position, header, bytes) of each batch. Checksums are the caller's."""
    window, start = memoryview(b""), position
    while position + HEADER_SIZE <= end:
        if position + HEADER_SIZE > start + len(window):
            window, start = memoryview(file.pread(min(BATCH_WINDOW_BYTES, end - position), position)), position
        try:
            header = read_header(window, position - start)
        except CorruptBatch:
            return
        if position + header.size > end:
            return
        if position + header.size > start + len(window):
            length = min(max(BATCH_WINDOW_BYTES, header.size), end - position)
            window, start = memoryview(file.pread(length, position)), position
        yield position, header, window[position - start : position - start + header.size]
        position += header.size
