"""Which brokers are alive: heard by this controller, given time by it, or silent for a whole session."""

from broker.controller.sessions import BrokerSessions
from broker.metadata.image import BrokerImage, MetadataImage
from broker.protocol.types import UUID

TIMEOUT_MS = 9000


def broker(broker_id: int, epoch: int = 5, **settings: bool) -> BrokerImage:
    return BrokerImage(broker_id, epoch, UUID(int=1), (), **({"fenced": False} | settings))


def test_who_registered_or_is_heard_has_a_session() -> None:
    sessions = BrokerSessions(TIMEOUT_MS)
    assert not sessions.is_valid(1, 5, 0)
    sessions.open(1, 5, 0)
    assert sessions.is_valid(1, 5, TIMEOUT_MS - 1)
    assert not sessions.is_valid(1, 5, TIMEOUT_MS)
    assert not sessions.is_valid(1, 4, 0), "another life"
    sessions.touch(1, 5, 7, 4000)
    assert sessions.is_valid(1, 5, TIMEOUT_MS + 3999)


def test_the_silent_ones_by_id() -> None:
    sessions = BrokerSessions(TIMEOUT_MS)
    assert sessions.next_deadline() is None
    for broker_id, now_ms in ((3, 0), (1, 1), (2, 500)):
        sessions.open(broker_id, 5, now_ms)
    assert sessions.next_deadline() == TIMEOUT_MS
    assert sessions.expired(TIMEOUT_MS - 1) == []
    assert sessions.expired(TIMEOUT_MS + 1) == [1, 3]
    sessions.close(3)
    sessions.touch(1, 5, 0, TIMEOUT_MS)
    assert sessions.next_deadline() == TIMEOUT_MS + 500


def test_a_new_controller_gives_everybody_a_whole_session_and_has_heard_nobody() -> None:
    """Who stopped while nobody led may come back in another life at once."""
    sessions = BrokerSessions(TIMEOUT_MS)
    sessions.open(9, 1, 0)
    sessions.begin([broker(1), broker(2)], 1000)
    assert sessions.expired(TIMEOUT_MS + 999) == []
    assert sessions.expired(TIMEOUT_MS + 1000) == [1, 2]
    assert not sessions.is_valid(1, 5, 1000)
    assert not sessions.heard_since(1, 1000)
    sessions.touch(1, 5, -1, 1200)
    assert sessions.is_valid(1, 5, 1200)
    assert sessions.heard_since(1, 1000)
    assert not sessions.heard_since(1, 1201)


def test_a_broker_whose_connection_ended_has_to_be_heard_again() -> None:
    sessions = BrokerSessions(TIMEOUT_MS)
    sessions.doubt(1)
    sessions.open(1, 5, 0)
    sessions.doubt(1)
    assert not sessions.is_valid(1, 5, 1)
    assert sessions.next_deadline() == TIMEOUT_MS, "its session goes on, though"
    sessions.touch(1, 5, 0, 2)
    assert sessions.is_valid(1, 5, 2)


def test_what_everybody_who_serves_has_replayed() -> None:
    sessions = BrokerSessions(TIMEOUT_MS)
    brokers = [broker(1), broker(2), broker(3, fenced=True), broker(4, in_controlled_shutdown=True)]
    image = MetadataImage(brokers={one.broker_id: one for one in brokers})
    assert sessions.lowest_active_offset(MetadataImage()) == sessions.lowest_active_offset(image) == 2**63 - 1
    for broker_id, offset in ((1, 20), (2, 10), (3, 1), (4, 2)):
        sessions.touch(broker_id, 5, offset, 0)
    assert sessions.lowest_active_offset(image) == 10


def test_who_waits_for_an_answer_is_not_silent() -> None:
    """It speaks again when it was answered, and has a whole session for that."""
    sessions = BrokerSessions(TIMEOUT_MS)
    assert sessions.hold(1) is None
    sessions.open(1, 5, 0)
    held = sessions.hold(1)
    again = sessions.hold(1)
    assert held is not None
    assert again is held
    assert (sessions.expired(10 * TIMEOUT_MS), sessions.next_deadline()) == ([], None)
    assert sessions.is_valid(1, 5, 10 * TIMEOUT_MS), "nobody else gets its id meanwhile"
    sessions.answered(held, 20 * TIMEOUT_MS)
    assert sessions.expired(30 * TIMEOUT_MS) == [], "another answer is under way"
    sessions.answered(held, 31 * TIMEOUT_MS)
    assert sessions.expired(32 * TIMEOUT_MS - 1) == []
    assert sessions.expired(32 * TIMEOUT_MS) == [1]


def test_an_answer_to_a_life_that_is_over_says_nothing_about_the_next() -> None:
    sessions = BrokerSessions(TIMEOUT_MS)
    sessions.open(1, 5, 0)
    held = sessions.hold(1)
    assert held is not None
    sessions.close(1)
    sessions.open(1, 6, 0)
    sessions.answered(held, TIMEOUT_MS)
    assert sessions.expired(TIMEOUT_MS) == [1]
