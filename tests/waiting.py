"""Waiting for a condition instead of for a time."""

import time
from collections.abc import Callable

TIMEOUT_SECONDS = 60.0
POLL_SECONDS = 0.02


def wait_until(condition: Callable[[], object], what: str, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
    """Return as soon as `condition()` is true; AssertionError names `what` was waited for."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_seconds:g} s: {what}"
        time.sleep(POLL_SECONDS)
