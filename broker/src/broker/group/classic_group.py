"""A classic group: its members, its generation, and the rules about both. Pure data: no timers, no disk, no requests.

Invariants: the leader is a member; a static member is found by its instance id under exactly one member id; the generation
grows with every completed join phase. Source: ``ClassicGroup``, ``ClassicGroupMember``.
"""

import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from broker.clock.port import Timer
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.group_records import GroupMetadataValue, MemberMetadata

CONSUMER_PROTOCOL = "consumer"
Reply = Callable[[Any], None]
Protocols = list[tuple[str, bytes]]


class GroupState(StrEnum):
    """Under the names that Kafka's tools print."""

    EMPTY = "Empty"
    PREPARING_REBALANCE = "PreparingRebalance"
    COMPLETING_REBALANCE = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"


VALID_PREVIOUS: dict[GroupState, frozenset[GroupState]] = {
    GroupState.EMPTY: frozenset({GroupState.PREPARING_REBALANCE}),
    GroupState.PREPARING_REBALANCE: frozenset({GroupState.STABLE, GroupState.COMPLETING_REBALANCE, GroupState.EMPTY}),
    GroupState.COMPLETING_REBALANCE: frozenset({GroupState.PREPARING_REBALANCE}),
    GroupState.STABLE: frozenset({GroupState.COMPLETING_REBALANCE}),
    GroupState.DEAD: frozenset(GroupState),
}


@dataclass(slots=True, eq=False)
class Member:
    """One member. `join_reply` and `sync_reply` are there while it waits for that answer."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    rebalance_timeout_ms: int
    session_timeout_ms: int
    protocols: Protocols
    assignment: bytes = b""
    is_new: bool = False
    join_reply: Reply | None = None
    sync_reply: Reply | None = None
    session_timer: Timer | None = None

    def metadata(self, protocol: str | None) -> bytes:
        return next((metadata for name, metadata in self.protocols if name == protocol), b"")

    @property
    def protocol_names(self) -> list[str]:
        return [name for name, _ in self.protocols]

    @property
    def is_waiting(self) -> bool:
        """Whether it is the coordinator's turn, so that silence is no death."""
        return self.sync_reply is not None or (self.join_reply is not None and not self.is_new)


