"""Version ranges, and Kafka's spelling of uuids."""

import uuid

import pytest
from broker.protocol.types import ZERO_UUID, Versions, uuid_from_base64, uuid_to_base64
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [("0+", [0, 5, 32767], []), ("3-13", [3, 13], [2, 14]), ("1", [1], [0, 2]), ("9+", [9, 10], [8]), ("none", [], [0, 1])],
)
def test_ranges(text: str, inside: list[int], outside: list[int]) -> None:
    versions = Versions(text)
    assert all(version in versions for version in inside)
    assert not any(version in versions for version in outside)


@given(st.uuids())
def test_uuids_come_back(value: uuid.UUID) -> None:
    text = uuid_to_base64(value)
    assert len(text) == 22
    assert uuid_from_base64(text) == value


def test_kafkas_spelling() -> None:
    assert uuid_to_base64(ZERO_UUID) == "AAAAAAAAAAAAAAAAAAAAAA"
    assert uuid_to_base64(uuid.UUID(int=2**128 - 1)) == "_____________________w"
    assert uuid_from_base64("-_________________-_AA").bytes[0] == 0xFB


@pytest.mark.parametrize("text", ["", "AAAA", "AAAAAAAAAAAAAAAAAAAAA!", "AAAAAAAAAAAAAAAAAAAAAAAA", "é" * 22])
def test_what_is_no_uuid(text: str) -> None:
    with pytest.raises(ValueError, match=r"uuid|base64|ASCII|padding|character|alphabet"):
        uuid_from_base64(text)
