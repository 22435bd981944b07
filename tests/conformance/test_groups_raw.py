"""The group protocol word by word, against our broker and against Apache Kafka: every refusal has its code."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.delete_groups import DeleteGroupsRequest
from broker.protocol.messages.describe_groups import DescribeGroupsRequest
from broker.protocol.messages.find_coordinator import FindCoordinatorRequest
from broker.protocol.messages.heartbeat import HeartbeatRequest
from broker.protocol.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol
from broker.protocol.messages.leave_group import LeaveGroupRequest, MemberIdentity
from broker.protocol.messages.list_groups import ListGroupsRequest
from broker.protocol.messages.offset_commit import OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic
from broker.protocol.messages.offset_delete import OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic
from broker.protocol.messages.offset_fetch import OffsetFetchRequest, OffsetFetchRequestGroup
from broker.protocol.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment

from .conftest import SESSION_TIMEOUT_MS, Target
from .raw import TIMEOUT_SECONDS, Raw

MakeTopic = Callable[..., str]
SUBSCRIPTION = b"\0\0\0\0\0\1\0\1t\xff\xff\xff\xff"


class Member:
    """One member on a connection of its own, which a waiting join may hold up."""

    def __init__(self, target: Target, group: str, *, instance: str | None = None, protocols: str = "range") -> None:
        self.raw = Raw(target)
        self.group, self.instance, self.protocols = group, instance, protocols
        self.member_id, self.generation = "", -1

    def request(self, **options: Any) -> JoinGroupRequest:
        values: dict[str, Any] = {
            "group_id": self.group,
            "session_timeout_ms": SESSION_TIMEOUT_MS,
            "rebalance_timeout_ms": 20_000,
            "member_id": self.member_id,
            "group_instance_id": self.instance,
            "protocol_type": "consumer",
            "protocols": [JoinGroupRequestProtocol(name=name, metadata=SUBSCRIPTION) for name in self.protocols.split(",")],
        }
        return JoinGroupRequest(**{**values, **options})

    def ask_to_join(self, **options: Any) -> None:
        """Both steps; the answer to the second is left to `joined`."""
        if not self.member_id and self.instance is None:
            first = self.raw.ask(self.request(**options))
            assert first.error_code == ErrorCode.MEMBER_ID_REQUIRED, first
            self.member_id = first.member_id
        self.raw.send(self.request(**options))

    def joined(self) -> Any:
        response = self.raw.receive()
        if response.error_code == ErrorCode.NONE:
            self.member_id, self.generation = response.member_id, response.generation_id
        return response

    def join(self, **options: Any) -> Any:
        self.ask_to_join(**options)
        return self.joined()

    def ask_to_sync(self, assignments: "dict[Member, bytes] | None" = None, **options: Any) -> None:
        shares = [
            SyncGroupRequestAssignment(member_id=member.member_id, assignment=what)
            for member, what in (assignments or {}).items()
        ]
        values: dict[str, Any] = {
            "group_id": self.group,
            "generation_id": self.generation,
            "member_id": self.member_id,
            "group_instance_id": self.instance,
            "protocol_type": "consumer",
            "protocol_name": "range",
            "assignments": shares,
        }
        self.raw.send(SyncGroupRequest(**{**values, **options}))

    def sync(self, assignments: "dict[Member, bytes] | None" = None, **options: Any) -> Any:
        self.ask_to_sync(assignments, **options)
        return self.raw.receive()

    def heartbeat(self, **options: Any) -> str:
        values: dict[str, Any] = {"group_id": self.group, "generation_id": self.generation, "member_id": self.member_id}
        request = HeartbeatRequest(**{**values, "group_instance_id": self.instance, **options})
        return ErrorCode(self.raw.ask(request).error_code).name

    def commit(self, topic: str, offset: int, *, version: int = 9, metadata: str = "", **options: Any) -> str:
        item = OffsetCommitRequestPartition(partition_index=0, committed_offset=offset, committed_metadata=metadata)
        values: dict[str, Any] = {
            "group_id": self.group,
            "generation_id_or_member_epoch": self.generation,
            "member_id": self.member_id,
            "group_instance_id": self.instance,
            "topics": [OffsetCommitRequestTopic(name=topic, partitions=[item])],
        }
        response = self.raw.ask(OffsetCommitRequest(**{**values, **options}), version)
        return ErrorCode(response.topics[0].partitions[0].error_code).name

    def leave(self) -> str:
        members = [MemberIdentity(member_id=self.member_id, group_instance_id=self.instance)]
        return ErrorCode(self.raw.ask(LeaveGroupRequest(group_id=self.group, members=members)).members[0].error_code).name


NewMember = Callable[..., Member]


def is_loaded(raw: Raw, group: str) -> bool:
    """Whether the coordinator is known, and has loaded the partitions that keep this group and all others."""
    if raw.ask(FindCoordinatorRequest(coordinator_keys=[group])).coordinators[0].error_code:
        return False
    everywhere = DescribeGroupsRequest(groups=[f"somewhere-{number}" for number in range(50)])
    return {one.error_code for one in raw.ask(everywhere, 5).groups} == {ErrorCode.NONE}


@pytest.fixture
def member(target: Target) -> Iterator[NewMember]:
    """A function that makes members of one fresh group, when the coordinator has every partition of the offsets topic."""
    group = target.fresh("raw")
    made: list[Member] = []
    with Raw(target) as raw:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not is_loaded(raw, group):
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def make(**options: Any) -> Member:
        made.append(Member(target, options.pop("group", group), **options))
        return made[-1]

    yield make
    for one in made:
        one.raw.__exit__(None, None, None)


def rebalances(member: Member) -> None:
    """Wait until the member hears of it: what another connection asked for may come later than what this one asks."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while (answer := member.heartbeat()) != "REBALANCE_IN_PROGRESS":
        assert answer == "NONE"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def stable(*members: Member) -> None:
    """Let them join, the first as the leader, and give each its number."""
    first, *others = members
    first.join()
    if others:
        assert first.sync({first: b"alone"}).error_code == 0
        for other in others:
            other.ask_to_join()
        rebalances(first)
        first.ask_to_join()
        for one in members:
            assert one.joined().error_code == 0
    shares = {one: b"%d" % number for number, one in enumerate(members)}
    for other in others:
        other.ask_to_sync()
    assert first.sync(shares).assignment == b"0"
    for number, other in enumerate(others, 1):
        assert other.raw.receive().assignment == b"%d" % number


