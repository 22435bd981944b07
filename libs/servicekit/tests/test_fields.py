"""Ids: 64 bits inside, texts outside."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ValidationError
from servicekit.fields import ID_MAX, IdConverter, IdField, parse_id


@given(st.integers(1, ID_MAX))
def test_an_id_comes_back_as_it_was(found: int) -> None:
    assert IdField().to_internal_value(IdField().to_representation(found)) == found
    assert parse_id(found) == found
    assert IdConverter().to_python(str(found)) == found


@given(st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.lists(st.integers()), st.binary()))
def test_whatever_comes_it_is_an_id_or_refused(value: Any) -> None:
    found = parse_id(value)
    assert found is None or (1 <= found <= ID_MAX and str(value).lstrip("0") == str(found))


@pytest.mark.parametrize(
    "value", ["", "0", "-1", "+1", " 1", "1 ", "1_0", "1e3", "٣", str(ID_MAX + 1), ID_MAX + 1, 0, -1, 1.0, True, None]
)
def test_what_is_no_id(value: Any) -> None:
    assert parse_id(value) is None
    with pytest.raises(ValidationError, match="a whole number from 1 to 9223372036854775807"):
        IdField().to_internal_value(value)


@pytest.mark.parametrize("value", ["0", "00", str(ID_MAX + 1)])
def test_a_path_with_what_is_no_id_does_not_match(value: str) -> None:
    with pytest.raises(ValueError, match="is no id"):
        IdConverter().to_python(value)
