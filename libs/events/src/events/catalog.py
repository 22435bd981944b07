"""Every type of event that is known, with its versions and their schemas."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator

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
def validator(event_type: str, version: int) -> Draft202012Validator:
    return Draft202012Validator(schema(event_type, version), format_checker=Draft202012Validator.FORMAT_CHECKER)
