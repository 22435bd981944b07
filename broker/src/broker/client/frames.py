"""Bytes of a connection into frames: a length of four bytes, then so many bytes.

Invariant: a frame's buffer is allocated only after its length was found to be within the bound.
"""

from collections.abc import Iterator

from broker.protocol.types import Buffer

LENGTH_BYTES = 4
# A response holds a correlation id at least.
FRAME_BYTES_MIN = 4
# Twice Kafka's largest request; a fetch is bounded by what the reader asked for.
FRAME_BYTES_MAX = 200 << 20


class BadFrame(Exception):
    """A length that no answer of a broker has: the other side speaks something else."""


class FrameReader:
    """Collects what arrives, in any pieces, and gives whole frames."""

    def __init__(self, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._frame_bytes_max = frame_bytes_max
        self._head = bytearray()
        self._frame: memoryview | None = None
        self._filled = 0

    def feed(self, data: Buffer) -> Iterator[memoryview]:
        """The frames that are complete with these bytes. `data` may be used again once the iterator has ended."""
        view = memoryview(data)
        while view:
            if self._frame is None:
                missing = LENGTH_BYTES - len(self._head)
                self._head += view[:missing]
                view = view[missing:]
                if len(self._head) < LENGTH_BYTES:
                    return
                self._begin()
                continue
            part = view[: len(self._frame) - self._filled]
            self._frame[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            view = view[len(part) :]
            if self._filled == len(self._frame):
                frame, self._frame = self._frame, None
                yield frame

    def _begin(self) -> None:
        length = int.from_bytes(self._head, "big", signed=True)
        if not FRAME_BYTES_MIN <= length <= self._frame_bytes_max:
            raise BadFrame(f"a frame claims {length} bytes, {FRAME_BYTES_MIN} to {self._frame_bytes_max} are allowed")
        self._head.clear()
        self._frame = memoryview(bytearray(length))
        self._filled = 0
