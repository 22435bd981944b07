"""Lines into records, as the LineMessageReader of Kafka's console producer reads them: pure, on bytes.

`h1:v1,h2:v2<TAB>key<TAB>value` with parse.headers and parse.key; the separators are properties.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from broker.cli.failures import Failure, UsageError
from broker.cli.options import flag
from broker.record.records import Header

SEPARATORS = {"key.separator": "\t", "headers.delimiter": "\t", "headers.separator": ",", "headers.key.separator": ":"}
FLAGS = ("parse.key", "parse.headers", "ignore.error")
NULL_MARKER = "null.marker"
# Pairs of separators that could not be told apart.
DIFFERENT = (
    ("headers.delimiter", "headers.separator"),
    ("headers.delimiter", "headers.key.separator"),
    ("headers.separator", "headers.key.separator"),
    *((NULL_MARKER, name) for name in SEPARATORS),
)


class BadLine(Failure):
    """A line without a separator that it must have."""


class ParsedLine(NamedTuple):
    """What one line becomes; None is null."""

    key: bytes | None
    value: bytes | None
    headers: list[Header]


class LineReader:
    """See the module. UsageError when the properties are not known or contradict each other."""

    def __init__(self, properties: Mapping[str, str]) -> None:
        unknown = sorted(set(properties) - {*SEPARATORS, *FLAGS, NULL_MARKER})
        if unknown:
            known = ", ".join(sorted({*SEPARATORS, *FLAGS, NULL_MARKER}))
            raise UsageError(f"the reader property {', '.join(unknown)} is not supported; supported are {known}")
        texts = SEPARATORS | {name: value for name, value in properties.items() if name in SEPARATORS}
        marker = properties.get(NULL_MARKER)
        for one, other in DIFFERENT:
            if {**texts, NULL_MARKER: marker}[one] == texts[other]:
                raise UsageError(f"{one} and {other} may not be equal")
        if "" in texts.values():
            raise UsageError(f"{next(name for name, text in texts.items() if not text)} may not be empty")
        self._parse_key, self._parse_headers, self._ignore_error = (flag(properties, name, False) for name in FLAGS)
        self._key_separator = texts["key.separator"].encode()
        self._headers_delimiter = texts["headers.delimiter"].encode()
        self._headers_key_separator = texts["headers.key.separator"].encode()
        self._null = None if marker is None else marker.encode()
        try:
            self._headers_separator = re.compile(texts["headers.separator"].encode())
        except re.error as error:
            raise UsageError(f"headers.separator={texts['headers.separator']} is no regular expression: {error}") from None
        self._number = 0

    def parse(self, line: bytes) -> ParsedLine:
        """One line, without its end. BadLine names its number."""
        self._number += 1
        headers, rest = None, line
        if self._parse_headers:
            headers, rest = self._cut(line, line, self._headers_delimiter, "headers delimiter")
        key, value = None, rest
        if self._parse_key:
            key, value = self._cut(line, rest, self._key_separator, "key separator")
        return ParsedLine(
            self._or_null(key),
            self._or_null(value),
            [] if headers is None or headers == self._null else self._headers(headers),
        )

    def _or_null(self, part: bytes | None) -> bytes | None:
        return None if part == self._null else part

    def _cut(self, line: bytes, rest: bytes, separator: bytes, name: str) -> tuple[bytes | None, bytes]:
        before, found, after = rest.partition(separator)
        if found:
            return before, after
        if not self._ignore_error:
            raise BadLine(f"No {name} found on line number {self._number}: '{line.decode(errors='replace')}'")
        return None, rest

    def _headers(self, text: bytes) -> list[Header]:
        pairs = self._headers_separator.split(text)
        while len(pairs) > 1 and not pairs[-1]:
            pairs.pop()
        return [self._header(pair) for pair in pairs]

    def _header(self, pair: bytes) -> Header:
        key, found, value = pair.partition(self._headers_key_separator)
        shown = pair.decode(errors="replace")
        if not found:
            if not self._ignore_error:
                raise BadLine(f"No header key separator found in pair '{shown}' on line number {self._number}")
            return shown, None
        if key == self._null:
            raise BadLine(
                f"the header key in pair '{shown}' on line number {self._number} is the null marker: keys cannot be null"
            )
        return key.decode(errors="replace"), self._or_null(value)
