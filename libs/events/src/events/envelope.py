"""The envelope of every event, after CloudEvents 1.0, and its form on the wire: one JSON object in UTF-8.

`decode` takes nothing on trust: what is missing or of another shape is a `BadEvent` that names the field. A type that is not
in the catalog is an `UnknownType`, which a consumer skips: another service may well know it.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from events.catalog import CATALOG, validator

SPEC_VERSION = "1.0"
ERROR_TEXT_MAX = 300
_TEXTS = ("specversion", "id", "source", "type", "time", "subject", "aggregate", "correlationid")
_NUMBERS = ("dataversion", "aggregateversion")


class BadEvent(Exception):
    """A record that claims to be an event and is not one; the message names the field."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}"[:ERROR_TEXT_MAX])
        self.field = field


class UnknownType(Exception):
    """An event of a type that is not in the catalog."""

    def __init__(self, event_type: str) -> None:
        super().__init__(f"events of type {event_type!r} are not known here"[:ERROR_TEXT_MAX])
        self.type = event_type


@dataclass(frozen=True, slots=True)
class Envelope:
    """One event. `subject` is the id of the article it is about, and the record's key."""

    id: str
    source: str
    type: str
    dataversion: int
    time: datetime
    subject: str
    aggregate: str
    aggregateversion: int
    correlationid: str
    data: dict[str, Any]
    causationid: str | None = None


def format_time(time: datetime) -> str:
    """RFC 3339 in UTC, to the millisecond: the one spelling of times in events and answers."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def encode(envelope: Envelope) -> bytes:
    """The record's value. BadEvent when the data does not fit its own schema: a defect of the publisher."""
    _check_data(envelope.type, envelope.dataversion, envelope.data)
    fields = {
        "specversion": SPEC_VERSION,
        "id": envelope.id,
        "source": envelope.source,
        "type": envelope.type,
        "dataversion": envelope.dataversion,
        "time": format_time(envelope.time),
        "subject": envelope.subject,
        "aggregate": envelope.aggregate,
        "aggregateversion": envelope.aggregateversion,
        "correlationid": envelope.correlationid,
        "causationid": envelope.causationid,
        "data": envelope.data,
    }
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def decode(value: bytes | None) -> Envelope:
    """The event in a record's value. BadEvent, UnknownType."""
    fields = _parse(value)
    event_type = fields.get("type")
    if isinstance(event_type, str) and event_type not in CATALOG:
        raise UnknownType(event_type)
    for name in _TEXTS:
        if not isinstance(fields.get(name), str) or not fields[name]:
            raise BadEvent(name, f"a text is needed, found {fields.get(name)!r}")
    for name in _NUMBERS:
        if type(fields.get(name)) is not int or fields[name] < 1:
            raise BadEvent(name, f"a whole number from 1 is needed, found {fields.get(name)!r}")
    if fields["specversion"] != SPEC_VERSION:
        raise BadEvent("specversion", f"{SPEC_VERSION} is needed, found {fields['specversion']!r}")
    if fields["dataversion"] not in CATALOG[fields["type"]]:
        raise BadEvent("dataversion", f"version {fields['dataversion']} of {fields['type']} is not known here")
    causation = fields.get("causationid")
    if causation is not None and not isinstance(causation, str):
        raise BadEvent("causationid", f"a text or null is needed, found {causation!r}")
    data: Any = fields.get("data")
    _check_data(fields["type"], fields["dataversion"], data)
    if data["article_id"] != fields["subject"]:
        raise BadEvent("subject", f"the data's article_id {data['article_id']!r} is needed, found {fields['subject']!r}")
    return Envelope(
        **{name: fields[name] for name in (*_TEXTS[1:4], *_TEXTS[5:], *_NUMBERS)},
        time=_time(fields["time"]),
        data=data,
        causationid=causation,
    )


def _parse(value: bytes | None) -> dict[str, Any]:
    if value is None:
        raise BadEvent("body", "the record has no value")
    try:
        # Decoded here: json itself takes UTF-16, and surrogates in UTF-8.
        fields = json.loads(value.decode("utf-8"))
        if b"\\u" in value:
            # Half of a surrogate pair can be escaped into JSON, and then be written nowhere.
            json.dumps(fields, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise BadEvent("body", f"it is no JSON in UTF-8: {error}") from error
    if not isinstance(fields, dict):
        raise BadEvent("body", f"a JSON object is needed, found {type(fields).__name__}")
    return fields


def _check_data(event_type: str, version: int, data: Any) -> None:
    error = next(iter(validator(event_type, version).iter_errors(data)), None)
    if error is not None:
        where = ".".join(["data", *map(str, error.absolute_path)])
        raise BadEvent(where, error.message)


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadEvent("time", f"RFC 3339 is needed, found {text!r}") from error
    if found.tzinfo is None:
        raise BadEvent("time", f"a time zone is needed, found {text!r}")
    return found
