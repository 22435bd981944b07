"""JoinGroup, SyncGroup, Heartbeat and LeaveGroup of classic groups. Source: ``GroupMetadataManager.classicGroupJoin`` and on.

Each method takes a request and answers it through `reply`, at once or when its phase is over.
"""

from typing import NamedTuple

from broker.clock.port import Clock
from broker.clock.randomness import Randomness
from broker.config import BrokerConfig
from broker.group.classic_group import ClassicGroup, GroupState, Member, Protocols, Reply
from broker.group.rebalance import Rebalance, current_generation, join_error
from broker.group.records import group_record
from broker.group.shard import Shard
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from broker.protocol.messages.join_group import JoinGroupRequest, JoinGroupResponse
from broker.protocol.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse, MemberIdentity, MemberResponse
from broker.protocol.messages.sync_group import SyncGroupRequest, SyncGroupResponse

# From these versions on a client is given its id before it may join, and a leader may skip the assignment.
MEMBER_ID_REQUIRED_SINCE, SKIP_ASSIGNMENT_SINCE, LEAVE_MEMBERS_SINCE = 4, 9, 3
# Ids that were given out and not used yet, per group.
PENDING_MEMBERS_MAX = 10_000


class Client(NamedTuple):
    """Who joins, as it is shown."""

    client_id: str
    client_host: str


class Replaced(NamedTuple):
    """What a static member was before another process took its place."""

    member_id: str
    leader_id: str
    protocols: Protocols
    rebalance_timeout_ms: int
    session_timeout_ms: int


