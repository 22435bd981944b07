"""Every type and version has a schema and a golden sample that says the same after a round trip; schemas do not change."""

import hashlib
import json
from importlib.resources import files

import pytest
from events import catalog
from events.envelope import decode, encode

KNOWN = [(event_type, version) for event_type, versions in catalog.CATALOG.items() for version in versions]
# A digest that changes is a contract broken: make a new version of the data instead.
DIGESTS = {
    "article.created.v1": "b17278b4b6e63aea",
    "article.deleted.v1": "1a1ff7c3b345d9a5",
    "article.liked.v1": "d97b8daca17d7870",
    "article.unliked.v1": "eb0500970f6bfeaa",
    "article.updated.v1": "4d64f1df89446baf",
    "comment.created.v1": "f741d4dc16d0460d",
    "comment.deleted.v1": "bdc5d1a1f6686211",
}


@pytest.mark.parametrize(("event_type", "version"), KNOWN)
def test_the_sample_survives_a_round_trip(event_type: str, version: int) -> None:
    text = files("events").joinpath(f"samples/{event_type}.v{version}.json").read_text(encoding="utf-8")
    assert json.loads(encode(decode(text.encode()))) == json.loads(text)


@pytest.mark.parametrize(("event_type", "version"), KNOWN)
def test_the_schema_is_what_it_was(event_type: str, version: int) -> None:
    canonical = json.dumps(catalog.schema(event_type, version), sort_keys=True).encode()
    assert hashlib.sha256(canonical).hexdigest()[:16] == DIGESTS[f"{event_type}.v{version}"]


def test_every_schema_and_sample_belongs_to_a_known_type() -> None:
    names = {f"{event_type}.v{version}.json" for event_type, version in KNOWN}
    for folder in ("schemas", "samples"):
        assert {entry.name for entry in files("events").joinpath(folder).iterdir()} == names
