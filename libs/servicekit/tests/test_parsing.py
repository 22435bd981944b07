"""Bodies: JSON in UTF-8, each name once."""

import io
from typing import Any

import pytest
from rest_framework.exceptions import ParseError
from servicekit.parsing import StrictJsonParser
from servicekit.problems import BadInput


def parse(body: bytes) -> Any:
    return StrictJsonParser().parse(io.BytesIO(body))


def test_json_is_taken() -> None:
    assert parse('{"제목": ["a", {"b": 1}, {"b": 2}], "c": null}'.encode()) == {"제목": ["a", {"b": 1}, {"b": 2}], "c": None}


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1,]", b"NaN", b"[Infinity]", b"\xff", '{"a": 1}'.encode("utf-16"), b"\xef\xbb\xbf{}"]
)
def test_what_is_no_json_in_utf8(body: bytes) -> None:
    with pytest.raises(ParseError, match="it is no JSON in UTF-8"):
        parse(body)


@pytest.mark.parametrize("body", [b'{"a": 1, "a": 1}', b'{"x": {"a": 1, "b": 2, "a": 3}}', b'{"a": 1, "\\u0061": 2}'])
def test_a_name_that_stands_twice_is_named(body: bytes) -> None:
    with pytest.raises(BadInput) as caught:
        parse(body)
    assert caught.value.field == "a"
