"""Pages: sizes within bounds, cursors that nobody can read and everybody can give back."""

import pytest
from django.http import QueryDict
from hypothesis import given
from hypothesis import strategies as st
from servicekit.pagination import PAGE_SIZE_MAX, decode_cursor, encode_cursor, listed, page, page_size
from servicekit.problems import BadInput


def query(**values: str) -> QueryDict:
    made = QueryDict(mutable=True)
    made.update(values)
    return made


@pytest.mark.parametrize(("given_size", "size"), [("1", 1), ("20", 20), ("100", 100), ("007", 7)])
def test_a_size_within_the_bounds(given_size: str, size: int) -> None:
    assert page_size(query(page_size=given_size)) == size


def test_a_size_that_is_left_out() -> None:
    assert page_size(query()) == 20


@pytest.mark.parametrize("given_size", ["", "0", "-1", "101", "1.5", "ten", "٣", "9" * 5000, " 5"])
def test_a_size_out_of_bounds_is_named(given_size: str) -> None:
    with pytest.raises(BadInput) as caught:
        page_size(query(page_size=given_size))
    assert caught.value.field == "page_size"
    assert str(PAGE_SIZE_MAX) in caught.value.problem


@given(st.text(st.characters(codec="ascii"), min_size=1))
def test_a_cursor_comes_back_as_it_was(position: str) -> None:
    cursor = encode_cursor(position)
    assert decode_cursor(query(cursor=cursor)) == position
    assert all(character.isalnum() or character in "-_" for character in cursor)


@pytest.mark.parametrize("cursor", ["?", "a", "====", "가", "Zg$$", "\x00", encode_cursor("x")[:-1] + "ÿ"])
def test_what_is_no_cursor_is_named(cursor: str) -> None:
    with pytest.raises(BadInput) as caught:
        decode_cursor(query(cursor=cursor))
    assert caught.value.field == "cursor"


def test_without_a_cursor_it_is_the_first_page() -> None:
    assert decode_cursor(query()) is None
    assert decode_cursor(query(cursor="")) is None


def test_the_next_cursor_names_the_last_item_and_ends_with_the_items() -> None:
    assert page([9, 8, 7], 2, str) == ([9, 8], encode_cursor("8"))
    assert page([9, 8], 2, str) == ([9, 8], None)
    assert page([], 2, str) == ([], None)


def test_a_list_has_one_shape() -> None:
    assert listed([1], None) == {"items": [1], "next_cursor": None}
