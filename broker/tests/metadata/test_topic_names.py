"""What a topic may be called: Kafka's rules and words."""

import pytest
from broker.metadata.topic_names import INTERNAL, problem


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "x" * 249, "...", "-", "__consumer_offsets"])
def test_good_names(name: str) -> None:
    assert problem(name) is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "Topic name is invalid: the empty string is not allowed"),
        (".", "Topic name is invalid: '.' is not allowed"),
        ("..", "Topic name is invalid: '..' is not allowed"),
        ("x" * 250, f"Topic name is invalid: the length of '{'x' * 250}' is longer than the max allowed length 249"),
        ("a b", "contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"),
        ("게시글", "contains one or more characters other than ASCII"),
        ("a/b", "contains one or more characters"),
        ("a\n", "contains one or more characters"),
    ],
)
def test_bad_names(name: str, said: str) -> None:
    found = problem(name)
    assert found is not None and said in found


def test_internal_topics() -> None:
    assert "__consumer_offsets" in INTERNAL and "__transaction_state" in INTERNAL
