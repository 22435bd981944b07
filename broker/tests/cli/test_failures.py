"""Refusals in words."""

import pytest
from broker.cli.failures import MEANINGS, check, meaning
from broker.protocol.errors import ErrorCode, KafkaError


def test_no_error_is_no_failure() -> None:
    check(0, "anything")


def test_the_brokers_words_come_first_then_ours_then_the_name() -> None:
    assert meaning(ErrorCode.NON_EMPTY_GROUP, "somebody is in it") == "somebody is in it"
    assert meaning(ErrorCode.NON_EMPTY_GROUP) == "The group is not empty."
    assert meaning(ErrorCode.STALE_BROKER_EPOCH) == "STALE_BROKER_EPOCH"
    assert meaning(30_000) == "UNKNOWN_SERVER_ERROR"


def test_the_thing_is_named() -> None:
    with pytest.raises(KafkaError) as raised:
        check(ErrorCode.GROUP_ID_NOT_FOUND, "group 'g'")
    assert raised.value.code is ErrorCode.GROUP_ID_NOT_FOUND
    assert raised.value.message == "group 'g': The group id does not exist."


def test_meanings_are_sentences() -> None:
    assert all(text.endswith((".", ").")) and text[0].isupper() for text in MEANINGS.values())
