"""What happened in a simulation, a readable line for each event, and a digest of all of them."""

import hashlib
from collections import deque

LINES_SHOWN = 60


class Trace:
    """Every line counts towards the digest; the last ones are kept to be shown, all of them when `keep_all`."""

    def __init__(self, *, keep_all: bool = False) -> None:
        self._hash = hashlib.sha256()
        self.lines: deque[str] = deque(maxlen=None if keep_all else LINES_SHOWN)
        self.count = 0

    def add(self, now_ms: int, who: str, what: str) -> None:
        line = f"{now_ms / 1000:9.3f} {who}: {what}"
        self._hash.update(line.encode() + b"\n")
        self.lines.append(line)
        self.count += 1

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()
