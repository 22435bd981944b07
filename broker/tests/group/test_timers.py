"""The timers of groups on a virtual clock."""

import pytest
from broker.clock.simulated import SimulatedClock
from broker.group.classic_group import ClassicGroup, Member
from broker.group.timers import NEW_MEMBER_JOIN_TIMEOUT_MS, GroupTimers


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def silent() -> list[str]:
    return []


@pytest.fixture
def timers(clock: SimulatedClock, silent: list[str]) -> GroupTimers:
    return GroupTimers(clock, lambda _, member: silent.append(member.member_id))


def joined(group: ClassicGroup, name: str, session_ms: int = 6000) -> Member:
    member = Member(name, None, "client", "/127.0.0.1", 1000, session_ms, [("range", b"")])
    group.add(member)
    return member


def test_a_session_ends_when_nothing_is_heard(clock: SimulatedClock, silent: list[str], timers: GroupTimers) -> None:
    group = ClassicGroup("g")
    member = joined(group, "a")
    timers.restart_session(group, member)
    clock.run_until(5000)
    timers.restart_session(group, member)
    clock.run_until(10_999)
    assert silent == []
    clock.run_until(11_000)
    assert silent == ["a"]
    clock.run_until(10**9)
    assert silent == ["a"]


def test_nobody_is_silent_on_the_coordinators_turn(clock: SimulatedClock, silent: list[str], timers: GroupTimers) -> None:
    group = ClassicGroup("g")
    member = joined(group, "a")
    member.join_reply = print
    timers.restart_session(group, member)
    clock.run_until(60_000)
    assert silent == []
    member.join_reply = None
    timers.restart_session(group, member)
    clock.run_until(66_000)
    assert silent == ["a"]


def test_a_new_member_has_five_minutes(clock: SimulatedClock, silent: list[str], timers: GroupTimers) -> None:
    group = ClassicGroup("g")
    member = joined(group, "a")
    member.is_new, member.join_reply = True, print
    timers.restart_session(group, member)
    clock.run_until(NEW_MEMBER_JOIN_TIMEOUT_MS - 1)
    assert silent == []
    clock.run_until(NEW_MEMBER_JOIN_TIMEOUT_MS)
    assert silent == ["a"]


def test_who_is_gone_is_not_silent(clock: SimulatedClock, silent: list[str], timers: GroupTimers) -> None:
    group = ClassicGroup("g")
    timers.restart_session(group, joined(group, "a"))
    timers.restart_session(group, joined(group, "b"))
    group.remove("a")
    joined(group, "a")
    timers.stop_session(group.members["b"])
    clock.run_until(60_000)
    assert silent == []


def test_the_join_and_sync_timers_are_one_each(clock: SimulatedClock, timers: GroupTimers) -> None:
    group = ClassicGroup("g")
    fired: list[str] = []
    timers.set_join(group, 1000, lambda: fired.append("first join"))
    timers.set_join(group, 2000, lambda: fired.append("join"))
    timers.set_sync(group, 1000, lambda: fired.append("first sync"))
    timers.set_sync(group, 3000, lambda: fired.append("sync"))
    clock.run_until(2999)
    assert fired == ["join"]
    timers.cancel_sync(group)
    clock.run_until(5000)
    assert fired == ["join"]
    assert group.sync_timer is None


def test_nothing_fires_for_a_group_that_was_given_up(clock: SimulatedClock, silent: list[str], timers: GroupTimers) -> None:
    group = ClassicGroup("g")
    fired: list[str] = []
    timers.restart_session(group, joined(group, "a"))
    timers.set_join(group, 10, lambda: fired.append("join"))
    timers.set_sync(group, 10, lambda: fired.append("sync"))
    group.pending_members["p"] = timers.after(10, lambda: fired.append("pending"))
    timers.stop_all(group)
    clock.run_until(60_000)
    assert (fired, silent, group.pending_members) == ([], [], {})
    assert clock.next_ms() is None