class Membership:
    """Requests of members to the groups of one shard."""

    def __init__(self, shard: Shard, clock: Clock, randomness: Randomness, config: BrokerConfig) -> None:
        self._shard = shard
        self._randomness = randomness
        self._session_bounds_ms = (config.value("group.min.session.timeout.ms"), config.value("group.max.session.timeout.ms"))
        self._max_size: int = config.value("group.max.size")
        self.rebalance = Rebalance(shard, clock, config)
        self._timers = self.rebalance.timers

    # Joining.

    def join(self, request: JoinGroupRequest, version: int, client: Client, reply: Reply) -> None:
        low, high = self._session_bounds_ms
        if not low <= request.session_timeout_ms <= high:
            reply(join_error(ErrorCode.INVALID_SESSION_TIMEOUT, request.member_id))
            return
        group = self._shard.group(request.group_id, create=request.member_id == "")
        if group is None:
            reply(join_error(ErrorCode.UNKNOWN_MEMBER_ID, request.member_id))
            return
        if not self._has_room(group, request.member_id):
            self._refuse_for_size(group, request.member_id)
            reply(join_error(ErrorCode.GROUP_MAX_SIZE_REACHED))
            return
        try:
            if not group.supports_protocols(request.protocol_type, [protocol.name for protocol in request.protocols]):
                raise KafkaError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
            if request.member_id == "":
                self._join_new(group, request, version, client, reply)
            else:
                self._join_known(group, request, client, reply)
        except KafkaError as error:
            reply(join_error(error.code, request.member_id))

    def _has_room(self, group: ClassicGroup, member_id: str) -> bool:
        if group.state in (GroupState.EMPTY, GroupState.DEAD):
            return True
        if group.state is GroupState.PREPARING_REBALANCE:
            # Those who have joined already keep their place.
            known = group.members.get(member_id)
            waiting = sum(member.join_reply is not None for member in group.members.values())
            return (known is not None and known.join_reply is not None) or waiting < self._max_size
        return member_id in group.members or len(group.members) < self._max_size

    def _refuse_for_size(self, group: ClassicGroup, member_id: str) -> None:
        """A member of a group that has become too large, or an id that was given out, has no place any more."""
        known = group.members.get(member_id)
        if known is not None:
            self.rebalance.remove(group, known, "the group is larger than group.max.size")
        else:
            self._expire_pending(group, member_id)

    def shrink(self, group: ClassicGroup) -> None:
        """group.max.size may have become smaller since a group was written: the last to come again have to go."""
        if len(group.members) > self._max_size:
            self.rebalance.prepare_or_complete(group, f"it has more members than group.max.size={self._max_size}")

    def _join_new(self, group: ClassicGroup, request: JoinGroupRequest, version: int, client: Client, reply: Reply) -> None:
        instance_id = request.group_instance_id
        member_id = f"{client.client_id if instance_id is None else instance_id}-{self._randomness.uuid4()}"
        if instance_id is not None:
            known = group.static_members.get(instance_id)
            if known is not None:
                member = group.members[known]
                replaced = self._replace_static(group, member, member_id, request)
                self._answer_replaced(group, member, replaced, version, reply)
                return
        elif version >= MEMBER_ID_REQUIRED_SINCE:
            if len(group.pending_members) >= PENDING_MEMBERS_MAX:
                raise KafkaError(ErrorCode.GROUP_MAX_SIZE_REACHED)
            timeout = request.session_timeout_ms
            group.pending_members[member_id] = self._timers.after(timeout, lambda: self._expire_pending(group, member_id))
            reply(join_error(ErrorCode.MEMBER_ID_REQUIRED, member_id))
            return
        self._add(group, member_id, request, client, reply)

    def _expire_pending(self, group: ClassicGroup, member_id: str) -> None:
        pending = group.pending_members.pop(member_id, None)
        if pending is not None:
            pending.cancel()
            self.rebalance.complete_join_without(group)

    def _add(self, group: ClassicGroup, member_id: str, request: JoinGroupRequest, client: Client, reply: Reply) -> None:
        pending = group.pending_members.pop(member_id, None)
        if pending is not None:
            pending.cancel()
        if not group.members:
            group.protocol_type = request.protocol_type
        member = Member(
            member_id,
            request.group_instance_id,
            client.client_id,
            client.client_host,
            _rebalance_timeout(request),
            request.session_timeout_ms,
            _protocols(request),
            is_new=True,
            join_reply=reply,
        )
        if group.state is GroupState.PREPARING_REBALANCE and group.previous_state is GroupState.EMPTY:
            group.new_member_added = True
        group.add(member)
        self._timers.restart_session(group, member)
        self.rebalance.prepare_or_complete(group, f"member {member_id} joins")

    def _join_known(self, group: ClassicGroup, request: JoinGroupRequest, client: Client, reply: Reply) -> None:
        if request.member_id in group.pending_members:
            if request.group_instance_id is not None:
                raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID)
            self._add(group, request.member_id, request, client, reply)
            return
        member = group.validate_member(request.member_id, request.group_instance_id)
        same = member.protocols == _protocols(request)
        leads = group.leader_id == member.member_id
        if group.state is GroupState.PREPARING_REBALANCE:
            self._update(group, member, request, reply, "rejoins")
        elif group.state is GroupState.COMPLETING_REBALANCE:
            if same:
                # Its answer was lost: it is told the generation again.
                reply(current_generation(group, member, leads=leads))
            else:
                self._update(group, member, request, reply, "has other metadata")
        elif group.state is GroupState.STABLE:
            if leads or not same:
                self._update(group, member, request, reply, "leads and rejoins" if leads else "has other metadata")
            else:
                reply(current_generation(group, member, leads=False))
        else:
            raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID)

    def _update(self, group: ClassicGroup, member: Member, request: JoinGroupRequest, reply: Reply, why: str) -> None:
        # A join that is asked again takes the place of the earlier one, whose answer nobody awaits any more.
        self.rebalance.answer_join(group, member, join_error(ErrorCode.REBALANCE_IN_PROGRESS, member.member_id))
        member.protocols = _protocols(request)
        member.rebalance_timeout_ms = _rebalance_timeout(request)
        member.session_timeout_ms = request.session_timeout_ms
        member.join_reply = reply
        self.rebalance.prepare_or_complete(group, f"member {member.member_id} {why}")

    # Static members.

    def _replace_static(self, group: ClassicGroup, member: Member, new_id: str, request: JoinGroupRequest) -> Replaced:
        """The process behind an instance id was started again: the old one is fenced, the new one takes its place."""
        replaced = Replaced(
            member.member_id, group.leader_id or "", member.protocols, member.rebalance_timeout_ms, member.session_timeout_ms
        )
        group.replace_static(member, new_id)
        self.rebalance.answer_join(group, member, join_error(ErrorCode.FENCED_INSTANCE_ID, replaced.member_id))
        self.rebalance.answer_sync(group, member, ErrorCode.FENCED_INSTANCE_ID)
        group.pending_sync.pop(replaced.member_id, None)
        member.is_new = False
        member.protocols = _protocols(request)
        member.rebalance_timeout_ms = _rebalance_timeout(request)
        member.session_timeout_ms = request.session_timeout_ms
        self._timers.restart_session(group, member)
        return replaced

    def _answer_replaced(self, group: ClassicGroup, member: Member, was: Replaced, version: int, reply: Reply) -> None:
        """A stable group goes on in the same generation, when its protocol stays; any other is rebalanced."""
        if group.state is not GroupState.STABLE or group.select_protocol() != group.protocol_name:
            member.join_reply = reply
            self.rebalance.prepare_or_complete(group, f"static member {member.instance_id} came again")
            return

        def written(code: ErrorCode) -> None:
            if code is not ErrorCode.NONE:
                group.replace_static(member, was.member_id)
                member.protocols = was.protocols
                member.rebalance_timeout_ms, member.session_timeout_ms = was.rebalance_timeout_ms, was.session_timeout_ms
                self._timers.restart_session(group, member)
                reply(join_error(code))
                return
            reply(_unchanged(group, member, was.leader_id, version))

        self._shard.write([group_record(group.group_id, group.to_value())], written)

    # Syncing.

    def sync(self, request: SyncGroupRequest, reply: Reply) -> None:
        try:
            group, member = self._member(request.group_id, request.member_id, request.group_instance_id, request.generation_id)
            if request.protocol_type not in (None, group.protocol_type) or request.protocol_name not in (
                None,
                group.protocol_name,
            ):
                raise KafkaError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
        except KafkaError as error:
            reply(SyncGroupResponse(error_code=error.code))
            return
        if group.state is GroupState.PREPARING_REBALANCE:
            reply(SyncGroupResponse(error_code=ErrorCode.REBALANCE_IN_PROGRESS))
        elif group.state is GroupState.COMPLETING_REBALANCE:
            if member.sync_reply is not None:
                self.rebalance.answer_sync(group, member, ErrorCode.REBALANCE_IN_PROGRESS)
            member.sync_reply = reply
            group.pending_sync.pop(member.member_id, None)
            if group.leader_id == member.member_id:
                self.rebalance.assign(group, {one.member_id: bytes(one.assignment) for one in request.assignments})
        elif group.state is GroupState.STABLE:
            member.sync_reply = reply
            self.rebalance.answer_sync(group, member, ErrorCode.NONE)
        else:
            reply(SyncGroupResponse(error_code=ErrorCode.UNKNOWN_MEMBER_ID))

    def _member(self, group_id: str, member_id: str, instance_id: str | None, generation: int) -> tuple[ClassicGroup, Member]:
        group = self._shard.group(group_id)
        if group is None:
            raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID)
        member = group.validate_member(member_id, instance_id)
        if generation != group.generation:
            raise KafkaError(ErrorCode.ILLEGAL_GENERATION)
        return group, member

    # Living and leaving.

    def heartbeat(self, request: HeartbeatRequest, reply: Reply) -> None:
        try:
            group, member = self._member(request.group_id, request.member_id, request.group_instance_id, request.generation_id)
        except KafkaError as error:
            reply(HeartbeatResponse(error_code=error.code))
            return
        if group.state in (GroupState.EMPTY, GroupState.DEAD):
            reply(HeartbeatResponse(error_code=ErrorCode.UNKNOWN_MEMBER_ID))
            return
        self.heard(group, member)
        preparing = group.state is GroupState.PREPARING_REBALANCE
        reply(HeartbeatResponse(error_code=ErrorCode.REBALANCE_IN_PROGRESS if preparing else ErrorCode.NONE))

    def heard(self, group: ClassicGroup, member: Member) -> None:
        """A sign of life of any kind."""
        self._timers.restart_session(group, member)

    def leave(self, request: LeaveGroupRequest, version: int, reply: Reply) -> None:
        wanted = request.members if version >= LEAVE_MEMBERS_SINCE else [MemberIdentity(member_id=request.member_id)]
        group = self._shard.group(request.group_id)
        answers, removed = [], 0
        for identity in wanted:
            code = ErrorCode.UNKNOWN_MEMBER_ID if group is None else self._leave_one(group, identity)
            removed += code is ErrorCode.NONE
            answers.append(
                MemberResponse(member_id=identity.member_id, group_instance_id=identity.group_instance_id, error_code=code)
            )
        if version >= LEAVE_MEMBERS_SINCE:
            reply(LeaveGroupResponse(members=answers))
        else:
            reply(LeaveGroupResponse(error_code=answers[0].error_code))
        if group is not None and removed:
            self._after_leaving(group)

    def _leave_one(self, group: ClassicGroup, identity: MemberIdentity) -> ErrorCode:
        member_id = identity.member_id
        if member_id == "":
            known = group.static_members.get(identity.group_instance_id or "")
            if known is None:
                return ErrorCode.UNKNOWN_MEMBER_ID
            self.rebalance.drop(group, group.members[known])
            return ErrorCode.NONE
        pending = group.pending_members.pop(member_id, None)
        if pending is not None:
            pending.cancel()
            return ErrorCode.NONE
        try:
            self.rebalance.drop(group, group.validate_member(member_id, identity.group_instance_id))
        except KafkaError as error:
            return error.code
        return ErrorCode.NONE

    def _after_leaving(self, group: ClassicGroup) -> None:
        if group.state in (GroupState.STABLE, GroupState.COMPLETING_REBALANCE):
            self.rebalance.prepare_or_complete(group, "members left")
        else:
            self.rebalance.complete_join_if_all_joined(group)


def _protocols(request: JoinGroupRequest) -> Protocols:
    return [(protocol.name, bytes(protocol.metadata)) for protocol in request.protocols]


def _rebalance_timeout(request: JoinGroupRequest) -> int:
    """Version 0 has none of its own."""
    return request.rebalance_timeout_ms if request.rebalance_timeout_ms >= 0 else request.session_timeout_ms


def _unchanged(group: ClassicGroup, member: Member, old_leader: str, version: int) -> JoinGroupResponse:
    """A static member goes on in the same generation. One that cannot skip the assignment must not think it leads."""
    if version < SKIP_ASSIGNMENT_SINCE:
        response = current_generation(group, member, leads=False)
        response.leader = old_leader
        return response
    leads = group.leader_id == member.member_id
    response = current_generation(group, member, leads=leads)
    response.skip_assignment = leads
    return response
