"""Structured logs: one JSON object a line, with the correlation id of the request or event that is being handled."""

import json
import logging
from datetime import UTC, datetime

from servicekit.correlation import current_id


class JsonFormatter(logging.Formatter):
    """time, level, logger, message, correlation id, and the trace of an exception."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "correlation_id": current_id(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)
