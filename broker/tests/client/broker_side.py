"""The other end of an exchange, in memory: reads request frames and makes answer frames."""

import importlib
import pkgutil
from collections.abc import Iterable
from typing import NamedTuple

import broker.protocol.messages as package
from broker.protocol import codec
from broker.protocol.errors import ErrorCode
from broker.protocol.headers import RequestHeader, decode_request_header, encode_response_header
from broker.protocol.message import Request, Response
from broker.protocol.messages.api_versions import ApiVersion, ApiVersionsRequest, ApiVersionsResponse
from broker.protocol.types import Buffer


class Received(NamedTuple):
    """A request as the broker got it."""

    header: RequestHeader
    request: Request


def request_classes() -> dict[int, type[Request]]:
    """API key -> request."""
    found: dict[int, type[Request]] = {}
    for module in pkgutil.iter_modules(package.__path__):
        for value in vars(importlib.import_module(f"{package.__name__}.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, Request) and value is not Request:
                found[value.API_KEY] = value
    return found


REQUESTS = request_classes()


def read_requests(data: bytes) -> list[Received]:
    """Every request in the bytes, which must end with a whole one."""
    found = []
    while data:
        length = int.from_bytes(data[:4], "big")
        frame, data = data[4 : 4 + length], data[4 + length :]
        assert len(frame) == length
        cls = REQUESTS[int.from_bytes(frame[:2], "big")]
        header, start = decode_request_header(frame, cls.FLEXIBLE_FROM)
        found.append(Received(header, codec.decode(cls, header.api_version, frame, start)))
    return found


def joined(output: Iterable[Buffer]) -> bytes:
    return b"".join(bytes(part) for part in output)


def frame(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


def answer(received: Received, response: Response) -> bytes:
    """The frame of an answer to a request, in its version."""
    version = received.header.api_version
    header = encode_response_header(
        received.header.correlation_id, received.header.api_key, flexible=type(response).is_flexible(version)
    )
    return frame(header + joined(codec.encode(response, version)))


def versions(**ranges: tuple[int, int]) -> ApiVersionsResponse:
    """Everything we know, but for the APIs that are named: `Metadata=(0, 5)`; (0, -1) leaves one out."""
    keys = []
    for key, cls in sorted(REQUESTS.items()):
        low, high = ranges.get(cls.__name__.removesuffix("Request"), cls.VERSIONS)
        if high >= low:
            keys.append(ApiVersion(api_key=key, min_version=low, max_version=high))
    return ApiVersionsResponse(api_keys=keys)


def refusal_of_version(received: Received, newest: int) -> bytes:
    """What a broker says that does not know the version of ApiVersions: an error in version 0, with what it knows."""
    response = ApiVersionsResponse(
        error_code=ErrorCode.UNSUPPORTED_VERSION,
        api_keys=[ApiVersion(api_key=ApiVersionsRequest.API_KEY, min_version=0, max_version=newest)],
    )
    header = received.header.correlation_id.to_bytes(4, "big")
    return frame(header + joined(codec.encode(response, 0)))
