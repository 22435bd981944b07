"""What the load generator was promised: one line per write that got a 2xx, and one per write without an answer.

A line is on its way to the disk before the next write of that article is sent (one writer per article), so the order of an
article's lines is the order of its writes. Read again by `verify`.
"""

import json
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
        self._file = path.open("a", buffering=1)
        self._lock = threading.Lock()
        self.count = 0

    def add(self, entry: Entry) -> None:
        line = json.dumps(asdict(entry), separators=(",", ":")) + "\n"
        with self._lock:
            self._file.write(line)
            self.count += 1

    def close(self) -> None:
        self._file.close()


def read_ledgers(directory: Path) -> Iterator[Entry]:
    """All entries of all loads on this data directory, in the order they were made."""
    for path in sorted(directory.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            try:
                yield Entry(**json.loads(line))
            except (json.JSONDecodeError, TypeError):
                continue  # the last line of a load that was killed in the middle of it
