"""Request and response headers.

A request header carries a client id in the old string form in every version; version 2 (flexible) adds tagged fields.
ApiVersions answers with response header 0 always, since the client does not know yet what the broker speaks (KIP-511).
"""

import struct
from typing import NamedTuple

from broker.protocol.api_keys import ApiKey
from broker.protocol.compiler import LongNumber, MalformedMessage, read_uvarint, write_uvarint
from broker.protocol.types import Buffer

_FIXED = struct.Struct(">hhih")
_PREFIX = struct.Struct(">hhi")
_CORRELATION = struct.Struct(">i")


class RequestHeader(NamedTuple):
    """What stands before every request."""

    api_key: int
    api_version: int
    correlation_id: int
    client_id: str | None


def decode_request_header(frame: Buffer, flexible_from: int | None) -> tuple[RequestHeader, int]:
    """The header and where the body begins. `flexible_from`: the API's first flexible version, None when it has none.

    Raises MalformedMessage.
    """
    try:
        api_key, api_version, correlation_id, length = _FIXED.unpack_from(frame)
        position = _FIXED.size
        client_id = None
        if length >= 0:
            if length > len(frame) - position:
                raise MalformedMessage(f"RequestHeader.client_id: its length {length} is more than the bytes left")
            client_id = str(frame[position : position + length], "utf-8")
            position += length
        elif length != -1:
            raise MalformedMessage(f"RequestHeader.client_id: its length {length} is negative")
        if flexible_from is not None and api_version >= flexible_from:
            position = _skip_tagged(frame, position)
    except LongNumber as error:
        raise MalformedMessage(f"RequestHeader: {error}") from error
    except (struct.error, IndexError) as error:
        raise MalformedMessage("RequestHeader: the frame ends in the middle of it") from error
    except UnicodeDecodeError as error:
        raise MalformedMessage("RequestHeader.client_id: it is not UTF-8") from error
    return RequestHeader(api_key, api_version, correlation_id, client_id), position


def peek_api(frame: Buffer) -> tuple[int, int, int]:
    """API key, version and correlation id of a frame; MalformedMessage when it is too short for them."""
    if len(frame) < _PREFIX.size:
        raise MalformedMessage(f"RequestHeader: the frame has {len(frame)} bytes, at least {_FIXED.size} are needed")
    key, version, correlation_id = _PREFIX.unpack_from(frame)
    return key, version, correlation_id


def _skip_tagged(frame: Buffer, position: int) -> int:
    count, position = read_uvarint(frame, position)
    if count > len(frame) - position:
        raise MalformedMessage("RequestHeader: more tagged fields than bytes")
    for _ in range(count):
        _, position = read_uvarint(frame, position)
        size, position = read_uvarint(frame, position)
        if size > len(frame) - position:
            raise MalformedMessage("RequestHeader: a tagged field is longer than the frame")
        position += size
    return position


def encode_request_header(header: RequestHeader, *, flexible: bool) -> bytearray:
    """For clients: the header of a request."""
    client_id = header.client_id.encode() if header.client_id is not None else b""
    length = len(client_id) if header.client_id is not None else -1
    out = bytearray(_FIXED.pack(header.api_key, header.api_version, header.correlation_id, length))
    out += client_id
    if flexible:
        write_uvarint(out, 0)
    return out


def encode_response_header(correlation_id: int, api_key: int, *, flexible: bool) -> bytes:
    """Version 1 (with tagged fields, of which there are none) for flexible responses, version 0 otherwise."""
    header = _CORRELATION.pack(correlation_id)
    return header + b"\0" if flexible and api_key != ApiKey.API_VERSIONS else header


def response_header_size(api_key: int, *, flexible: bool) -> int:
    """For clients: how many bytes stand before the body, as long as the broker sends no tagged fields there."""
    return _CORRELATION.size + (1 if flexible and api_key != ApiKey.API_VERSIONS else 0)
