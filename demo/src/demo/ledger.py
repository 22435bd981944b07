"""What the load generator was promised: one line per write that got a 2xx, and one per write without an answer.

A line is on its way to the disk before the next write of that article is sent (one writer per article), so the order of an
article's lines is the order of its writes. Read again by `verify`.
"""

import errno
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """One write. `certain` is False when no answer came: it may or may not have taken effect."""

    operation: str  # create | update | delete | like | unlike | comment | uncomment
    article_id: str
    certain: bool = True
    version: int = 0
    user_id: str = ""
    comment_id: str = ""


class Ledger:
    """An append-only file of entries, shared by the load's threads."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("ab", buffering=0)
        self._lock = threading.Lock()
        self._error: OSError | None = None
        self.count = 0

    def add(self, entry: Entry) -> None:
        """OSError when it cannot be written; it then takes nothing more, so that no later line hides the gap."""
        line = json.dumps(asdict(entry), separators=(",", ":")).encode() + b"\n"
        with self._lock:
            if self._error is not None:
                raise self._error
            try:
                written = self._file.write(line)
                if written != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            except OSError as error:
                self._error = error
                raise
            self.count += 1

    def close(self) -> None:
        """The first error of `add` once more, if there was one."""
        self._file.close()
        if self._error is not None:
            raise self._error


def read_ledgers(directory: Path) -> Iterator[Entry]:
    """All entries of all loads on this data directory, in the order they were made."""
    for path in sorted(directory.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            try:
                yield Entry(**json.loads(line))
            except (json.JSONDecodeError, TypeError):
                continue  # the last line of a load that was killed in the middle of it
