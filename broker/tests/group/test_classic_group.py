"""The rules of a classic group: members, leader, the vote, subscriptions, and what is kept of it on disk."""

import pytest
from broker.group.classic_group import ClassicGroup, GroupState, Member, Protocols, subscription_topics
from broker.protocol.errors import ErrorCode, KafkaError

from .stage import subscription

NOW_MS = 1_700_000_000_000


def member(name: str, *protocols: str, instance: str | None = None, topics: str = "t", rebalance_ms: int = 1000) -> Member:
    offered: Protocols = [(protocol, subscription(topics.split(","))) for protocol in protocols or ("range",)]
    return Member(name, instance, "client", "/127.0.0.1", rebalance_ms, 6000, offered)


def group_of(*members: Member) -> ClassicGroup:
    """A group whose members have joined."""
    group = ClassicGroup("g", protocol_type="consumer")
    group.move_to(GroupState.PREPARING_REBALANCE, NOW_MS)
    for one in members:
        group.add(one)
        one.join_reply = print
    return group


def test_states_follow_each_other_as_kafka_has_it() -> None:
    allowed = {
        ("Empty", "PreparingRebalance"),
        ("PreparingRebalance", "CompletingRebalance"),
        ("PreparingRebalance", "Empty"),
        ("CompletingRebalance", "Stable"),
        ("CompletingRebalance", "PreparingRebalance"),
        ("Stable", "PreparingRebalance"),
    }
    for source in GroupState:
        for target in GroupState:
            group = ClassicGroup("g", state=source)
            if (source.value, target.value) in allowed or target is GroupState.DEAD:
                group.move_to(target, NOW_MS)
                assert (group.state, group.previous_state, group.state_since_ms) == (target, source, NOW_MS)
            else:
                with pytest.raises(AssertionError):
                    group.move_to(target, NOW_MS)


def test_the_first_leads_and_the_oldest_of_the_others_after_it() -> None:
    group = group_of(member("a"), member("b"), member("c"))
    assert group.leader_id == "a"
    group.remove("b")
    assert group.leader_id == "a"
    group.remove("a")
    assert group.leader_id == "c"
    group.remove("c")
    assert group.leader_id is None
    assert group.remove("c") is None


def test_a_leader_that_did_not_join_is_replaced() -> None:
    group = group_of(member("a", instance="i"), member("b"))
    group.members["a"].join_reply = None
    assert group.elect_joined_leader()
    assert group.leader_id == "b"
    group.members["b"].join_reply = None
    assert not group.elect_joined_leader()
    assert not ClassicGroup("g").elect_joined_leader()


def test_who_is_a_member() -> None:
    group = group_of(member("a", instance="i"), member("b"))
    assert group.validate_member("a", "i").member_id == "a"
    assert group.validate_member("a", None).member_id == "a"
    for member_id, instance_id, code in [
        ("x", None, ErrorCode.UNKNOWN_MEMBER_ID),
        ("", None, ErrorCode.UNKNOWN_MEMBER_ID),
        ("b", "i", ErrorCode.FENCED_INSTANCE_ID),
        ("b", "j", ErrorCode.UNKNOWN_MEMBER_ID),
    ]:
        with pytest.raises(KafkaError) as refused:
            group.validate_member(member_id, instance_id)
        assert refused.value.code is code


def test_a_static_member_keeps_its_place_under_another_id() -> None:
    group = group_of(member("a", instance="i"), member("b"))
    group.replace_static(group.members["a"], "a2")
    assert list(group.members) == ["a2", "b"]
    assert (group.leader_id, group.static_members) == ("a2", {"i": "a2"})
    group.remove("a2")
    assert group.static_members == {}


def test_the_vote() -> None:
    group = group_of(member("a", "x", "y", "z"), member("b", "z", "y"), member("c", "w", "z", "y"))
    # a votes for y (x is not everybody's), b and c for z.
    assert group.select_protocol() == "z"
    assert group.supports_protocols("consumer", ["v", "y"])
    assert not group.supports_protocols("consumer", ["x"])
    assert not group.supports_protocols("connect", ["z"])
    assert not group.supports_protocols("consumer", [])


def test_what_an_empty_group_takes() -> None:
    empty = ClassicGroup("g", protocol_type="consumer")
    assert empty.supports_protocols("connect", ["x"])
    assert not empty.supports_protocols("", ["x"])
    assert not empty.supports_protocols("consumer", [])
    # Everybody left during a rebalance: the type stays until the group is empty.
    leaving = group_of()
    assert leaving.supports_protocols("consumer", ["anything"])
    assert not leaving.supports_protocols("connect", ["anything"])