def test_a_generation(member: NewMember) -> None:
    one, two = member(), member()
    alone = one.join()
    assert (alone.generation_id, alone.protocol_type, alone.protocol_name) == (1, "consumer", "range")
    assert alone.leader == alone.member_id == one.member_id
    assert [(found.member_id, found.metadata) for found in alone.members] == [(one.member_id, SUBSCRIPTION)]
    synced = one.sync({one: b"alone"})
    assert (synced.assignment, synced.protocol_type, synced.protocol_name) == (b"alone", "consumer", "range")
    two.ask_to_join()
    assert not two.raw.is_answered(0.3)
    assert one.heartbeat() == "REBALANCE_IN_PROGRESS"
    one.ask_to_join()
    leader, follower = one.joined(), two.joined()
    assert (leader.generation_id, follower.generation_id) == (2, 2)
    assert {found.member_id for found in leader.members} == {one.member_id, two.member_id}
    assert (follower.members, follower.leader) == ([], one.member_id)
    two.ask_to_sync()
    assert not two.raw.is_answered(0.3)
    assert one.sync({one: b"first"}).assignment == b"first"
    assert two.raw.receive().assignment == b""
    assert (one.heartbeat(), two.heartbeat()) == ("NONE", "NONE")
    # Asked again, the follower is told the same; the leader begins a rebalance.
    assert two.join().generation_id == 2
    assert two.sync().assignment == b""
    one.ask_to_join()
    rebalances(two)
    assert two.leave() == "NONE"
    assert [found.member_id for found in one.joined().members] == [one.member_id]


