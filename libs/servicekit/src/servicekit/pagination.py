"""Pages by an opaque cursor: it names the last item seen, so a page stays where it was while new items come."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from django.http import QueryDict

from servicekit.problems import BadInput

PAGE_SIZE_DEFAULT = 20
PAGE_SIZE_MAX = 100
T = TypeVar("T")


def page_size(query: QueryDict) -> int:
    """`page_size`, 20 when it is left out."""
    text = query.get("page_size", str(PAGE_SIZE_DEFAULT))
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:9]) <= PAGE_SIZE_MAX:
        raise BadInput("page_size", f"a whole number from 1 to {PAGE_SIZE_MAX} is needed")
    return int(text)


def encode_cursor(position: str) -> str:
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")


def decode_cursor(query: QueryDict) -> str | None:
    """The position in `cursor`; None for the first page."""
    text = query.get("cursor")
    if not text:
        return None
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError) as error:
        raise BadInput("cursor", "this is no cursor of ours; leave it out for the first page") from error


def page(found: Sequence[T], size: int, position: Callable[[T], str]) -> tuple[Sequence[T], str | None]:
    """From `size` + 1 found items: those of the page, and the next cursor when there are more."""
    items = found[:size]
    return items, encode_cursor(position(items[-1])) if len(found) > size else None


def listed(items: list[Any], next_cursor: str | None) -> dict[str, Any]:
    """The one shape of a list."""
    return {"items": items, "next_cursor": next_cursor}
