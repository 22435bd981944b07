"""The registry of places where a test may kill the process, as kill -9 does.

`reach(name)` does nothing unless BOARD_CRASH_AT names the point; then the process is gone, after it has left a mark in the
file BOARD_CRASH_MARK, so that a test can tell that the point was hit. With an @ in front, BOARD_CRASH_AT is a file that names
the point, so that a test can arm one point after the other in processes that run. Every point is declared here, once.
"""

import os
import signal
from pathlib import Path

CRASH_AT, CRASH_MARK = "BOARD_CRASH_AT", "BOARD_CRASH_MARK"

POINTS = {
    "outbox.before-send": "the relay has read unsent rows and sent none",
    "outbox.after-send-before-mark": "the broker has the events, the rows say unsent",
    "consumer.before-effect": "a record was read, its effect is not there",
    "consumer.after-effect-before-commit": "the effect is there, the offset is not committed",
    "consumer.after-dead-letter-before-commit": "the record is a dead letter, the offset is not committed",
    "projection.after-origin-before-write": "the origin has answered, the projection has not taken it over",
    "article.before-commit": "article rows and the event are written, the transaction is open",
    "article.after-commit": "the transaction is committed, the caller has no answer",
    "comment.before-commit": "comment rows and the event are written, the transaction is open",
    "comment.after-commit": "the transaction is committed, the caller has no answer",
}


def reach(name: str) -> None:
    """A point of the registry is reached."""
    armed = os.environ.get(CRASH_AT)
    if armed is not None and name == (_read(armed[1:]) if armed.startswith("@") else armed):
        _die(name)
    assert name in POINTS, f"the crash point {name} is not in the registry"


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _die(name: str) -> None:
    mark = os.environ.get(CRASH_MARK)
    if mark:
        try:
            # One death per test: the process that is started again lives.
            with Path(mark).open("x", encoding="utf-8") as file:
                file.write(name)
        except FileExistsError:
            return
    os.kill(os.getpid(), signal.SIGKILL)
