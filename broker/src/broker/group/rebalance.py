"""The phases of a rebalance: everybody joins, the leader assigns, everybody syncs. Source: ``GroupMetadataManager`` (classic).

Owns every change of a group's state. Leaves out: the requests that cause one (`membership`).
"""

import logging

from broker.clock.port import Clock
from broker.config import BrokerConfig
from broker.group.classic_group import ClassicGroup, GroupState, Member
from broker.group.records import group_record
from broker.group.shard import Shard
from broker.group.timers import GroupTimers
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.join_group import JoinGroupResponse, JoinGroupResponseMember
from broker.protocol.messages.sync_group import SyncGroupResponse

log = logging.getLogger("broker.group")


def join_error(code: ErrorCode, member_id: str = "") -> JoinGroupResponse:
    return JoinGroupResponse(error_code=code, member_id=member_id, protocol_name=None)


def current_generation(group: ClassicGroup, member: Member, *, leads: bool) -> JoinGroupResponse:
    """The group's generation as a member is told of it; the members are for the leader alone."""
    told = group.members.values() if leads else ()
    return JoinGroupResponse(
        generation_id=group.generation,
        protocol_type=group.protocol_type,
        protocol_name=group.protocol_name,
        leader=group.leader_id or "",
        member_id=member.member_id,
        members=[
            JoinGroupResponseMember(
                member_id=one.member_id, group_instance_id=one.instance_id, metadata=one.metadata(group.protocol_name)
            )
            for one in told
        ],
    )


