"""Messages with generated values: every class that the protocol declares, in every version, from a seed.

Owns: the list of all message classes, values at the edges of their types, and frames made of them. Used by the codec's tests
and by the fuzzing of a running broker. Values stay within what Kafka itself could send (known error codes, real dates).
"""

import importlib
import pkgutil
import random
import uuid
from collections.abc import Iterator
from typing import Any

import broker.protocol.messages as package
from broker.protocol.codec import encode
from broker.protocol.errors import ErrorCode
from broker.protocol.headers import RequestHeader, encode_request_header
from broker.protocol.message import Message, Request, Struct
from broker.protocol.types import Field

STYLES = ("plain", "lowest", "highest", "defaults")
BOUNDS = {
    "int8": (-(2**7), 2**7 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "uint16": (0, 2**16 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
}
# Milliseconds that are dates before the year 2100: readers with calendar types refuse others.
MOMENT_MAX = 4_000_000_000_000
MOMENTS = frozenset({"log_append_time_ms", "retention_time_ms"})
TEXTS = ("", "a", "article-topic", "하나", "🐝 bee", "x" * 130)
STRING_BYTES_MAX = 2**15 - 1
HOSTILE_NUMBERS = (b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\xff\xff\xff")
ERROR_CODES = [int(code) for code in ErrorCode]


def message_classes() -> list[type[Message]]:
    """Every message of `broker.protocol.messages`, by module and in the order of their declaration."""
    found: list[type[Message]] = []
    for name in sorted(module.name for module in pkgutil.iter_modules(package.__path__)):
        module = importlib.import_module(f"{package.__name__}.{name}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Message) and value.__module__ == module.__name__:
                found.append(value)
    return found


def request_classes() -> list[type[Request]]:
    return [cls for cls in message_classes() if issubclass(cls, Request)]


def versions_of(cls: type[Message]) -> range:
    return range(cls.VERSIONS[0], cls.VERSIONS[1] + 1)


def generate(cls: type[Struct], version: int, rng: random.Random, style: str = "plain") -> Any:
    """An instance whose fields of this version have values of the style; the others keep their defaults."""
    made = cls()
    for field in cls.FIELDS:
        if version in field.versions and (style != "defaults" or _must_be_given(field, version)):
            setattr(made, field.name, field_value(field, version, rng, style))
    return made


def field_value(field: Field, version: int, rng: random.Random, style: str) -> Any:
    """A value for the field that this version can carry."""
    if version in field.nullable and (style == "lowest" or (style == "plain" and rng.random() < 0.2)):
        return None
    if field.kind == "array":
        count = {"plain": rng.randint(1, 2), "highest": 3}.get(style, 0)
        return [_value(field.name, field.element, version, rng, style) for _ in range(count)]
    return _value(field.name, field.kind, version, rng, style)


def _must_be_given(field: Field, version: int) -> bool:
    """Whether the default is null in a version that does not allow null."""
    return field.default_value() is None and version not in field.nullable and field.kind != "records"


def _value(name: str, kind: Any, version: int, rng: random.Random, style: str) -> Any:
    if not isinstance(kind, str):
        return generate(kind, version, rng, style)
    if kind in BOUNDS:
        return _number(name, kind, rng, style)
    if kind == "boolean":
        return {"plain": rng.random() < 0.5, "highest": True}.get(style, False)
    if kind == "float64":
        return {"plain": rng.uniform(-1e9, 1e9), "highest": 1.7e308}.get(style, -1.7e308)
    if kind == "uuid":
        number = {"plain": rng.getrandbits(128), "highest": 2**128 - 1}.get(style, 0)
        return uuid.UUID(int=number)
    if kind == "string":
        return {"plain": rng.choice(TEXTS), "highest": "é" * (STRING_BYTES_MAX // 2) + "x"}.get(style, "")
    return {"plain": rng.randbytes(rng.choice((0, 1, 20, 200))), "highest": bytes(70_000)}.get(style, b"")


def _number(name: str, kind: str, rng: random.Random, style: str) -> int:
    low, high = BOUNDS[kind]
    if kind == "int16" and name.endswith("error_code"):
        low, high = -1, max(ERROR_CODES)
        if style == "plain":
            return rng.choice(ERROR_CODES)
    if name in MOMENTS:
        low, high = -1, MOMENT_MAX
    if style in ("lowest", "defaults"):
        return low
    return high if style == "highest" else rng.choice((low, high, max(low, -1), 0, 1, rng.randint(low, high)))


def structs_within(value: Struct, version: int) -> Iterator[Struct]:
    """A message and every struct that is written with it in this version."""
    yield value
    for field in value.FIELDS:
        if version not in field.versions:
            continue
        inner = getattr(value, field.name)
        for item in inner if isinstance(inner, list) else [inner]:
            if isinstance(item, Struct):
                yield from structs_within(item, version)


def body_bytes(message: Message, version: int) -> bytes:
    return b"".join(bytes(part) for part in encode(message, version))


def request_frame(message: Request, version: int, correlation_id: int = 7, client_id: str | None = "sample") -> bytes:
    """What stands after the length of a request: header and body."""
    header = RequestHeader(message.API_KEY, version, correlation_id, client_id)
    return bytes(encode_request_header(header, flexible=message.is_flexible(version))) + body_bytes(message, version)


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Flipped bits, hostile lengths, missing and doubled parts."""
    damaged = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        position = rng.randrange(len(damaged) + 1)
        kind = rng.randrange(4)
        if kind == 0 and position < len(damaged):
            damaged[position] ^= 1 << rng.randrange(8)
        elif kind == 1:
            number = rng.choice(HOSTILE_NUMBERS)
            damaged[position : position + len(number)] = number
        elif kind == 2:
            del damaged[position : position + rng.randint(1, 8)]
        else:
            damaged[position:position] = rng.randbytes(rng.randint(1, 8))
    return bytes(damaged)
