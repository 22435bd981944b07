"""Whatever is wrong with a record is said by the name of its field."""

import json
from importlib.resources import files
from typing import Any

import pytest
from events.envelope import BadEvent, UnknownType, decode, encode

SAMPLE: dict[str, Any] = json.loads(files("events").joinpath("samples/article.created.v1.json").read_text(encoding="utf-8"))
DATA: dict[str, Any] = SAMPLE["data"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"id": ""}, "id"),
        ({"id": 7}, "id"),
        ({"type": None}, "type"),
        ({"time": "yesterday"}, "time"),
        ({"time": "2026-03-01T00:00:00"}, "time"),
        ({"dataversion": 99}, "dataversion"),
        ({"dataversion": True}, "dataversion"),
        ({"aggregateversion": 0}, "aggregateversion"),
        ({"causationid": 5}, "causationid"),
        ({"data": None}, "data"),
        ({"data": DATA | {"article_id": 5}}, "data.article_id"),
        ({"data": DATA | {"version": 0}}, "data.version"),
        ({"data": DATA | {"unheard": 1}}, "data"),
    ],
)
def test_a_bad_field_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(BadEvent) as caught:
        decode(json.dumps(SAMPLE | change).encode())
    assert caught.value.field == field


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"[]", b'"text"', b"[" * 100_000])
def test_what_is_no_object_is_a_bad_body(value: bytes | None) -> None:
    with pytest.raises(BadEvent) as caught:
        decode(value)
    assert caught.value.field == "body"


def test_an_unknown_type_is_told_apart() -> None:
    with pytest.raises(UnknownType) as caught:
        decode(json.dumps(SAMPLE | {"type": "article.pinned", "data": {}}).encode())
    assert caught.value.type == "article.pinned"


def test_a_publisher_cannot_encode_what_its_schema_forbids() -> None:
    good = decode(json.dumps(SAMPLE).encode())
    good.data["title"] = ""
    with pytest.raises(BadEvent, match=r"data\.title"):
        encode(good)
