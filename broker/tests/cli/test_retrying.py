"""Asking again: while it may, as long as it may."""

import pytest
from broker.cli import retrying
from broker.cli.retrying import patiently
from broker.protocol.errors import ErrorCode, KafkaError

PASSING = {ErrorCode.COORDINATOR_NOT_AVAILABLE}


class Answers:
    """Errors in turn, then "done"."""

    def __init__(self, *codes: ErrorCode) -> None:
        self.left = list(codes)
        self.asked = 0

    def __call__(self) -> str:
        self.asked += 1
        if self.left:
            raise KafkaError(self.left.pop(0))
        return "done"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "PAUSE_S", 0.001)


def test_errors_that_pass_are_waited_for() -> None:
    answers = Answers(*[ErrorCode.COORDINATOR_NOT_AVAILABLE] * 3)
    assert patiently(answers, PASSING, 60) == "done"
    assert answers.asked == 4


def test_others_are_final() -> None:
    answers = Answers(ErrorCode.COORDINATOR_NOT_AVAILABLE, ErrorCode.INVALID_GROUP_ID)
    with pytest.raises(KafkaError, match="INVALID_GROUP_ID"):
        patiently(answers, PASSING, 60)
    assert answers.asked == 2


def test_the_last_error_when_the_time_is_over() -> None:
    answers = Answers(*[ErrorCode.COORDINATOR_NOT_AVAILABLE] * 1000)
    with pytest.raises(KafkaError, match="COORDINATOR_NOT_AVAILABLE"):
        patiently(answers, PASSING, 0.01)
    assert 1 <= answers.asked < 1000
