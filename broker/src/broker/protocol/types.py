"""Wire types as a declaration names them, version ranges, and Kafka's spelling of uuids.

A declaration reads ``name: str = string("0-12", ignorable=True)``: the first argument is the range of versions that have
the field (all when left out), ``nullable`` the range in which it may be null, ``tag`` its number among the tagged fields.
"""

import base64
import uuid
from collections.abc import Sequence
from typing import Any

Buffer = bytes | bytearray | memoryview
Records = Buffer | Sequence[Buffer]
UUID = uuid.UUID
ZERO_UUID = uuid.UUID(int=0)
# "Any version from here on".
VERSION_MAX = 32767


def uuid_to_base64(value: uuid.UUID) -> str:
    """Kafka's spelling: url-safe base64 without padding, 22 characters."""
    return base64.urlsafe_b64encode(value.bytes).decode().rstrip("=")


def uuid_from_base64(text: str) -> uuid.UUID:
    """The reverse of `uuid_to_base64`; ValueError when it is no such text."""
    raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if len(raw) != 16:
        raise ValueError(f"{text!r} is {len(raw)} bytes of base64, a uuid has 16")
    return uuid.UUID(bytes=raw)


class Versions:
    """A closed range of versions, written as Kafka writes it: ``"3-13"``, ``"9+"``, ``"0"``, ``"none"``."""

    __slots__ = ("first", "last")

    def __init__(self, text: str) -> None:
        if text == "none":
            self.first, self.last = 1, 0
        elif text.endswith("+"):
            self.first, self.last = int(text[:-1]), VERSION_MAX
        else:
            first, _, last = text.partition("-")
            self.first, self.last = int(first), int(last or first)

    def __contains__(self, version: int) -> bool:
        return self.first <= version <= self.last


ALL = Versions("0+")
NEVER = Versions("none")


class Field:
    """One field of a message over all its versions. `element` is the type of an array's items."""

    __slots__ = ("default", "element", "ignorable", "kind", "name", "nullable", "tag", "versions")

    def __init__(
        self, kind: Any, versions: Versions, nullable: Versions, *, default: Any, ignorable: bool, tag: int | None
    ) -> None:
        self.name = ""  # the metaclass knows it
        self.kind = kind
        self.element: Any = None
        self.versions = versions
        self.nullable = nullable
        self.default = default
        self.ignorable = ignorable
        self.tag = tag

    def default_value(self) -> Any:
        """A fresh default: lists and structs are never shared."""
        if self.default is not ...:
            return self.default
        return [] if self.kind == "array" else self.kind()


class Scalar:
    """A wire type without inner structure; calling it declares a field of that type."""

    def __init__(self, kind: str, default: Any) -> None:
        self.kind = kind
        self.default = default

    def __call__(
        self, versions: str = "0+", *, nullable: str = "none", default: Any = ..., ignorable: bool = False, tag: int | None = None
    ) -> Any:
        value = self.default if default is ... else default
        return Field(self.kind, _range(versions), _range(nullable), default=value, ignorable=ignorable, tag=tag)


boolean = Scalar("boolean", False)
int8 = Scalar("int8", 0)
int16 = Scalar("int16", 0)
uint16 = Scalar("uint16", 0)
int32 = Scalar("int32", 0)
uint32 = Scalar("uint32", 0)
int64 = Scalar("int64", 0)
float64 = Scalar("float64", 0.0)
string = Scalar("string", "")
blob = Scalar("bytes", b"")
records = Scalar("records", None)
uuid_ = Scalar("uuid", ZERO_UUID)


def struct(
    kind: type,
    versions: str = "0+",
    *,
    nullable: str = "none",
    default: Any = ...,
    ignorable: bool = False,
    tag: int | None = None,
) -> Any:
    """A nested struct; null is allowed in the versions of `nullable`."""
    return Field(kind, _range(versions), _range(nullable), default=default, ignorable=ignorable, tag=tag)


def array(
    element: Scalar | type,
    versions: str = "0+",
    *,
    nullable: str = "none",
    default: Any = ...,
    ignorable: bool = False,
    tag: int | None = None,
) -> Any:
    """A list of `element`, which is a scalar type or a struct class."""
    field = Field("array", _range(versions), _range(nullable), default=default, ignorable=ignorable, tag=tag)
    field.element = element.kind if isinstance(element, Scalar) else element
    return field


_RANGES: dict[str, Versions] = {"0+": ALL, "none": NEVER}


def _range(text: str) -> Versions:
    found = _RANGES.get(text)
    if found is None:
        found = _RANGES[text] = Versions(text)
    return found