def test_strangers_and_old_generations(member: NewMember, make_topic: MakeTopic) -> None:
    topic = make_topic()
    one = member()
    stable(one)
    assert one.heartbeat(generation_id=5) == "ILLEGAL_GENERATION"
    assert one.heartbeat(member_id="stranger") == "UNKNOWN_MEMBER_ID"
    assert one.heartbeat(group_id="no-such-group") == "UNKNOWN_MEMBER_ID"
    assert one.heartbeat(group_id="") == "INVALID_GROUP_ID"
    assert one.heartbeat(group_instance_id="i") == "UNKNOWN_MEMBER_ID"
    assert one.sync(generation_id=0).error_code == ErrorCode.ILLEGAL_GENERATION
    assert one.sync(member_id="stranger").error_code == ErrorCode.UNKNOWN_MEMBER_ID
    assert one.sync(protocol_name="other").error_code == ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    assert one.sync(protocol_type="other").error_code == ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    assert one.commit(topic, 1) == "NONE"
    assert one.commit(topic, 1, generation_id_or_member_epoch=9) == "ILLEGAL_GENERATION"
    assert one.commit(topic, 1, generation_id_or_member_epoch=-1) == "ILLEGAL_GENERATION"
    assert one.commit(topic, 1, member_id="stranger") == "UNKNOWN_MEMBER_ID"
    assert one.commit(topic, 1, member_id="", generation_id_or_member_epoch=-1) == "UNKNOWN_MEMBER_ID"
    assert one.commit(topic, 1, group_id="no-such-group") == "GROUP_ID_NOT_FOUND"
    assert one.commit(topic, 1, group_id="no-such-group", version=8) == "ILLEGAL_GENERATION"
    assert one.commit("no-such-topic", 1) == "UNKNOWN_TOPIC_OR_PARTITION"


def test_commits_while_others_sync(member: NewMember, make_topic: MakeTopic) -> None:
    topic = make_topic()
    one = member()
    one.join()
    assert one.commit(topic, 1) == "REBALANCE_IN_PROGRESS"
    # The same metadata again: the same generation.
    assert one.join().generation_id == one.generation
    one.sync({one: b""})
    assert one.commit(topic, 1) == "NONE"


def test_notes_may_have_4096_characters(member: NewMember, make_topic: MakeTopic) -> None:
    topic, one = make_topic(), member()
    stable(one)
    assert one.commit(topic, 1, metadata="글" * 4096) == "NONE"
    assert one.commit(topic, 1, metadata="x" * 4097) == "OFFSET_METADATA_TOO_LARGE"
    assert one.commit(topic, 1, metadata="😀" * 2049) == "OFFSET_METADATA_TOO_LARGE"
    assert one.commit(topic, 1, metadata="😀" * 2048) == "NONE"


