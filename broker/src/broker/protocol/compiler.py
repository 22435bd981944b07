"""Turns a declaration into straight-line Python for one version: runs of fixed-size fields become one struct call.

Generated functions have the shape ``decode(buffer, position, end) -> (value, position)`` and ``encode(value, parts)``,
where the last item of `parts` is the bytearray being written. Every generated line belongs to a field, so that an error
can name it without any cost on the way.
"""

import struct
import uuid
from typing import Any

from broker.protocol.message import Message, Struct
from broker.protocol.types import Field

# Array elements one message may hold: a request is built of objects many times the size of its bytes.
ELEMENTS_MAX = 250_000
UVARINT_BYTES_MAX = 5
# Compact lengths could say more, but Kafka reads no longer string, and the older versions have two bytes for a length.
STRING_BYTES_MAX = 2**15 - 1
FIXED = {
    "boolean": ("?", 1),
    "int8": ("b", 1),
    "int16": ("h", 2),
    "uint16": ("H", 2),
    "int32": ("i", 4),
    "uint32": ("I", 4),
    "int64": ("q", 8),
    "float64": ("d", 8),
    "uuid": ("16s", 16),
}
elements_left = [ELEMENTS_MAX]
_fields_of_code: dict[str, list[str]] = {}


class MalformedMessage(ValueError):
    """The bytes are not the message they claim to be."""


class LongNumber(MalformedMessage):
    """A variable-length number goes on for too long; who reads it knows which."""


class UnsupportedField(ValueError):
    """A field is set that the version to be written does not have, or its value does not fit."""


def read_uvarint(buffer: Any, position: int) -> tuple[int, int]:
    """An unsigned varint of at most 32 bits."""
    value = shift = 0
    for _ in range(UVARINT_BYTES_MAX):
        byte = buffer[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value > 0xFFFFFFFF:
                break
            return value, position
        shift += 7
    raise LongNumber("a variable-length number is longer than 32 bits")


def write_uvarint(out: bytearray, value: int) -> None:
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def take_elements(count: int, size_min: int, left: int, name: str) -> None:
    """Refuse a count that the bytes left cannot hold, or that is more than a message may hold."""
    if count < 0 or count * size_min > left:
        raise MalformedMessage(f"{name}: {count} elements do not fit into the {left} bytes left")
    elements_left[0] -= count
    if elements_left[0] < 0:
        raise MalformedMessage(f"{name}: the message has more than {ELEMENTS_MAX} array elements")


def refuse_length(name: str, length: int, left: int) -> None:
    what = "null is not allowed" if length == -1 else f"its length {length} is not within the {left} bytes left"
    raise MalformedMessage(f"{name}: {what}")


def refuse_string(name: str, length: int) -> None:
    raise MalformedMessage(f"{name}: its length {length} is more than the {STRING_BYTES_MAX} bytes that a string may have")


def refuse_text(name: str, length: int) -> None:
    raise UnsupportedField(f"{name} has {length} bytes, a string may have {STRING_BYTES_MAX}")


def refuse_field(name: str, version: int) -> None:
    raise UnsupportedField(f"{name} is set, but version {version} does not have it")


def is_flexible(cls: type[Struct], version: int, flexible: bool | None) -> bool:
    if flexible is not None:
        return flexible
    assert issubclass(cls, Message)
    return cls.is_flexible(version)


def size_min(kind: Any, version: int, flexible: bool) -> int:
    """The fewest bytes a value can take on the wire."""
    if kind in FIXED:
        return FIXED[kind][1]
    if isinstance(kind, str):
        if flexible:
            return 1
        return 2 if kind == "string" else 4
    total = 1 if flexible else 0
    for field in kind.FIELDS:
        if version in field.versions and field.tag is None:
            nullable_struct = not isinstance(field.kind, str) and version in field.nullable
            total += 1 if nullable_struct else size_min(field.kind, version, flexible)
    return max(total, 1)


def field_of(error: BaseException) -> str | None:
    """`Class.field` whose generated line raised, found in the traceback."""
    found, trace = None, error.__traceback__
    while trace is not None:
        lines = _fields_of_code.get(trace.tb_frame.f_code.co_filename)
        if lines is not None and trace.tb_lineno - 1 < len(lines):
            found = lines[trace.tb_lineno - 1] or found
        trace = trace.tb_next
    return found


class Source:
    """Lines of one generated function, each with the field it serves."""

    def __init__(self, cls: type[Struct], version: int, purpose: str) -> None:
        self.file_name = f"<{purpose} {cls.__module__}.{cls.__qualname__} v{version}>"
        self.lines: list[str] = []
        self.fields: list[str] = []
        self.names: dict[str, Any] = {
            "read_uvarint": read_uvarint,
            "write_uvarint": write_uvarint,
            "take_elements": take_elements,
            "refuse_length": refuse_length,
            "refuse_string": refuse_string,
            "refuse_text": refuse_text,
            "refuse_field": refuse_field,
            "UUID": uuid.UUID,
        }
        self._temporaries = 0

    def add(self, indent: int, text: str, field: str = "") -> None:
        self.lines.append(" " * indent + text)
        self.fields.append(field)

    def name(self, value: Any, hint: str) -> str:
        """A name in the function's globals for a value it needs."""
        key = f"{hint}_{len(self.names)}"
        self.names[key] = value
        return key

    def temporary(self, hint: str) -> str:
        self._temporaries += 1
        return f"{hint}{self._temporaries}"

    def compile(self) -> Any:
        _fields_of_code[self.file_name] = self.fields
        exec(compile("\n".join(self.lines), self.file_name, "exec"), self.names)  # noqa: S102 - made of our own declarations
        return self.names["function"]


def fixed_struct(fields: list[Field]) -> struct.Struct:
    return struct.Struct(">" + "".join(FIXED[field.kind][0] for field in fields))


def compile_decoder(cls: type[Struct], version: int, flexible: bool | None = None) -> Any:
    from broker.protocol.decoding import build_decoder  # noqa: PLC0415 - each half is loaded when it is first needed

    return build_decoder(cls, version, is_flexible(cls, version, flexible))


def compile_encoder(cls: type[Struct], version: int, flexible: bool | None = None) -> Any:
    from broker.protocol.encoding import build_encoder  # noqa: PLC0415

    return build_encoder(cls, version, is_flexible(cls, version, flexible))
