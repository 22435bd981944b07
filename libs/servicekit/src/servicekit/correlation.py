"""The correlation id: given by the caller or made here, in every log line, in every event, and back in the answer."""

import logging
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.http import HttpRequest, HttpResponse

log = logging.getLogger(__name__)
HEADER = "X-Correlation-Id"
# What a caller may send; anything else is replaced, so that nobody writes into our logs.
_SHAPE = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Requests that change nothing are many; they are logged for whoever looks for faults.
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_current: ContextVar[str | None] = ContextVar("correlation_id", default=None)


def current_id() -> str | None:
    """The id of what is being handled; None outside."""
    return _current.get()


def require_id() -> str:
    """The id of what is being handled; a new one outside of any."""
    return _current.get() or str(uuid.uuid4())


@contextmanager
def correlated(correlation_id: str) -> Iterator[None]:
    """Everything inside belongs to this id."""
    token = _current.set(correlation_id)
    try:
        yield
    finally:
        _current.reset(token)


class CorrelationMiddleware:
    """Takes the id from the request, or makes one, and gives it back; says in the log what was asked and answered."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get(HEADER, "")
        correlation_id = given if _SHAPE.fullmatch(given) else str(uuid.uuid4())
        started = time.monotonic()
        with correlated(correlation_id):
            response = self._get_response(request)
            level = logging.DEBUG if request.method in _READING else logging.INFO
            took_ms = (time.monotonic() - started) * 1000
            log.log(level, "%s %s answered %d in %.1f ms", request.method, request.path, response.status_code, took_ms)
        response[HEADER] = correlation_id
        return response
