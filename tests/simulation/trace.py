"""What happened in a simulation, a readable line for each event, a digest of all of them, and how to have it again."""

import hashlib
from collections import deque

LINES_SHOWN = 60


def replay_command(kind: str, seed: int | str) -> str:
    """What to type to see a run again, with every line."""
    return f"./board simulate --kind {kind} --seed {seed}"


class Trace:
    """Every line counts towards the digest; the last ones are kept to be shown, or all of them from `keep_all` on."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.lines: deque[str] = deque(maxlen=LINES_SHOWN)
        self.count = 0

    def keep_all(self) -> None:
        self.lines = deque(self.lines)

    def add(self, now_ms: int, who: str, what: str) -> None:
        line = f"{now_ms / 1000:9.3f} {who}: {what}"
        self._hash.update(line.encode() + b"\n")
        self.lines.append(line)
        self.count += 1

    @property
    def tail(self) -> str:
        """The last lines."""
        return "\n".join(list(self.lines)[-LINES_SHOWN:])

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()
