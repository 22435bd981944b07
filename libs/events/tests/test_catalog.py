"""The catalog: schemas that are schemas, and that mean what they say."""

import re
from typing import Any

import pytest
from events import article, catalog, comment
from jsonschema import Draft202012Validator

KNOWN = [(event_type, version) for event_type, versions in catalog.CATALOG.items() for version in versions]
LIKED = {"article_id": "7", "user_id": "9", "like_count": 1, "like_version": 1}
DELETED = {"article_id": "7", "board_id": "1", "created_at": "2026-03-01T00:00:00.000Z", "version": 2}


def test_every_type_that_a_service_names_is_in_the_catalog() -> None:
    named = {article.CREATED, article.UPDATED, article.DELETED, article.LIKED, article.UNLIKED, comment.CREATED, comment.DELETED}
    constants = {
        value
        for module in (article, comment)
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str) and re.fullmatch(r"(article|comment)\.[a-z]+", value)
    }
    assert constants == named == set(catalog.CATALOG)


@pytest.mark.parametrize(("event_type", "version"), KNOWN)
def test_the_schema_is_a_closed_object_about_an_article(event_type: str, version: int) -> None:
    schema = catalog.schema(event_type, version)
    Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == set(schema["properties"])
    assert "article_id" in schema["properties"]


@pytest.mark.parametrize(("event_type", "version"), KNOWN)
def test_every_pattern_has_both_anchors(event_type: str, version: int) -> None:
    """The validator matches the whole text, so a pattern without anchors would mean another thing here than elsewhere."""
    patterns = list(_patterns(catalog.schema(event_type, version)))
    assert patterns
    assert all(pattern.startswith("^") and pattern.endswith("$") for pattern in patterns)


def _patterns(schema: Any) -> Any:
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from _patterns(part)


@pytest.mark.parametrize(
    "change",
    [
        {"article_id": "07"},
        {"article_id": "7\n"},
        {"article_id": 7},
        {"article_id": "1" * 20},
        {"like_count": -1},
        {"like_count": 1.0},
        {"like_count": True},
        {"like_count": "1"},
        {"like_version": 0},
    ],
)
def test_what_is_no_like(change: dict[str, Any]) -> None:
    check = catalog.validator(article.LIKED, 1)
    assert check.is_valid(LIKED)
    assert not check.is_valid(LIKED | change)
    assert not check.is_valid({name: value for name, value in LIKED.items() if name not in change})


@pytest.mark.parametrize("time", ["0Z", "2026-13-01T00:00:00Z", "2026-03-01T00:00:00", "2026-03-01T00:00:00+09:00", "", 5])
def test_what_is_no_time(time: Any) -> None:
    check = catalog.validator(article.DELETED, 1)
    assert check.is_valid(DELETED)
    assert not check.is_valid(DELETED | {"created_at": time})