def test_who_may_join(member: NewMember) -> None:
    one, two = member(), member()
    stable(one)
    for options, code in [
        ({"protocol_type": "connect"}, ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
        ({"protocols": []}, ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
        ({"protocols": [JoinGroupRequestProtocol(name="other", metadata=b"")]}, ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
        ({"session_timeout_ms": 5999}, ErrorCode.INVALID_SESSION_TIMEOUT),
        ({"session_timeout_ms": 1_800_001}, ErrorCode.INVALID_SESSION_TIMEOUT),
        ({"group_id": ""}, ErrorCode.INVALID_GROUP_ID),
        ({"member_id": "made-up"}, ErrorCode.UNKNOWN_MEMBER_ID),
        ({"member_id": "made-up", "group_id": "no-such-group"}, ErrorCode.UNKNOWN_MEMBER_ID),
        ({"member_id": "made-up", "group_instance_id": "i"}, ErrorCode.UNKNOWN_MEMBER_ID),
    ]:
        response = two.raw.ask(two.request(**options))
        assert ErrorCode(response.error_code) is code, options


def test_a_static_member_comes_again_and_fences_the_one_before(member: NewMember, make_topic: MakeTopic) -> None:
    topic = make_topic()
    one, two = member(instance="one"), member(instance="two")
    stable(one, two)
    again = member(instance="two")
    back = again.join()
    assert (back.generation_id, back.leader, back.members, back.skip_assignment) == (2, one.member_id, [], False)
    assert again.member_id != two.member_id
    assert again.sync().assignment == b"1"
    assert one.heartbeat() == again.heartbeat() == "NONE"
    assert two.heartbeat() == "FENCED_INSTANCE_ID"
    assert two.commit(topic, 1) == "FENCED_INSTANCE_ID"
    assert two.leave() == "FENCED_INSTANCE_ID"
    assert two.sync().error_code == ErrorCode.FENCED_INSTANCE_ID
    assert two.join().error_code == ErrorCode.FENCED_INSTANCE_ID
    # The leader that comes again may skip the assignment; an old client is not told that it leads.
    leader = member(instance="one")
    old = leader.raw.ask(leader.request(), 8)
    assert (old.generation_id, old.leader, old.members) == (2, one.member_id, [])
    new = leader.join()
    assert (new.generation_id, new.leader, new.skip_assignment) == (2, new.member_id, True)
    assert {found.group_instance_id for found in new.members} == {"one", "two"}
    assert leader.sync().assignment == b"0"


def test_a_waiting_static_member_is_fenced_where_it_waits(member: NewMember) -> None:
    one, two = member(instance="one"), member(instance="two")
    stable(one)
    two.ask_to_join()
    assert not two.raw.is_answered(0.3)
    other = member(instance="two")
    other.ask_to_join()
    assert two.joined().error_code == ErrorCode.FENCED_INSTANCE_ID
    one.ask_to_join()
    assert one.joined().generation_id == other.joined().generation_id == 2


def test_the_protocol_with_the_most_votes(member: NewMember) -> None:
    one, two, three = (member(protocols=names) for names in ("a,b", "c,b,a", "b,a"))
    one.join()
    assert one.sync({one: b""}, protocol_name="a").error_code == 0
    two.ask_to_join()
    three.ask_to_join()
    one.ask_to_join()
    assert {found.joined().protocol_name for found in (one, two, three)} == {"b"}


def test_leaving(member: NewMember, target: Target) -> None:
    one, two = member(instance="one"), member()
    stable(one, two)
    identities = [
        MemberIdentity(member_id="stranger"),
        MemberIdentity(member_id="", group_instance_id="nobody"),
        MemberIdentity(member_id="", group_instance_id="one"),
        MemberIdentity(member_id=two.member_id),
    ]
    with Raw(target) as admin:
        response = admin.ask(LeaveGroupRequest(group_id=one.group, members=identities))
        assert response.error_code == 0
        assert [ErrorCode(found.error_code).name for found in response.members] == [
            "UNKNOWN_MEMBER_ID",
            "UNKNOWN_MEMBER_ID",
            "NONE",
            "NONE",
        ]
        gone = admin.ask(LeaveGroupRequest(group_id=one.group, members=identities[3:]))
        assert gone.members[0].error_code == ErrorCode.UNKNOWN_MEMBER_ID
        for version in (0, 1, 2):
            old = admin.ask(LeaveGroupRequest(group_id="no-such-group", member_id="m"), version)
            assert old.error_code == ErrorCode.UNKNOWN_MEMBER_ID
        assert admin.ask(LeaveGroupRequest(group_id="", members=[])).error_code == ErrorCode.INVALID_GROUP_ID
        (described,) = admin.ask(DescribeGroupsRequest(groups=[one.group])).groups
        assert (described.group_state, described.members) == ("Empty", [])


def test_an_id_that_was_given_out_can_be_given_back(member: NewMember, target: Target) -> None:
    one = member()
    first = one.raw.ask(one.request())
    one.member_id = first.member_id
    assert one.leave() == "NONE"
    assert one.leave() == "UNKNOWN_MEMBER_ID"
    assert one.raw.ask(one.request()).error_code == ErrorCode.UNKNOWN_MEMBER_ID


def test_a_silent_member_is_out_after_its_session(member: NewMember) -> None:
    one, two = member(), member()
    stable(one, two)
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while one.heartbeat() == "NONE":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert one.heartbeat() == "REBALANCE_IN_PROGRESS"
    assert two.heartbeat() == "UNKNOWN_MEMBER_ID"
    assert [found.member_id for found in one.join().members] == [one.member_id]


def test_who_does_not_come_again_is_out_after_the_rebalance_time_out(member: NewMember) -> None:
    one, two = member(), member()
    stable(one, two)
    # The largest time-out of the members counts; both have the same now.
    two.ask_to_join(rebalance_timeout_ms=3000)
    assert two.joined().generation_id == two.generation
    one.ask_to_join(rebalance_timeout_ms=3000)
    # Nobody's metadata changed, so only the leader is known to have the shorter one; the other's 20 s hold.
    assert not one.raw.is_answered(4)
    two.ask_to_join(rebalance_timeout_ms=3000)
    assert one.joined().generation_id == two.joined().generation_id == 3
    assert one.sync({one: b"", two: b""}).error_code == 0
    one.ask_to_join(rebalance_timeout_ms=3000)
    assert [found.member_id for found in one.joined().members] == [one.member_id]
    assert two.heartbeat() == "UNKNOWN_MEMBER_ID"


def test_offsets_of_groups_that_nobody_is_in(target: Target, member: NewMember, make_topic: MakeTopic) -> None:
    topic = make_topic()
    simple = member()
    assert simple.commit(topic, 7, metadata="note") == "NONE"
    with Raw(target) as admin:
        groups = [OffsetFetchRequestGroup(group_id=name, topics=None) for name in (simple.group, "no-such-group")]
        known, unknown = admin.ask(OffsetFetchRequest(groups=groups, require_stable=True), 9).groups
        (found,) = known.topics
        assert (found.name, found.partitions[0].committed_offset, found.partitions[0].metadata) == (topic, 7, "note")
        assert (unknown.error_code, unknown.topics) == (0, [])
        listed = {one.group_id: one for one in admin.ask(ListGroupsRequest(types_filter=["Classic"])).groups}[simple.group]
        assert (listed.protocol_type, listed.group_state, listed.group_type) == ("", "Empty", "classic")
        (described,) = admin.ask(DescribeGroupsRequest(groups=[simple.group])).groups
        assert (described.group_state, described.protocol_type, described.protocol_data) == ("Empty", "", "")


def test_deleting_offsets_and_groups(target: Target, member: NewMember) -> None:
    one = member()
    topics = {name: make(target, name) for name in ("t", "u")}
    stable(one)
    for topic in topics.values():
        assert one.commit(topic, 3) == "NONE"

    def delete_offset(topic: str, group: str = one.group) -> Any:
        item = OffsetDeleteRequestPartition(partition_index=0)
        request = OffsetDeleteRequest(group_id=group, topics=[OffsetDeleteRequestTopic(name=topic, partitions=[item])])
        return admin.ask(request)

    with Raw(target) as admin:
        subscribed = delete_offset("t")
        assert (subscribed.error_code, subscribed.topics[0].partitions[0].error_code) == (0, ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC)
        assert delete_offset("u").topics[0].partitions[0].error_code == 0
        assert delete_offset("u", "no-such-group").error_code == ErrorCode.GROUP_ID_NOT_FOUND
        assert delete_offset("u", "").error_code == ErrorCode.INVALID_GROUP_ID
        names = [one.group, "no-such-group"]
        results = admin.ask(DeleteGroupsRequest(groups_names=names)).results
        codes = {found.group_id: ErrorCode(found.error_code).name for found in results}
        assert codes == {one.group: "NON_EMPTY_GROUP", "no-such-group": "GROUP_ID_NOT_FOUND"}
        assert one.leave() == "NONE"
        assert admin.ask(DeleteGroupsRequest(groups_names=[one.group])).results[0].error_code == 0
        (described,) = admin.ask(DescribeGroupsRequest(groups=[one.group])).groups
        assert (described.group_state, described.error_code) == ("Dead", ErrorCode.GROUP_ID_NOT_FOUND)
        assert described.error_message == f"Group {one.group} not found."
        (older,) = admin.ask(DescribeGroupsRequest(groups=[one.group]), 5).groups
        assert (older.group_state, older.error_code) == ("Dead", 0)


def make(target: Target, name: str) -> str:
    """A topic of exactly this name."""
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": target.bootstrap_servers})
    if name not in admin.list_topics(timeout=TIMEOUT_SECONDS).topics:
        admin.create_topics([NewTopic(name, 1, 1)])[name].result(TIMEOUT_SECONDS)
    return name


def test_what_is_shown_of_a_group(target: Target, member: NewMember) -> None:
    one = member(instance="one")
    stable(one)
    with Raw(target) as admin:
        request = DescribeGroupsRequest(groups=[one.group], include_authorized_operations=True)
        (group,) = admin.ask(request).groups
        assert (group.group_state, group.protocol_type, group.protocol_data) == ("Stable", "consumer", "range")
        # READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS.
        assert group.authorized_operations == 3400
        (found,) = group.members
        assert (found.member_id, found.group_instance_id) == (one.member_id, "one")
        assert (found.client_id, found.client_host) == ("raw", "/127.0.0.1")
        assert (found.member_metadata, found.member_assignment) == (SUBSCRIPTION, b"0")
        one.raw.ask(one.request(protocols=[JoinGroupRequestProtocol(name="range", metadata=b"\0\0\0\0\0\0\0\0\0\0")]))
        (group,) = admin.ask(DescribeGroupsRequest(groups=[one.group])).groups
        assert (group.group_state, group.protocol_data) == ("CompletingRebalance", "")
        assert [found.member_metadata for found in group.members] == [b""]
