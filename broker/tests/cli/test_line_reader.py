"""Lines into records: separators, nulls, headers, and what is wrong with a line."""

import pytest
from broker.cli.failures import UsageError
from broker.cli.line_reader import BadLine, LineReader, ParsedLine


def parse(line: bytes, **properties: str) -> ParsedLine:
    return LineReader({name.replace("_", "."): value for name, value in properties.items()}).parse(line)


def test_a_line_is_a_value() -> None:
    assert parse(b"a\tb") == (None, b"a\tb", [])
    assert parse(b"") == (None, b"", [])
    assert parse(b"\xff not utf-8") == (None, b"\xff not utf-8", [])


@pytest.mark.parametrize(
    ("line", "separator", "expected"),
    [
        (b"k\tv", "\t", (b"k", b"v")),
        (b"k:v:w", ":", (b"k", b"v:w")),
        (b":v", ":", (b"", b"v")),
        (b"k:", ":", (b"k", b"")),
        ("열쇠→값".encode(), "→", ("열쇠".encode(), "값".encode())),
    ],
)
def test_keys(line: bytes, separator: str, expected: tuple[bytes, bytes]) -> None:
    assert parse(line, parse_key="true", key_separator=separator)[:2] == expected


def test_headers() -> None:
    assert parse(b"a:1,b:2\tv", parse_headers="true") == (None, b"v", [("a", b"1"), ("b", b"2")])
    both = parse(b"a:x:y\tk\tv", parse_headers="true", parse_key="TRUE")
    assert both == (b"k", b"v", [("a", b"x:y")])
    own = {"headers.separator": "[;|]", "headers.delimiter": "=>", "headers.key.separator": "="}
    assert LineReader({"parse.headers": "true", **own}).parse(b"a=1;b=2|c==>v").headers == [("a", b"1"), ("b", b"2"), ("c", b"")]
    # As Java splits: nothing after the last separator is no header.
    assert parse(b"a:1,,\tv", parse_headers="true", ignore_error="true").headers == [("a", b"1")]


def test_the_null_marker() -> None:
    every = {"parse_headers": "true", "parse_key": "true", "null_marker": "NULL"}
    assert parse(b"h:NULL\tNULL\tNULL", **every) == (None, None, [("h", None)])
    assert parse(b"NULL\tk\tv", **every) == (b"k", b"v", [])
    assert parse(b"NULL", null_marker="NULL") == (None, None, [])
    with pytest.raises(BadLine, match="null marker"):
        parse(b"NULL:v\tk\tv", **every)


def test_a_line_without_its_separator_is_named() -> None:
    reader = LineReader({"parse.key": "true"})
    reader.parse(b"k\tv")
    with pytest.raises(BadLine, match="No key separator found on line number 2: 'bad'"):
        reader.parse(b"bad")
    with pytest.raises(BadLine, match="No headers delimiter found on line number 1"):
        parse(b"bad", parse_headers="true")
    with pytest.raises(BadLine, match="No header key separator found in pair 'b' on line number 1"):
        parse(b"a:1,b\tv", parse_headers="true")


def test_errors_may_be_ignored() -> None:
    ignoring = {"ignore_error": "true", "parse_key": "true", "parse_headers": "true"}
    assert parse(b"only a value", **ignoring) == (None, b"only a value", [])
    assert parse(b"h\tk\tv", **ignoring) == (b"k", b"v", [("h", None)])


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ({"parse.kee": "true"}, "parse.kee is not supported"),
        ({"parse.key": "yes"}, "parse.key=yes is neither true nor false"),
        ({"headers.delimiter": ","}, "headers.delimiter and headers.separator may not be equal"),
        ({"headers.delimiter": ":"}, "headers.delimiter and headers.key.separator may not be equal"),
        ({"headers.separator": ":"}, "headers.separator and headers.key.separator may not be equal"),
        ({"null.marker": "\t"}, "null.marker and key.separator may not be equal"),
        ({"key.separator": ""}, "key.separator may not be empty"),
        ({"headers.separator": "("}, "is no regular expression"),
    ],
)
def test_bad_properties(properties: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        LineReader(properties)
