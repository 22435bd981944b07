"""Every type of event that is known, with its versions and their schemas.

Schemas are read as JSON Schema means them, where Python's library is laxer: a pattern does not pass over a newline at the
end, 1.0 is no whole number, and a `date-time` is looked at.
"""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend

from events import article, comment

# Type -> the versions of its data that can be read.
CATALOG: dict[str, tuple[int, ...]] = {
    article.CREATED: (1,),
    article.UPDATED: (1,),
    article.DELETED: (1,),
    article.LIKED: (1,),
    article.UNLIKED: (1,),
    comment.CREATED: (1,),
    comment.DELETED: (1,),
}


@cache
def schema(event_type: str, version: int) -> dict[str, Any]:
    """The JSON Schema of one version of one type's data."""
    text = files("events").joinpath(f"schemas/{event_type}.v{version}.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


@cache
def validator(event_type: str, version: int) -> Validator:
    made: Validator = _Strict(schema(event_type, version), format_checker=_FORMATS)
    return made


def _pattern(validator: Validator, pattern: str, text: Any, schema: Any) -> Iterator[ValidationError]:
    """All patterns of the catalog have both anchors."""
    if isinstance(text, str) and not re.fullmatch(pattern, text):
        yield ValidationError(f"{text!r} does not match {pattern!r}")


_FORMATS = FormatChecker(formats=())


@_FORMATS.checks("date-time", raises=ValueError)
def _is_time(text: object) -> bool:
    return not isinstance(text, str) or datetime.fromisoformat(text).tzinfo is not None


_Strict = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    validators={"pattern": _pattern},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda checker, value: type(value) is int),
)
