"""Error codes: Kafka's numbers and names, without a gap."""

from broker.protocol.errors import ErrorCode, KafkaError

# A few that clients act upon, so that a shift of the whole list would be seen even without the comparison with kio.
FIXED_POINTS = {
    -1: "UNKNOWN_SERVER_ERROR",
    0: "NONE",
    1: "OFFSET_OUT_OF_RANGE",
    2: "CORRUPT_MESSAGE",
    3: "UNKNOWN_TOPIC_OR_PARTITION",
    6: "NOT_LEADER_OR_FOLLOWER",
    25: "UNKNOWN_MEMBER_ID",
    27: "REBALANCE_IN_PROGRESS",
    35: "UNSUPPORTED_VERSION",
    45: "OUT_OF_ORDER_SEQUENCE_NUMBER",
    56: "KAFKA_STORAGE_ERROR",
    74: "FENCED_LEADER_EPOCH",
    87: "INVALID_RECORD",
    100: "UNKNOWN_TOPIC_ID",
}


def test_codes_are_dense() -> None:
    assert [int(code) for code in ErrorCode] == list(range(-1, len(ErrorCode) - 1))
    assert len(ErrorCode) == 135


def test_fixed_points() -> None:
    assert {number: ErrorCode(number).name for number in FIXED_POINTS} == FIXED_POINTS


def test_an_error_carries_code_and_message() -> None:
    error = KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, "topic name 'a b' is not allowed")
    assert error.code is ErrorCode.INVALID_TOPIC_EXCEPTION
    assert "topic name 'a b' is not allowed" in str(error)
