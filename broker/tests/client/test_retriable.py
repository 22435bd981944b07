"""Which errors pass: the sets against what Kafka's clients retry."""

import pytest
from broker.client.retriable import RETRIABLE, STALE_COORDINATOR, STALE_METADATA, error_of
from broker.protocol.errors import ErrorCode
from kafka.errors import kafka_errors

# Of requests that nobody here makes: share groups, and elections on demand.
NOT_ASKED = {
    ErrorCode.SHARE_SESSION_NOT_FOUND,
    ErrorCode.INVALID_SHARE_SESSION_EPOCH,
    ErrorCode.ELECTION_NOT_NEEDED,
    ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE,
    ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE,
}


def test_what_kafka_python_retries_is_retried() -> None:
    theirs = {ErrorCode(code) for code, error in kafka_errors.items() if error.retriable and code in list(ErrorCode)}
    assert theirs - RETRIABLE == NOT_ASKED
    # CorruptRecordException is retriable in Kafka's own client.
    assert RETRIABLE - theirs == {ErrorCode.CORRUPT_MESSAGE}


@pytest.mark.parametrize(
    "code",
    [
        ErrorCode.MESSAGE_TOO_LARGE,
        ErrorCode.INVALID_REQUEST,
        ErrorCode.TOPIC_ALREADY_EXISTS,
        ErrorCode.GROUP_ID_NOT_FOUND,
        ErrorCode.UNKNOWN_MEMBER_ID,
        ErrorCode.OFFSET_OUT_OF_RANGE,
    ],
)
def test_refusals_are_final(code: ErrorCode) -> None:
    assert code not in RETRIABLE


def test_the_parts() -> None:
    assert STALE_METADATA | STALE_COORDINATOR < RETRIABLE
    assert not STALE_METADATA & STALE_COORDINATOR


def test_a_number_of_a_later_release() -> None:
    assert error_of(3) is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert error_of(30_000) is ErrorCode.UNKNOWN_SERVER_ERROR
