"""The group coordinator of a node: finds the partition of `__consumer_offsets` that keeps a group, and asks its shard.

Invariant: a shard exists exactly while this node leads its partition; a group of another partition is answered
NOT_COORDINATOR, and clients look for its coordinator anew. Source: ``GroupCoordinatorService``.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from broker.clock.port import Clock, Timer
from broker.clock.randomness import Randomness
from broker.config import BrokerConfig
from broker.group.classic_group import ClassicGroup, GroupState, Member, Reply
from broker.group.membership import Client, Membership
from broker.group.offsets import Offsets, commit_error
from broker.group.ports import OffsetsLog
from broker.group.rebalance import join_error
from broker.group.shard import Shard
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.delete_groups import DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse
from broker.protocol.messages.describe_groups import (
    DescribedGroup,
    DescribedGroupMember,
    DescribeGroupsRequest,
    DescribeGroupsResponse,
)
from broker.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from broker.protocol.messages.join_group import JoinGroupRequest
from broker.protocol.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse
from broker.protocol.messages.list_groups import ListedGroup, ListGroupsRequest, ListGroupsResponse
from broker.protocol.messages.offset_commit import OffsetCommitRequest
from broker.protocol.messages.offset_delete import OffsetDeleteRequest, OffsetDeleteResponse
from broker.protocol.messages.offset_fetch import OffsetFetchRequestGroup, OffsetFetchResponseGroup
from broker.protocol.messages.sync_group import SyncGroupRequest, SyncGroupResponse

log = logging.getLogger("broker.group")
CLASSIC = "classic"
GROUP_ID_NOT_FOUND_IN_DESCRIBE_SINCE = 6
# A partition that cannot be read, for lack of room to make it, is tried again after this time.
LOAD_RETRY_MS = 1000
# How much of an id a message repeats: an id may be as long as any text, and a message no longer.
SHOWN_CHARACTERS = 1000


@dataclass(slots=True)
class Coordinator:
    """One shard with those who act on it."""

    shard: Shard
    membership: Membership
    offsets: Offsets


def partition_of(group_id: str, count: int) -> int:
    """Which partition keeps a group: Java's hash of its name, as Kafka has it."""
    hashed = 0
    for unit in _utf16(group_id):
        hashed = (hashed * 31 + unit) & 0xFFFFFFFF
    signed = hashed - 2**32 if hashed >= 2**31 else hashed
    # The one number without an absolute value counts as 0 (``Utils.abs``).
    return 0 if signed == -(2**31) else abs(signed) % count


def _utf16(text: str) -> Iterable[int]:
    data = text.encode("utf-16-be", "surrogatepass")
    return (int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))