def test_generations_go_up_and_round() -> None:
    group = group_of(member("a"))
    group.next_generation(NOW_MS)
    assert (group.generation, group.state, group.protocol_name) == (1, GroupState.COMPLETING_REBALANCE, "range")
    group.move_to(GroupState.PREPARING_REBALANCE, NOW_MS)
    group.remove("a")
    group.next_generation(NOW_MS)
    assert (group.generation, group.state, group.protocol_name) == (2, GroupState.EMPTY, None)
    group.generation = 2**31 - 1
    group.move_to(GroupState.PREPARING_REBALANCE, NOW_MS)
    group.next_generation(NOW_MS)
    assert group.generation == 1


def test_subscriptions() -> None:
    group = group_of(member("a", topics="t,u"), member("b", topics="v"))
    # Not known yet: a consumer group counts as subscribed to everything.
    assert group.is_subscribed_to("anything")
    group.next_generation(NOW_MS)
    assert group.subscribed_topics == {"t", "u", "v"}
    assert group.is_subscribed_to("v")
    assert not group.is_subscribed_to("w")
    for name in ("a", "b"):
        group.remove(name)
    group.move_to(GroupState.PREPARING_REBALANCE, NOW_MS)
    group.next_generation(NOW_MS)
    assert not group.is_subscribed_to("t")
    assert not ClassicGroup("simple").is_subscribed_to("t")


def test_unreadable_subscriptions_count_as_all_topics() -> None:
    broken = member("a")
    broken.protocols = [("range", b"\0\0\0\0\0\x09")]
    group = group_of(broken)
    group.next_generation(NOW_MS)
    assert group.subscribed_topics is None
    assert group.is_subscribed_to("t")
    other = group_of(member("a"))
    other.protocol_type = "connect"
    other.next_generation(NOW_MS)
    assert not other.is_subscribed_to("t")


@pytest.mark.parametrize(
    "metadata", [b"", b"\0\0", b"\0\0\0\0\0\1", b"\0\0\0\0\0\1\0\5ab", b"\0\0\xff\xff\xff\xff", b"\0\0\0\0\0\1\xff\xff"]
)
def test_damaged_subscriptions_are_refused(metadata: bytes) -> None:
    import struct

    with pytest.raises((struct.error, ValueError)):
        subscription_topics(metadata)


def test_the_largest_rebalance_time_out_counts() -> None:
    assert ClassicGroup("g").rebalance_timeout_ms == 0
    assert group_of(member("a", rebalance_ms=10), member("b", rebalance_ms=30)).rebalance_timeout_ms == 30


def test_a_generation_comes_back_from_disk() -> None:
    group = group_of(member("a", "range", "sticky", instance="i", rebalance_ms=7000), member("b", topics="u"))
    group.next_generation(NOW_MS)
    group.members["a"].assignment = b"all"
    group.move_to(GroupState.STABLE, NOW_MS)
    back = ClassicGroup.from_value("g", group.to_value())
    assert (back.state, back.generation, back.protocol_type, back.protocol_name) == (GroupState.STABLE, 1, "consumer", "range")
    assert (back.leader_id, back.static_members, back.state_since_ms) == ("a", {"i": "a"}, NOW_MS)
    assert back.subscribed_topics == {"t", "u"}
    one = back.members["a"]
    assert (one.assignment, one.rebalance_timeout_ms, one.session_timeout_ms) == (b"all", 7000, 6000)
    # Only what the chosen protocol said is kept.
    assert one.protocols == [("range", subscription(["t"]))]
    assert back.to_value() == group.to_value()


def test_an_empty_generation_comes_back_from_disk() -> None:
    group = group_of()
    group.next_generation(NOW_MS)
    back = ClassicGroup.from_value("g", group.to_value())
    assert (back.state, back.generation, back.leader_id, back.protocol_name) == (GroupState.EMPTY, 1, None, None)
    assert back.subscribed_topics == frozenset()


def test_a_member_without_a_rebalance_time_out_has_its_session_for_it() -> None:
    group = group_of(member("a"))
    group.next_generation(NOW_MS)
    value = group.to_value()
    value.members[0].rebalance_timeout = -1
    assert ClassicGroup.from_value("g", value).members["a"].rebalance_timeout_ms == 6000


def test_who_waits() -> None:
    one = member("a")
    assert not one.is_waiting
    one.join_reply = print
    assert one.is_waiting
    # A new member has five minutes for its first answer, then it is timed out even though it waits.
    one.is_new = True
    assert not one.is_waiting
    one.join_reply, one.sync_reply = None, print
    assert one.is_waiting
