"""Request and response headers, against kio and against damage."""

import io
import random

import pytest
from broker.protocol.api_keys import ApiKey
from broker.protocol.compiler import MalformedMessage
from broker.protocol.headers import (
    RequestHeader,
    decode_request_header,
    encode_request_header,
    encode_response_header,
    peek_api,
    response_header_size,
)

HEADERS = [
    RequestHeader(0, 0, 0, None),
    RequestHeader(18, 3, -1, ""),
    RequestHeader(1, 13, 2**31 - 1, "consumer-1"),
    RequestHeader(75, 32767, -(2**31), "독자" * 50),
]


@pytest.mark.parametrize("header", HEADERS, ids=str)
@pytest.mark.parametrize("flexible", [False, True])
def test_a_request_header_is_kios(header: RequestHeader, flexible: bool) -> None:
    from kio.schema.request_header import v1, v2
    from kio.serial import entity_reader, entity_writer

    theirs = v2.RequestHeader if flexible else v1.RequestHeader
    data = bytes(encode_request_header(header, flexible=flexible))
    value, end = entity_reader(theirs)(data, 0)
    assert end == len(data)
    assert (value.request_api_key, value.request_api_version, value.correlation_id, value.client_id) == header
    written = io.BytesIO()
    entity_writer(theirs)(written, value)
    assert written.getvalue() == data
    flexible_from = 0 if flexible else None
    assert decode_request_header(memoryview(data + b"body"), flexible_from) == (header, len(data))


@pytest.mark.parametrize("flexible", [False, True])
def test_a_response_header_is_kios(flexible: bool) -> None:
    from kio.schema.response_header import v0, v1
    from kio.serial import entity_writer

    theirs = v1.ResponseHeader if flexible else v0.ResponseHeader
    written = io.BytesIO()
    entity_writer(theirs)(written, theirs(correlation_id=77))
    assert encode_response_header(77, ApiKey.FETCH, flexible=flexible) == written.getvalue()
    assert response_header_size(ApiKey.FETCH, flexible=flexible) == len(written.getvalue())


def test_the_answer_of_api_versions_has_the_old_header_always() -> None:
    """A client that asks for it does not know yet what the broker speaks (KIP-511)."""
    assert encode_response_header(5, ApiKey.API_VERSIONS, flexible=True) == b"\0\0\0\5"
    assert response_header_size(ApiKey.API_VERSIONS, flexible=True) == 4


def test_the_first_flexible_version_decides() -> None:
    header = RequestHeader(ApiKey.PRODUCE, 9, 1, "x")
    data = bytes(encode_request_header(header, flexible=True))
    assert decode_request_header(data, 9) == (header, len(data))
    assert decode_request_header(data, 10) == (header, len(data) - 1)
    assert decode_request_header(data, None) == (header, len(data) - 1)


def test_unknown_tagged_fields_are_skipped() -> None:
    data = bytes(encode_request_header(RequestHeader(18, 3, 1, "x"), flexible=True))
    extended = data[:-1] + b"\x02\x00\x03abc\x07\x00"
    assert decode_request_header(extended, 3)[1] == len(extended)


@pytest.mark.parametrize("header", HEADERS, ids=str)
def test_a_header_that_ends_early_is_malformed(header: RequestHeader) -> None:
    data = bytes(encode_request_header(header, flexible=True))
    for end in range(len(data)):
        with pytest.raises(MalformedMessage, match="RequestHeader"):
            decode_request_header(memoryview(data)[:end], 0)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\0\x12\0\0\0\0\0\1\xff\xfe", "RequestHeader.client_id: its length -2 is negative"),
        (b"\0\x12\0\0\0\0\0\1\x7f\xffabc", "RequestHeader.client_id: its length 32767 is more than the bytes left"),
        (b"\0\x12\0\0\0\0\0\1\0\1\xff", "RequestHeader.client_id: it is not UTF-8"),
        (b"\0\x12\0\3\0\0\0\1\xff\xff\xff\xff\xff\xff\x0f", "RequestHeader: more tagged fields than bytes"),
        (b"\0\x12\0\3\0\0\0\1\xff\xff\x01\x00\x7f", "RequestHeader: a tagged field is longer than the frame"),
        (b"\0\x12\0\3\0\0\0\1\xff\xff\xff\xff\xff\xff\xff\xff", "RequestHeader: a variable-length number is longer than 32 bits"),
    ],
)
def test_a_bad_header_says_what_is_wrong(data: bytes, said: str) -> None:
    with pytest.raises(MalformedMessage, match=said):
        decode_request_header(data, 3)


def test_noise_is_a_header_or_malformed() -> None:
    rng = random.Random(3)
    for _ in range(5000):
        data = rng.randbytes(rng.randrange(40))
        try:
            _, end = decode_request_header(memoryview(data), rng.choice([None, 0]))
        except MalformedMessage:
            continue
        assert end <= len(data)


def test_peeking() -> None:
    data = bytes(encode_request_header(RequestHeader(3, 12, 99, "x"), flexible=True))
    assert peek_api(data) == (3, 12, 99)
    assert peek_api(data[:8]) == (3, 12, 99)
    with pytest.raises(MalformedMessage, match="the frame has 7 bytes"):
        peek_api(data[:7])