@dataclass(slots=True, eq=False)
class ClassicGroup:
    """See the module. `state_since_ms` is wall time."""

    group_id: str
    state: GroupState = GroupState.EMPTY
    previous_state: GroupState = GroupState.EMPTY
    state_since_ms: int = -1
    generation: int = 0
    protocol_type: str | None = None
    protocol_name: str | None = None
    leader_id: str | None = None
    members: dict[str, Member] = field(default_factory=dict)
    static_members: dict[str, str] = field(default_factory=dict)
    # Ids that were given out and have not been used yet, with the timers that take them back.
    pending_members: dict[str, Timer] = field(default_factory=dict)
    pending_sync: dict[str, None] = field(default_factory=dict)
    # None: not known; an empty set: known to be none.
    subscribed_topics: frozenset[str] | None = None
    # A member came during the delay before the first rebalance.
    new_member_added: bool = False
    join_timer: Timer | None = None
    sync_timer: Timer | None = None

    # Rules.

    def move_to(self, state: GroupState, now_ms: int) -> None:
        assert self.state in VALID_PREVIOUS[state], f"group {self.group_id} cannot go from {self.state} to {state}"
        self.previous_state, self.state, self.state_since_ms = self.state, state, now_ms

    @property
    def can_rebalance(self) -> bool:
        return self.state in VALID_PREVIOUS[GroupState.PREPARING_REBALANCE]

    def validate_member(self, member_id: str, instance_id: str | None) -> Member:
        """The member; KafkaError when it is not known, or when another process has taken its instance id."""
        if instance_id is not None:
            known = self.static_members.get(instance_id)
            if known is None:
                raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID)
            if known != member_id:
                raise KafkaError(ErrorCode.FENCED_INSTANCE_ID)
        member = self.members.get(member_id)
        if member is None:
            raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID)
        return member

    def supports_protocols(self, protocol_type: str, names: Iterable[str]) -> bool:
        """Whether a member with these could join: it must have one that all others have as well."""
        offered = list(names)
        if self.state is GroupState.EMPTY:
            return bool(protocol_type) and bool(offered)
        if protocol_type != self.protocol_type:
            return False
        return any(name in self._common_protocols() for name in offered) if self.members else bool(offered)

    def _common_protocols(self) -> list[str]:
        """What every member offers, in the order of the first member."""
        first, *others = self.members.values()
        return [name for name in first.protocol_names if all(name in other.protocol_names for other in others)]

    def select_protocol(self) -> str:
        """The one most members prefer among those all of them have."""
        common = self._common_protocols()
        assert common, f"the members of group {self.group_id} have no protocol in common"
        votes = dict.fromkeys(common, 0)
        for member in self.members.values():
            votes[next(name for name in member.protocol_names if name in votes)] += 1
        return max(common, key=lambda name: votes[name])

    # Members.

    def add(self, member: Member) -> None:
        self.members[member.member_id] = member
        if member.instance_id is not None:
            self.static_members[member.instance_id] = member.member_id
        if self.leader_id is None:
            self.leader_id = member.member_id

    def remove(self, member_id: str) -> Member | None:
        """Take a member out; the oldest of the others leads then."""
        member = self.members.pop(member_id, None)
        self.pending_sync.pop(member_id, None)
        if member is not None and member.instance_id is not None:
            self.static_members.pop(member.instance_id, None)
        if self.leader_id == member_id:
            self.leader_id = next(iter(self.members), None)
        return member

    def replace_static(self, member: Member, new_member_id: str) -> None:
        """The process behind an instance id came again: it keeps its place under another member id."""
        was_leader = self.leader_id == member.member_id
        self.members = {(new_member_id if known == member.member_id else known): one for known, one in self.members.items()}
        member.member_id = new_member_id
        assert member.instance_id is not None
        self.static_members[member.instance_id] = new_member_id
        if was_leader:
            self.leader_id = new_member_id

    @property
    def all_have_joined(self) -> bool:
        return not self.pending_members and all(member.join_reply is not None for member in self.members.values())

    def elect_joined_leader(self) -> bool:
        """Let one lead who is there; False when nobody has joined (all are static members that stay away)."""
        if self.leader_id is None:
            return False
        if self.members[self.leader_id].join_reply is None:
            joined = next((m.member_id for m in self.members.values() if m.join_reply is not None), None)
            if joined is None:
                return False
            self.leader_id = joined
        return True

    @property
    def rebalance_timeout_ms(self) -> int:
        return max((member.rebalance_timeout_ms for member in self.members.values()), default=0)

    def next_generation(self, now_ms: int) -> None:
        """The join phase is over."""
        self.generation = 1 if self.generation == 2**31 - 1 else self.generation + 1
        self.pending_sync.clear()
        if self.members:
            self.protocol_name = self.select_protocol()
            self.subscribed_topics = self._subscribed()
            self.move_to(GroupState.COMPLETING_REBALANCE, now_ms)
        else:
            self.protocol_name = None
            self.subscribed_topics = self._subscribed()
            self.move_to(GroupState.EMPTY, now_ms)

    # Subscriptions.

    def _subscribed(self) -> frozenset[str] | None:
        if self.protocol_type != CONSUMER_PROTOCOL:
            return None
        if not self.members:
            return frozenset()
        if self.protocol_name is None:
            return None
        try:
            return frozenset(
                topic for member in self.members.values() for topic in subscription_topics(member.metadata(self.protocol_name))
            )
        except (struct.error, ValueError, UnicodeDecodeError):
            return None

    def is_subscribed_to(self, topic: str) -> bool:
        """When it is not known, a consumer group counts as subscribed to everything."""
        if self.subscribed_topics is None:
            return self.protocol_type == CONSUMER_PROTOCOL
        return topic in self.subscribed_topics

    # On disk.

    def to_value(self, assignments: Mapping[str, bytes] | None = None) -> GroupMetadataValue:
        """The generation as it is written, with the assignments that hold, or are to hold, by member."""
        return GroupMetadataValue(
            protocol_type=self.protocol_type or "",
            generation=self.generation,
            protocol=self.protocol_name,
            leader=self.leader_id,
            current_state_timestamp=self.state_since_ms,
            members=[
                MemberMetadata(
                    member_id=member.member_id,
                    group_instance_id=member.instance_id,
                    client_id=member.client_id,
                    client_host=member.client_host,
                    rebalance_timeout=member.rebalance_timeout_ms,
                    session_timeout=member.session_timeout_ms,
                    subscription=member.metadata(self.protocol_name),
                    assignment=member.assignment if assignments is None else assignments.get(member.member_id, b""),
                )
                for member in self.members.values()
            ],
        )

    @classmethod
    def from_value(cls, group_id: str, value: GroupMetadataValue) -> "ClassicGroup":
        """The group as its last generation left it: stable with members, else empty."""
        group = cls(group_id)
        group.generation = value.generation
        group.protocol_type = value.protocol_type or None
        group.protocol_name = value.protocol
        group.state = GroupState.STABLE if value.members else GroupState.EMPTY
        group.state_since_ms = value.current_state_timestamp
        for one in value.members:
            timeout = one.rebalance_timeout if one.rebalance_timeout >= 0 else one.session_timeout
            protocols = [(value.protocol or "", bytes(one.subscription))]
            member = Member(
                one.member_id, one.group_instance_id, one.client_id, one.client_host, timeout, one.session_timeout, protocols
            )
            member.assignment = bytes(one.assignment)
            group.add(member)
        group.leader_id = value.leader if value.leader in group.members else group.leader_id
        group.subscribed_topics = group._subscribed()
        return group


def subscription_topics(metadata: bytes) -> list[str]:
    """The topics in a consumer's subscription (``ConsumerProtocolSubscription``): version, then an array of names."""
    (count,) = struct.unpack_from(">i", metadata, 2)
    if count < 0 or count > len(metadata):
        raise ValueError(f"a subscription claims {count} topics")
    topics, position = [], 6
    for _ in range(count):
        (length,) = struct.unpack_from(">h", metadata, position)
        position += 2
        if length < 0 or position + length > len(metadata):
            raise ValueError(f"a topic's name claims {length} bytes")
        topics.append(metadata[position : position + length].decode())
        position += length
    return topics
