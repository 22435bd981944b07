"""Bodies of requests: JSON in which a name stands once. Readers differ in which of two they take, so neither is taken."""

import json
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

from servicekit.problems import BadInput


class StrictJsonParser(JSONParser):
    """RFC 8259 in UTF-8: no NaN, no name twice."""

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        """ParseError, BadInput."""
        try:
            text = stream.read().decode("utf-8")
            return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
        except ValueError as error:
            raise ParseError(f"it is no JSON in UTF-8: {error}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadInput(_printable(twice), "it is given more than once")
    return found


def _printable(name: str) -> str:
    """Half of a surrogate pair can be escaped into a name, and be written nowhere."""
    return name.encode("utf-8", "replace").decode()


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
