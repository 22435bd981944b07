"""Produce requests that wait for the high watermark: answered once, in the order of offsets, and not later than they want."""

from broker.protocol.errors import ErrorCode
from broker.replication.waiting import ProduceWaiters

NONE, LATE, GONE = ErrorCode.NONE, ErrorCode.REQUEST_TIMED_OUT, ErrorCode.NOT_LEADER_OR_FOLLOWER


class Told:
    """Three requests that wait at 2, 4 and 4, until 10, 30 and 20."""

    def __init__(self) -> None:
        self.waiters = ProduceWaiters()
        self.heard: list[tuple[str, ErrorCode]] = []
        for name, end_offset, deadline_ms in (("a", 2, 10), ("b", 4, 30), ("c", 4, 20)):
            self.add(name, end_offset, deadline_ms)

    def add(self, name: str, end_offset: int, deadline_ms: int) -> None:
        self.waiters.add(end_offset, deadline_ms, lambda code: self.heard.append((name, code)))


def test_those_below_the_high_watermark_are_answered_in_order() -> None:
    told = Told()
    told.waiters.advance(1, NONE)
    assert told.heard == []
    told.waiters.advance(2, NONE)
    assert told.heard == [("a", NONE)]
    told.waiters.advance(9, NONE)
    assert told.heard == [("a", NONE), ("b", NONE), ("c", NONE)]
    assert len(told.waiters) == 0


def test_those_whose_time_is_over() -> None:
    told = Told()
    told.waiters.expire(9)
    assert told.heard == []
    told.waiters.expire(20)
    assert told.heard == [("a", LATE), ("c", LATE)]
    told.waiters.advance(4, NONE)
    assert told.heard[2:] == [("b", NONE)]


def test_a_failure_is_told_to_all_once() -> None:
    told = Told()
    told.waiters.fail(GONE)
    told.waiters.fail(GONE)
    assert told.heard == [("a", GONE), ("b", GONE), ("c", GONE)]


def test_an_answer_may_lead_to_the_next_request() -> None:
    """The next produce of a connection runs when the one before it is answered."""
    told = Told()
    told.waiters.add(4, 99, lambda code: told.add("next", 6, 99))
    told.waiters.advance(4, NONE)
    assert [name for name, _ in told.heard] == ["a", "b", "c"]
    assert len(told.waiters) == 1
    told.waiters.add(6, 5, lambda code: told.add("last", 8, 1))
    told.waiters.expire(50)
    assert len(told.waiters) == 2, "what came meanwhile waits for the next look"
    told.waiters.add(8, 99, lambda code: told.add("after", 8, 99))
    told.waiters.fail(GONE)
    assert [name for name, _ in told.heard] == ["a", "b", "c", "next", "last"]
    assert len(told.waiters) == 1
