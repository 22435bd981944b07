"""Asking again while the answer is "not yet": bounded, with the last answer when the bound is reached."""

import time
from collections.abc import Callable, Collection
from typing import TypeVar

from broker.protocol.errors import ErrorCode, KafkaError

RETRY_S = 30.0
PAUSE_S = 0.1
T = TypeVar("T")


def patiently(ask: Callable[[], T], retriable: Collection[ErrorCode], seconds: float = RETRY_S) -> T:
    """What `ask` gives, asked again while it says one of `retriable`; after `seconds` its last error."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except KafkaError as error:
            if error.code not in retriable or time.monotonic() > deadline:
                raise
            time.sleep(PAUSE_S)
