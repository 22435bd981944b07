"""One line of JSON for each record, with the correlation id."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from servicekit.correlation import correlated
from servicekit.logs import JsonFormatter


def formatted(record: logging.LogRecord) -> dict[str, Any]:
    text = JsonFormatter().format(record)
    assert "\n" not in text
    found: dict[str, Any] = json.loads(text)
    return found


def test_a_line_says_when_who_what_and_for_whom() -> None:
    record = logging.LogRecord("article.api", logging.WARNING, __file__, 1, "글 %s\nis gone", ("7",), None)
    record.created = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC).timestamp()
    with correlated("request-1"):
        found = formatted(record)
    assert found == {
        "time": "2026-03-01T12:00:00.250+00:00",
        "level": "WARNING",
        "logger": "article.api",
        "message": "글 7\nis gone",
        "correlation_id": "request-1",
    }


def test_outside_of_any_request_there_is_no_id() -> None:
    assert formatted(logging.LogRecord("x", logging.INFO, __file__, 1, "m", (), None))["correlation_id"] is None


def test_an_exception_brings_its_trace() -> None:
    try:
        raise KeyError("lost")
    except KeyError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "m", (), sys.exc_info())
    assert "KeyError: 'lost'" in formatted(record)["exception"]
