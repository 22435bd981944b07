"""Whatever is wrong with a record is said by the name of its field."""

import json
from datetime import datetime, timedelta, timezone
from importlib.resources import files
from typing import Any

import pytest
from events.envelope import BadEvent, UnknownType, decode, encode, format_time
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.parametrize(
    "change",
    [
        {"created_at": "0Z"},
        {"article_id": "7\n"},
        {"version": 1.0},
        {"content": "a" * 65_537},
        {"title": ""},
    ],
)
def test_bad_data_is_a_bad_event_of_a_known_type(change: dict[str, Any]) -> None:
    with pytest.raises(BadEvent) as caught:
        decode(json.dumps(SAMPLE | {"data": DATA | change}).encode())
    assert caught.value.field == f"data.{next(iter(change))}"


def test_the_subject_is_the_article() -> None:
    with pytest.raises(BadEvent) as caught:
        decode(json.dumps(SAMPLE | {"subject": "8"}).encode())
    assert caught.value.field == "subject"


@pytest.mark.parametrize("missing", ["specversion", "id", "source", "type", "dataversion", "time", "subject", "aggregate"])
def test_a_missing_field_is_named(missing: str) -> None:
    with pytest.raises(BadEvent) as caught:
        decode(json.dumps({name: value for name, value in SAMPLE.items() if name != missing}).encode())
    assert caught.value.field == missing


def test_fields_of_a_later_envelope_are_passed_over() -> None:
    assert decode(json.dumps(SAMPLE | {"traceparent": "00-1-1-01"}).encode()) == decode(json.dumps(SAMPLE).encode())


def test_half_of_a_surrogate_pair_is_a_bad_body() -> None:
    with pytest.raises(BadEvent) as caught:
        decode(json.dumps(SAMPLE | {"data": DATA | {"title": "\ud800"}}).encode())
    assert caught.value.field == "body"


def test_an_error_is_short_however_long_the_value() -> None:
    with pytest.raises(BadEvent) as caught:
        decode(json.dumps(SAMPLE | {"data": DATA | {"title": "a" * 100_000}}).encode())
    assert len(str(caught.value)) <= 300


def test_times_are_in_utc_to_the_millisecond() -> None:
    seoul = datetime(2026, 3, 1, 9, 0, 0, 123_999, tzinfo=timezone(timedelta(hours=9)))
    assert format_time(seoul) == "2026-03-01T00:00:00.123Z"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*SAMPLE, "more"]), JSON), st.dictionaries(st.sampled_from([*DATA, "more"]), JSON))
def test_whatever_comes_it_is_an_event_or_told_apart(fields: dict[str, Any], data: dict[str, Any]) -> None:
    changed = SAMPLE | {"data": DATA | data} | fields
    try:
        found = decode(json.dumps(changed).encode())
    except (BadEvent, UnknownType):
        return
    assert decode(encode(found)) == found


@given(st.binary(max_size=200))
def test_bytes_are_a_bad_body(value: bytes) -> None:
    with pytest.raises(BadEvent):
        decode(value)


@given(st.text(min_size=1, max_size=200).filter(str.strip), st.text(max_size=500))
def test_texts_of_all_kinds_travel(title: str, content: str) -> None:
    event = decode(json.dumps(SAMPLE).encode())
    event.data.update(title=title, content=content)
    assert decode(encode(event)) == event
