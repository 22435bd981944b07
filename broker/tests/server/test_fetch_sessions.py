"""The cache of fetch sessions: ids, epochs, room."""

import uuid

import pytest
from broker.clock.randomness import Randomness
from broker.protocol.errors import ErrorCode, KafkaError
from broker.server.fetch_sessions import EPOCH_MAX, EVICTION_MS, FetchSessions, PartitionKey, Wanted

ZERO = uuid.UUID(int=0)


def partitions(count: int) -> dict[PartitionKey, Wanted]:
    return {(ZERO, "t", index): Wanted(0, 1000, -1) for index in range(count)}


def code_of(sessions: FetchSessions, session_id: int, epoch: int, *, by_id: bool = False) -> ErrorCode:
    try:
        sessions.resume(session_id, epoch, 0, by_id=by_id)
    except KafkaError as error:
        return error.code
    return ErrorCode.NONE


def test_epochs_go_up_and_round() -> None:
    sessions = FetchSessions(10, Randomness(1))
    session_id = sessions.open(partitions(1), 0, by_id=False)
    assert [code_of(sessions, session_id, epoch).name for epoch in (0, 2, 1, 1, 2)] == [
        "INVALID_FETCH_SESSION_EPOCH",
        "INVALID_FETCH_SESSION_EPOCH",
        "NONE",
        "INVALID_FETCH_SESSION_EPOCH",
        "NONE",
    ]
    session = sessions.resume(session_id, 3, 0, by_id=False)
    session.epoch = EPOCH_MAX
    assert code_of(sessions, session_id, EPOCH_MAX) is ErrorCode.NONE
    # 0 begins a session, so the epoch after the largest is 1.
    assert session.epoch == 1


def test_a_session_keeps_to_names_or_to_ids() -> None:
    sessions = FetchSessions(10, Randomness(1))
    session_id = sessions.open(partitions(1), 0, by_id=True)
    assert code_of(sessions, session_id, 1) is ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR
    assert code_of(sessions, session_id, 1, by_id=True) is ErrorCode.NONE


def test_ids_are_not_those_of_another_life() -> None:
    first, second = (FetchSessions(100, Randomness(seed)) for seed in (1, 2))
    ids = [{sessions.open(partitions(1), 0, by_id=False) for _ in range(50)} for sessions in (first, second)]
    assert [len(one) for one in ids] == [50, 50]
    assert not ids[0] & ids[1]
    assert all(0 < one <= EPOCH_MAX for one in ids[0])


def test_a_closed_session_is_gone() -> None:
    sessions = FetchSessions(10, Randomness(1))
    session_id = sessions.open(partitions(1), 0, by_id=False)
    sessions.close(session_id)
    sessions.close(session_id)
    assert code_of(sessions, session_id, 1) is ErrorCode.FETCH_SESSION_ID_NOT_FOUND
    assert len(sessions) == 0


def test_the_longest_unused_session_goes_when_there_is_no_room() -> None:
    sessions = FetchSessions(2, Randomness(1))
    old, used = (sessions.open(partitions(1), 0, by_id=False) for _ in range(2))
    assert sessions.open(partitions(9), EVICTION_MS, by_id=False) == 0
    sessions.resume(used, 1, EVICTION_MS, by_id=False)
    assert sessions.open(partitions(1), EVICTION_MS + 1, by_id=False) > 0
    assert code_of(sessions, old, 1) is ErrorCode.FETCH_SESSION_ID_NOT_FOUND
    assert code_of(sessions, used, 2) is ErrorCode.NONE


def test_an_old_session_goes_for_a_larger_one() -> None:
    sessions = FetchSessions(2, Randomness(1))
    small, large = (sessions.open(partitions(count), 0, by_id=False) for count in (2, 5))
    now = EVICTION_MS + 1
    for session_id in (small, large):
        sessions.resume(session_id, 1, now - 10, by_id=False)
    assert sessions.open(partitions(2), now, by_id=False) == 0
    assert sessions.open(partitions(3), now, by_id=False) > 0
    assert code_of(sessions, small, 2) is ErrorCode.FETCH_SESSION_ID_NOT_FOUND
    # The newcomer is not old enough to go, and the other one is larger.
    assert sessions.open(partitions(4), now, by_id=False) == 0
    assert code_of(sessions, large, 2) is ErrorCode.NONE


def test_no_slots_no_sessions() -> None:
    assert FetchSessions(0, Randomness(1)).open(partitions(1), 0, by_id=False) == 0


@pytest.mark.parametrize("served", [0, 1, 2])
def test_who_was_served_is_served_last(served: int) -> None:
    sessions = FetchSessions(1, Randomness(1))
    session = sessions.resume(sessions.open(partitions(3), 0, by_id=False), 1, 0, by_id=False)
    session.serve_last((ZERO, "t", served))
    session.serve_last((ZERO, "unknown", 0))
    order = [index for _, _, index in session.partitions]
    assert order == [*(index for index in range(3) if index != served), served]
