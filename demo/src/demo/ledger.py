"""What the load generator was promised: one line per write that got a 2xx, and one per write without an answer.

A write is put down before it is sent, so that a load that is killed leaves no write of which it does not say that nobody knows.
The line that ends it is on its way to the disk before the next write of that article is sent (one writer per article), so the
order of an article's lines is the order of its writes. Read again by `verify`.
"""

import errno
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

# Kinds of lines that are no entries: a write that is about to be sent, and one that was refused.
SENT, REFUSED = "sent", "refused"


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

    def sent(self, entry: Entry) -> None:
        """It is about to be sent; `add` or `refused` ends it. OSError as `add`."""
        self._append({SENT: asdict(entry)})

    def refused(self, entry: Entry) -> None:
        """It was answered, and has no effect. OSError as `add`."""
        self._append({REFUSED: asdict(entry)})

    def add(self, entry: Entry) -> None:
        """OSError when it cannot be written; it then takes nothing more, so that no later line hides the gap."""
        self._append(asdict(entry))
        with self._lock:
            self.count += 1

    def _append(self, content: dict[str, Any]) -> None:
        line = json.dumps(content, separators=(",", ":")).encode() + b"\n"
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

    def close(self) -> None:
        """The first error of `add` once more, if there was one."""
        self._file.close()
        if self._error is not None:
            raise self._error


def read_ledgers(directory: Path) -> Iterator[Entry]:
    """All entries of all loads on this data directory, in their order; writes that were under way come last, uncertain."""
    for path in sorted(directory.glob("*.jsonl")):
        under_way: dict[str, Entry] = {}
        for line in path.read_text().splitlines():
            try:
                content = json.loads(line)
                kind = next((kind for kind in (SENT, REFUSED) if kind in content), None)
                entry = Entry(**(content if kind is None else content[kind]))
            except (json.JSONDecodeError, TypeError):
                continue  # the last line of a load that was killed in the middle of it
            if kind == SENT:
                under_way[entry.article_id] = entry
                continue
            under_way.pop(entry.article_id, None)
            if kind is None:
                yield entry
        for entry in under_way.values():
            yield replace(entry, certain=False)
