"""Walking over batches: all of them, from any window, up to the first bytes that are no whole batch."""

import pytest
from broker.log.open_files import LogFile
from broker.log.scan import BATCH_WINDOW_BYTES, HEADER_WINDOW_BYTES, scan_batches, scan_headers
from broker.record.batch import patch, read_header

from .disk import DIRECTORY, Disk, batch

# Smaller than a window, about as large, and larger than both.
SIZES = (10, 50, HEADER_WINDOW_BYTES - 130, 20_000, BATCH_WINDOW_BYTES + 5, 7, 7)


def written(sizes: tuple[int, ...] = SIZES) -> tuple[LogFile, list[bytes]]:
    disk = Disk()
    file = LogFile(disk.files, f"{DIRECTORY}/{0:020d}.log", exists=False)
    batches = [b"".join(patch(batch(value=bytes(size)), number, 0)) for number, size in enumerate(sizes)]
    file.append(batches)
    return file, batches


def test_every_batch_is_found_where_it_stands() -> None:
    file, batches = written()
    position = 0
    for content, (headed, header), (found, same, view) in zip(
        batches, scan_headers(file, 0, file.size), scan_batches(file, 0, file.size), strict=True
    ):
        assert headed == found == position
        assert header == same == read_header(content)
        assert bytes(view) == content
        position += len(content)


def test_a_walk_may_begin_and_end_in_between() -> None:
    file, batches = written()
    start = len(batches[0])
    end = start + len(batches[1]) + len(batches[2])
    assert [header.base_offset for _, header in scan_headers(file, start, end)] == [1, 2]
    assert [header.base_offset for _, header, _ in scan_batches(file, start, end - 1)] == [1]


@pytest.mark.parametrize("tail", [b"\0", b"\0" * 200, b"\xff" * 61, batch()[:-1], batch()[:61]])
def test_a_walk_ends_at_what_is_no_whole_batch(tail: bytes) -> None:
    file, batches = written((10, 20))
    file.append([tail])
    assert len(list(scan_headers(file, 0, file.size))) == len(batches)
    assert len(list(scan_batches(file, 0, file.size))) == len(batches)


def test_an_empty_file() -> None:
    file, _ = written(())
    assert list(scan_headers(file, 0, 0)) == []
    assert list(scan_batches(file, 0, 0)) == []