class Rebalance:
    """The state machine of the groups of one shard."""

    def __init__(self, shard: Shard, clock: Clock, config: BrokerConfig) -> None:
        self._shard = shard
        self._clock = clock
        self._initial_delay_ms: int = config.value("group.initial.rebalance.delay.ms")
        self.timers = GroupTimers(clock, lambda group, member: self.remove(group, member, "its session timed out"))

    # The join phase.

    def prepare_or_complete(self, group: ClassicGroup, why: str) -> None:
        """Somebody came, changed or went."""
        if group.can_rebalance:
            self._prepare(group, why)
        else:
            self.complete_join_if_all_joined(group)

    def _prepare(self, group: ClassicGroup, why: str) -> None:
        log.info("group %s begins a rebalance from generation %d: %s", group.group_id, group.generation, why)
        if group.state is GroupState.COMPLETING_REBALANCE:
            self.fail_sync(group, ErrorCode.REBALANCE_IN_PROGRESS)
        self.timers.cancel_sync(group)
        initial = group.state is GroupState.EMPTY
        group.move_to(GroupState.PREPARING_REBALANCE, self._clock.wall_ms())
        if initial:
            remaining = max(group.rebalance_timeout_ms - self._initial_delay_ms, 0)
            self._wait_for_more(group, self._initial_delay_ms, remaining)
        elif group.all_have_joined:
            self._complete_join(group)
        else:
            self.timers.set_join(group, group.rebalance_timeout_ms, lambda: self._complete_join(group))

    def _wait_for_more(self, group: ClassicGroup, delay_ms: int, remaining_ms: int) -> None:
        """The first rebalance waits, and waits on while members keep coming."""

        def over() -> None:
            if group.new_member_added and remaining_ms:
                group.new_member_added = False
                self._wait_for_more(group, min(self._initial_delay_ms, remaining_ms), max(remaining_ms - delay_ms, 0))
            else:
                self._complete_join(group)

        self.timers.set_join(group, delay_ms, over)

    def complete_join_if_all_joined(self, group: ClassicGroup) -> None:
        """Not the first rebalance: it waits for more to come."""
        if group.previous_state is not GroupState.EMPTY:
            self.complete_join_without(group)

    def complete_join_without(self, group: ClassicGroup) -> None:
        """Somebody was taken out: perhaps all others are there."""
        if group.state is GroupState.PREPARING_REBALANCE and group.all_have_joined:
            self._complete_join(group)

    def _complete_join(self, group: ClassicGroup) -> None:
        self.timers.cancel_join(group)
        if group.state is not GroupState.PREPARING_REBALANCE:
            return
        for member in [m for m in group.members.values() if m.join_reply is None and m.instance_id is None]:
            self.timers.stop_session(member)
            group.remove(member.member_id)
        if group.members and not group.elect_joined_leader():
            # Only static members, and none came: give them another round.
            self.timers.set_join(group, group.rebalance_timeout_ms, lambda: self._complete_join(group))
            return
        group.next_generation(self._clock.wall_ms())
        group.new_member_added = False
        if not group.members:
            self._write_empty(group)
            return
        for member in list(group.members.values()):
            self.answer_join(group, member, current_generation(group, member, leads=group.leader_id == member.member_id))
            member.is_new = False
            self.timers.restart_session(group, member)
            group.pending_sync[member.member_id] = None
        self.timers.set_sync(group, group.rebalance_timeout_ms, lambda: self._expire_sync(group, group.generation))

    def _write_empty(self, group: ClassicGroup) -> None:
        def written(code: ErrorCode) -> None:
            if code is not ErrorCode.NONE:
                # Its members are gone either way; after a restart they are found gone a session later.
                log.warning("that group %s is empty could not be written: %s", group.group_id, code.name)

        self._shard.write([group_record(group.group_id, group.to_value())], written)

    @staticmethod
    def answer_join(group: ClassicGroup, member: Member, response: JoinGroupResponse) -> None:
        reply, member.join_reply = member.join_reply, None
        if reply is not None:
            reply(response)

    # The sync phase.

    def assign(self, group: ClassicGroup, assignments: dict[str, bytes]) -> None:
        """The leader has spoken: write it, then tell everybody. Nobody is shown what is not committed."""
        generation = group.generation

        def written(code: ErrorCode) -> None:
            if group.state is not GroupState.COMPLETING_REBALANCE or group.generation != generation:
                return
            if code is not ErrorCode.NONE:
                self.fail_sync(group, code)
                self._prepare(group, f"the assignment could not be written: {code.name}")
                return
            for member in group.members.values():
                member.assignment = assignments.get(member.member_id, b"")
            group.move_to(GroupState.STABLE, self._clock.wall_ms())
            self.tell_assignments(group)

        self._shard.write([group_record(group.group_id, group.to_value(assignments))], written)

    def tell_assignments(self, group: ClassicGroup) -> None:
        for member in list(group.members.values()):
            self.answer_sync(group, member, ErrorCode.NONE)

    def answer_sync(self, group: ClassicGroup, member: Member, code: ErrorCode) -> None:
        reply, member.sync_reply = member.sync_reply, None
        if reply is None:
            return
        group.pending_sync.pop(member.member_id, None)
        if not group.pending_sync:
            self.timers.cancel_sync(group)
        # Its session may have run out while it waited, which was no death; the next one begins whatever it is told.
        self.timers.restart_session(group, member)
        if code is ErrorCode.NONE:
            reply(
                SyncGroupResponse(
                    protocol_type=group.protocol_type, protocol_name=group.protocol_name, assignment=member.assignment
                )
            )
        else:
            reply(SyncGroupResponse(error_code=code))

    def fail_sync(self, group: ClassicGroup, code: ErrorCode) -> None:
        for member in list(group.members.values()):
            member.assignment = b""
            self.answer_sync(group, member, code)

    def _expire_sync(self, group: ClassicGroup, generation: int) -> None:
        """Whoever has not synced in time is out."""
        group.sync_timer = None
        if group.generation != generation or group.state not in (GroupState.COMPLETING_REBALANCE, GroupState.STABLE):
            return
        late = [group.members[member_id] for member_id in group.pending_sync if member_id in group.members]
        if not late:
            return
        for member in late:
            self.timers.stop_session(member)
            group.remove(member.member_id)
        self._prepare(group, f"{len(late)} members did not sync in time")

    # Members that go.

    def remove(self, group: ClassicGroup, member: Member, why: str) -> None:
        """A member is gone: the others are rebalanced."""
        self.drop(group, member)
        if group.state in (GroupState.STABLE, GroupState.COMPLETING_REBALANCE):
            self.prepare_or_complete(group, f"member {member.member_id} is gone: {why}")
        else:
            self.complete_join_without(group)

    def drop(self, group: ClassicGroup, member: Member) -> None:
        """Take a member out, answering what it still waits for."""
        self.timers.stop_session(member)
        self.answer_join(group, member, join_error(ErrorCode.UNKNOWN_MEMBER_ID))
        reply, member.sync_reply = member.sync_reply, None
        if reply is not None:
            reply(SyncGroupResponse(error_code=ErrorCode.UNKNOWN_MEMBER_ID))
        group.remove(member.member_id)
