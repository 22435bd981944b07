"""`decode` and `encode`: a message of a version from and to bytes.

The functions for a (class, version) are compiled from its declaration on first use (`compiler`) and kept. Reading is
bounds-checked: a length is compared with the bytes that are left before anything is allocated, and a message holds at most
`ELEMENTS_MAX` array elements, however cleverly they are nested. Whatever the bytes are, nothing but `MalformedMessage`
comes out of `decode`. Unknown tagged fields are skipped.
"""

import struct
from collections.abc import Callable
from typing import Any, TypeVar

from broker.protocol import compiler
from broker.protocol.compiler import ELEMENTS_MAX, MalformedMessage, UnsupportedField
from broker.protocol.message import Message, Struct
from broker.protocol.types import Buffer

__all__ = ["ELEMENTS_MAX", "MalformedMessage", "UnsupportedField", "decode", "decode_prefix", "encode", "encoded_size"]

M = TypeVar("M", bound=Message)
Decoder = Callable[[Buffer, int, int], tuple[Any, int]]
Encoder = Callable[[Any, list[Any]], None]

_decoders: dict[tuple[type[Struct], int], Decoder] = {}
_encoders: dict[tuple[type[Struct], int], Encoder] = {}


def decode_prefix(cls: type[M], version: int, buffer: Buffer, offset: int = 0) -> tuple[M, int]:
    """The message that starts at `offset`, and where it ends. Raises MalformedMessage, which names the field."""
    decoder = _decoders.get((cls, version))
    if decoder is None:
        decoder = _decoders[cls, version] = compiler.compile_decoder(cls, version)
    compiler.elements_left[0] = ELEMENTS_MAX
    try:
        message, end = decoder(buffer, offset, len(buffer))
    except compiler.LongNumber as error:
        raise MalformedMessage(f"{compiler.field_of(error) or cls.__name__}: {error}") from error
    except MalformedMessage:
        raise
    except (IndexError, struct.error, UnicodeDecodeError, OverflowError, ValueError) as error:
        raise MalformedMessage(f"{compiler.field_of(error) or cls.__name__} version {version}: {_reason(error)}") from error
    return message, end


def decode(cls: type[M], version: int, buffer: Buffer, offset: int = 0) -> M:
    """The message that fills `buffer` from `offset` to its end."""
    message, end = decode_prefix(cls, version, buffer, offset)
    if end != len(buffer):
        raise MalformedMessage(f"{cls.__name__} version {version}: {len(buffer) - end} bytes are left over at its end")
    return message


def encode(message: Message, version: int) -> list[Buffer]:
    """The message as buffers to write one after another; `records` are passed on, not copied.

    Raises UnsupportedField when a field is set that this version lacks and that must not be dropped.
    """
    cls = type(message)
    encoder = _encoders.get((cls, version))
    if encoder is None:
        encoder = _encoders[cls, version] = compiler.compile_encoder(cls, version)
    parts: list[Any] = [bytearray()]
    try:
        encoder(message, parts)
    except (struct.error, TypeError, AttributeError, UnicodeEncodeError) as error:
        raise UnsupportedField(
            f"{compiler.field_of(error) or cls.__name__} version {version} cannot be written: {error}"
        ) from error
    return parts


def encoded_size(buffers: list[Buffer]) -> int:
    """Bytes in all buffers together."""
    return sum(len(buffer) for buffer in buffers)


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "a string is not UTF-8"
    return "the message ends in the middle of it"
