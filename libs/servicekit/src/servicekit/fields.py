"""Ids in requests and answers: 64 bits inside, texts in JSON, because JavaScript's numbers end at 53 bits. And times."""

from datetime import datetime
from typing import Any

from django.urls.converters import IntConverter
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from events.envelope import format_time
from rest_framework import serializers

ID_MAX = 2**63 - 1


def parse_id(value: Any) -> int | None:
    """The id in a text or a number; None when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = str(value)
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(ID_MAX)):
        return None
    return int(text) if 1 <= int(text) <= ID_MAX else None


@extend_schema_field({"type": "string", "pattern": "^[1-9][0-9]{0,18}$"})
class IdField(serializers.Field[int, Any, str, Any]):
    """A snowflake id."""

    default_error_messages = {"invalid": f"an id is needed: a whole number from 1 to {ID_MAX}, as a text"}  # noqa: RUF012

    def to_internal_value(self, data: Any) -> int:
        found = parse_id(data)
        if found is None:
            self.fail("invalid")
        return found

    def to_representation(self, value: int) -> str:
        return str(value)


@extend_schema_field(OpenApiTypes.DATETIME)
class TimeField(serializers.Field[datetime, Any, str, Any]):
    """A time in an answer, spelt as in events: UTC, to the millisecond."""

    def to_representation(self, value: datetime) -> str:
        return format_time(value)


class IdConverter(IntConverter):
    """`<id:article_id>` in a path."""

    regex = "[0-9]{1,19}"

    def to_python(self, value: str) -> int:
        found = parse_id(value)
        if found is None:
            raise ValueError(f"{value} is no id")
        return found