class GroupManager:
    """See the module."""

    def __init__(self, clock: Clock, randomness: Randomness, config: BrokerConfig, offsets_log: OffsetsLog) -> None:
        self._clock = clock
        self._randomness = randomness
        self._config = config
        self._log = offsets_log
        self._coordinators: dict[int, Coordinator] = {}
        self._loading: dict[int, Shard] = {}
        self._timer: Timer | None = None

    # Which partitions are ours.

    def start(self) -> None:
        self._schedule_expiry()

    def on_elected(self, partition: int) -> None:
        """This node leads the partition now: load its groups, which takes its time."""
        self.on_resigned(partition)
        shard = Shard(partition, self._log)
        self._loading[partition] = shard
        self._load_some(shard, shard.load())

    def _load_some(self, shard: Shard, steps: Iterator[None]) -> None:
        if self._loading.get(shard.partition) is not shard:
            return  # Another node leads by now.
        try:
            for _ in steps:
                self._clock.call_soon(lambda: self._load_some(shard, steps))
                return
            self._log.when_committed(shard.partition, lambda: self._loaded(shard))
        except KafkaError as error:
            log.warning("__consumer_offsets-%d cannot be loaded now: %s", shard.partition, error)
            self._clock.call_at(self._clock.monotonic_ms() + LOAD_RETRY_MS, lambda: self._load_again(shard))

    def _load_again(self, shard: Shard) -> None:
        if self._loading.get(shard.partition) is shard:
            self.on_elected(shard.partition)

    def _loaded(self, shard: Shard) -> None:
        """Everything that was there is known, and no failover can take it back: this coordinator answers from now on."""
        if self._loading.get(shard.partition) is not shard:
            return
        del self._loading[shard.partition]
        membership = Membership(shard, self._clock, self._randomness, self._config)
        coordinator = Coordinator(shard, membership, Offsets(shard, membership, self._clock, self._config))
        self._coordinators[shard.partition] = coordinator
        for group in list(shard.groups.values()):
            for member in group.members.values():
                membership.heard(group, member)
            membership.shrink(group)

    def on_resigned(self, partition: int) -> None:
        """Another node leads the partition now, or this one stops: whoever waits is told to look for the coordinator anew."""
        self._loading.pop(partition, None)
        coordinator = self._coordinators.pop(partition, None)
        if coordinator is None:
            return
        for group in coordinator.shard.groups.values():
            coordinator.membership.rebalance.timers.stop_all(group)
            for member in list(group.members.values()):
                coordinator.membership.rebalance.answer_join(
                    group, member, join_error(ErrorCode.NOT_COORDINATOR, member.member_id)
                )
                reply, member.sync_reply = member.sync_reply, None
                if reply is not None:
                    reply(SyncGroupResponse(error_code=ErrorCode.NOT_COORDINATOR))

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for partition in [*self._coordinators, *self._loading]:
            self.on_resigned(partition)

    def _schedule_expiry(self) -> None:
        interval = self._config.value("offsets.retention.check.interval.ms")
        self._timer = self._clock.call_at(self._clock.monotonic_ms() + interval, self._expire)

    def _expire(self) -> None:
        for coordinator in self._coordinators.values():
            coordinator.offsets.expire()
        self._schedule_expiry()

    def forget_topic(self, topic: str) -> None:
        """A topic was deleted."""
        for coordinator in self._coordinators.values():
            coordinator.offsets.forget_topic(topic)

    def ensure_topic(self) -> None:
        """Ask for `__consumer_offsets` to be made, with the settings that the coordinator wants."""
        self._log.ensure_topic()

    def leader_of(self, group_id: str) -> int:
        """The node that coordinates a group; KafkaError(COORDINATOR_NOT_AVAILABLE) while there is none."""
        count = self._log.partition_count()
        if count == 0:
            self._log.ensure_topic()
            raise KafkaError(ErrorCode.COORDINATOR_NOT_AVAILABLE)
        leader = self._log.leader_id(partition_of(group_id, count))
        if leader < 0:
            raise KafkaError(ErrorCode.COORDINATOR_NOT_AVAILABLE)
        return leader

    def _find(self, group_id: str, *, empty_allowed: bool = False) -> Coordinator:
        if not group_id and not empty_allowed:
            raise KafkaError(ErrorCode.INVALID_GROUP_ID)
        count = self._log.partition_count()
        partition = partition_of(group_id, count) if count else -1
        coordinator = self._coordinators.get(partition)
        if coordinator is None:
            loading = partition in self._loading
            raise KafkaError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS if loading else ErrorCode.NOT_COORDINATOR)
        return coordinator

    # Members.

    def join_group(self, request: JoinGroupRequest, version: int, client: Client, reply: Reply) -> None:
        try:
            self._find(request.group_id).membership.join(request, version, client, reply)
        except KafkaError as error:
            reply(join_error(error.code, request.member_id))

    def sync_group(self, request: SyncGroupRequest, reply: Reply) -> None:
        try:
            self._find(request.group_id).membership.sync(request, reply)
        except KafkaError as error:
            reply(SyncGroupResponse(error_code=error.code))

    def heartbeat(self, request: HeartbeatRequest, reply: Reply) -> None:
        try:
            self._find(request.group_id).membership.heartbeat(request, reply)
        except KafkaError as error:
            reply(HeartbeatResponse(error_code=error.code))

    def leave_group(self, request: LeaveGroupRequest, version: int, reply: Reply) -> None:
        try:
            coordinator = self._find(request.group_id)
        except KafkaError as error:
            reply(LeaveGroupResponse(error_code=error.code))
            return
        coordinator.membership.leave(request, version, reply)

    # Offsets.

    def offset_commit(self, request: OffsetCommitRequest, version: int, reply: Reply) -> None:
        try:
            self._find(request.group_id, empty_allowed=True).offsets.commit(request, version, reply)
        except KafkaError as error:
            reply(commit_error(request, error.code))

    def offset_fetch(self, request: OffsetFetchRequestGroup) -> OffsetFetchResponseGroup:
        try:
            return self._find(request.group_id, empty_allowed=True).offsets.fetch(request)
        except KafkaError as error:
            return OffsetFetchResponseGroup(group_id=request.group_id, error_code=error.code)

    def offset_delete(self, request: OffsetDeleteRequest, reply: Reply) -> None:
        try:
            self._find(request.group_id).offsets.delete(request, reply)
        except KafkaError as error:
            reply(OffsetDeleteResponse(error_code=error.code))

    # Administration.

    def list_groups(self, request: ListGroupsRequest) -> ListGroupsResponse:
        states = {state.strip().lower() for state in request.states_filter}
        types = {kind.strip().lower() for kind in request.types_filter}
        found = [
            ListedGroup(
                group_id=group.group_id,
                protocol_type=group.protocol_type or "",
                group_state=group.state.value,
                group_type=CLASSIC,
            )
            for _, coordinator in sorted(self._coordinators.items())
            for group in coordinator.shard.groups.values()
            if (not states or group.state.value.lower() in states) and (not types or CLASSIC in types)
        ]
        return ListGroupsResponse(groups=found)

    def describe_groups(self, request: DescribeGroupsRequest, version: int) -> DescribeGroupsResponse:
        return DescribeGroupsResponse(groups=[self._describe(group_id, version) for group_id in request.groups])

    def _describe(self, group_id: str, version: int) -> DescribedGroup:
        try:
            group = self._find(group_id, empty_allowed=True).shard.group(group_id)
        except KafkaError as error:
            return DescribedGroup(group_id=group_id, error_code=error.code)
        if group is None:
            described = DescribedGroup(group_id=group_id, group_state=GroupState.DEAD.value)
            if version >= GROUP_ID_NOT_FOUND_IN_DESCRIBE_SINCE:
                described.error_code = ErrorCode.GROUP_ID_NOT_FOUND
                described.error_message = f"Group {group_id[:SHOWN_CHARACTERS]} not found."
            return described
        stable = group.state is GroupState.STABLE
        return DescribedGroup(
            group_id=group_id,
            group_state=group.state.value,
            protocol_type=group.protocol_type or "",
            protocol_data=(group.protocol_name or "") if stable else "",
            members=[_described(group, member, with_metadata=stable) for member in group.members.values()],
        )

    def delete_groups(self, request: DeleteGroupsRequest, reply: Reply) -> None:
        """Delete groups without members, with their offsets; answered when all are decided."""
        results: dict[str, ErrorCode | None] = dict.fromkeys(request.groups_names)

        def decided(group_id: str, code: ErrorCode) -> None:
            results[group_id] = code
            if None not in results.values():
                reply(_deleted(results))

        if not results:
            reply(DeleteGroupsResponse())
        for group_id in list(results):
            self._delete(group_id, decided)

    def _delete(self, group_id: str, decided: Callable[[str, ErrorCode], None]) -> None:
        try:
            coordinator = self._find(group_id, empty_allowed=True)
            group = coordinator.shard.group(group_id)
            if group is None:
                raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND)
            if group.state is not GroupState.EMPTY:
                raise KafkaError(ErrorCode.NON_EMPTY_GROUP)
        except KafkaError as error:
            decided(group_id, error.code)
            return
        coordinator.membership.rebalance.timers.stop_all(group)
        coordinator.shard.write(coordinator.offsets.tombstones(group_id), lambda code: decided(group_id, code))


def _described(group: ClassicGroup, member: Member, *, with_metadata: bool) -> DescribedGroupMember:
    return DescribedGroupMember(
        member_id=member.member_id,
        group_instance_id=member.instance_id,
        client_id=member.client_id,
        client_host=member.client_host,
        member_metadata=member.metadata(group.protocol_name) if with_metadata else b"",
        member_assignment=member.assignment,
    )


def _deleted(results: dict[str, ErrorCode | None]) -> DeleteGroupsResponse:
    return DeleteGroupsResponse(
        results=[DeletableGroupResult(group_id=name, error_code=code or ErrorCode.NONE) for name, code in results.items()]
    )
