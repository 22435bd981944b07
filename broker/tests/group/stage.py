"""The stage of the group scenarios: one coordinator on a virtual clock, and members that are called by short names.

Every answer is a line of the trace, in the order in which they are given: `m1: join generation=1 …`; those that come while
time passes say when. Commands take `group=`; without it they mean `g`. Members keep the id they were given, so that
`join m1` after MEMBER_ID_REQUIRED is the second step of KIP-394; `id=new` forgets it.
"""

from collections.abc import Iterator

from broker.clock.randomness import Randomness
from broker.clock.simulated import NodeClock, SimulatedClock
from broker.config import BrokerConfig
from broker.group.classic_group import ClassicGroup
from broker.group.manager import GroupManager
from broker.group.membership import Client
from broker.group.records import OffsetRecord, decode
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.consumer_protocol import ConsumerProtocolSubscription
from broker.protocol.messages.delete_groups import DeleteGroupsRequest
from broker.protocol.messages.describe_groups import DescribeGroupsRequest
from broker.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from broker.protocol.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse
from broker.protocol.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse, MemberIdentity
from broker.protocol.messages.list_groups import ListGroupsRequest
from broker.protocol.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
)
from broker.protocol.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
    OffsetDeleteResponse,
)
from broker.protocol.messages.offset_fetch import OffsetFetchRequestGroup
from broker.protocol.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse

from ..scenarios import Command
from .offsets_log import MemoryOffsetsLog

SETTINGS = {"node.id": "1", "process.roles": "broker,controller"}
JOIN_VERSION, LEAVE_VERSION, COMMIT_VERSION, DESCRIBE_VERSION = 9, 5, 9, 6
SESSION_MS, REBALANCE_MS = 10_000, 60_000


def subscription(topics: list[str]) -> bytes:
    """What a consumer says of itself in JoinGroup."""
    from broker.protocol import codec

    return b"\0\0" + b"".join(codec.encode(ConsumerProtocolSubscription(topics=topics), 0))


def names(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


class GroupStage:
    """See the module."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.log = MemoryOffsetsLog()
        self._node = NodeClock(self.clock)
        self._settings = dict(SETTINGS)
        # By group and name.
        self._ids: dict[tuple[str, str], str] = {}
        self._lives = 0
        self._trace: list[str] = []
        self._since_ms = 0
        self._start()

    def _start(self) -> None:
        self._node = NodeClock(self.clock)
        self._lives += 1
        self.manager = GroupManager(self._node, Randomness(self._lives), BrokerConfig(self._settings), self.log)
        self.manager.start()
        for partition in self.log.partitions:
            self.manager.on_elected(partition)

    # What is said of members.

    def _known(self, command: Command, member: str) -> str:
        """The id of a member; a name nobody has is an id itself."""
        return self._ids.get((command.options.get("group", "g"), member), "" if member == "nobody" else member)

    def _name(self, member_id: str | None) -> str:
        if not member_id:
            return "nobody"
        return next((name for (_, name), known in reversed(self._ids.items()) if known == member_id), "a stranger")

    def _say(self, line: str) -> None:
        passed = self.clock.now_ms - self._since_ms
        self._trace.append(f"after {passed / 1000:g}s: {line}" if passed else line)

    def _said(self) -> list[str]:
        said, self._trace = self._trace, []
        return said

    # Commands: members.

    def do_settings(self, command: Command) -> None:
        """`settings group.max.size=2`: stop and start again with other settings."""
        self._settings |= command.options
        self.manager.close()
        self._node.crash()
        self._start()

    def do_join(self, command: Command) -> list[str]:
        name, options = command.word(0), command.options
        group_id = options.get("group", "g")
        if options.get("id") == "new":
            self._ids.pop((group_id, name), None)
        metadata = subscription(names(options.get("topics", "t")))
        request = JoinGroupRequest(
            group_id=group_id,
            session_timeout_ms=command.milliseconds("session", SESSION_MS),
            rebalance_timeout_ms=-1 if options.get("rebalance") == "none" else command.milliseconds("rebalance", REBALANCE_MS),
            member_id=self._ids.get((group_id, name), options.get("id", "").replace("new", "")),
            group_instance_id=options.get("instance"),
            protocol_type=options.get("type", "consumer"),
            protocols=[
                JoinGroupRequestProtocol(name=protocol, metadata=metadata)
                for protocol in names(options.get("protocols", "range"))
            ],
        )
        client = Client(options.get("client", name), "/127.0.0.1")
        before = self._member_ids(group_id)
        version = command.number("version", JOIN_VERSION)
        self.manager.join_group(request, version, client, lambda response: self._joined(group_id, name, response))
        for member_id in self._member_ids(group_id) - before:
            self._ids.setdefault((group_id, name), member_id)
        return self._said()

    def _joined(self, group_id: str, name: str, response: JoinGroupResponse) -> None:
        code = ErrorCode(response.error_code)
        if code in (ErrorCode.MEMBER_ID_REQUIRED, ErrorCode.NONE):
            self._ids[group_id, name] = response.member_id
        if code is not ErrorCode.NONE:
            self._say(f"{name}: join {code.name}")
            return
        line = f"{name}: join generation={response.generation_id} {response.protocol_type}/{response.protocol_name}"
        line += f" leader={self._name(response.leader)}"
        if response.members:
            line += " members=" + ",".join(
                self._name(one.member_id) + (f"({one.group_instance_id})" if one.group_instance_id else "")
                for one in response.members
            )
        self._say(line + (" skip-assignment" if response.skip_assignment else ""))

    def do_sync(self, command: Command) -> list[str]:
        """`sync m1 assign=m1:a,m2:b`; `protocol=`, `type=` and `generation=` only where they are tested."""
        name, options = command.word(0), command.options
        shares = [part.split(":") for part in names(options.get("assign", ""))]
        request = SyncGroupRequest(
            group_id=options.get("group", "g"),
            generation_id=command.number("generation", self._generation(options.get("group", "g"))),
            member_id=self._known(command, name),
            group_instance_id=options.get("instance"),
            protocol_type=options.get("type"),
            protocol_name=options.get("protocol"),
            assignments=[
                SyncGroupRequestAssignment(member_id=self._known(command, member), assignment=what.encode())
                for member, what in shares
            ],
        )

        def synced(response: SyncGroupResponse) -> None:
            code = ErrorCode(response.error_code)
            given = bytes(response.assignment).decode() or "nothing"
            self._say(f"{name}: sync {code.name}" if code else f"{name}: sync {given}")

        self.manager.sync_group(request, synced)
        return self._said()

    def do_heartbeat(self, command: Command) -> list[str]:
        name, options = command.word(0), command.options
        request = HeartbeatRequest(
            group_id=options.get("group", "g"),
            generation_id=command.number("generation", self._generation(options.get("group", "g"))),
            member_id=self._known(command, name),
            group_instance_id=options.get("instance"),
        )

        def answered(response: HeartbeatResponse) -> None:
            self._say(f"{name}: heartbeat {ErrorCode(response.error_code).name}")

        self.manager.heartbeat(request, answered)
        return self._said()

    def do_leave(self, command: Command) -> list[str]:
        """`leave m1 m2`, or by an administrator: `leave instance=i1`."""
        version, instance = command.number("version", LEAVE_VERSION), command.options.get("instance")
        members = [
            MemberIdentity(member_id=self._known(command, name), group_instance_id=instance)
            for name in command.words or ["nobody"]
        ]
        request = LeaveGroupRequest(group_id=command.options.get("group", "g"), members=members)
        if version < 3:
            request = LeaveGroupRequest(group_id=request.group_id, member_id=members[0].member_id)

        def left(response: LeaveGroupResponse) -> None:
            self._say(f"leave: {ErrorCode(response.error_code).name}")
            for one in response.members:
                who = self._name(one.member_id) if one.member_id else f"instance {one.group_instance_id}"
                self._say(f"  {who}: {ErrorCode(one.error_code).name}")

        self.manager.leave_group(request, version, left)
        return self._said()

    # Commands: offsets.

    def do_commit(self, command: Command) -> list[str]:
        """`commit m1 offset=5 topic=t partition=0 metadata-length=10`; without a member it is a simple consumer's."""
        name, options = command.word(0, "nobody"), command.options
        generation = -1 if name == "nobody" else self._generation(options.get("group", "g"))
        item = OffsetCommitRequestPartition(
            partition_index=command.number("partition"),
            committed_offset=command.number("offset"),
            committed_metadata=options.get("metadata", "") + "x" * command.number("metadata-length"),
        )
        request = OffsetCommitRequest(
            group_id=options.get("group", "g"),
            generation_id_or_member_epoch=command.number("generation", generation),
            member_id=self._known(command, name),
            group_instance_id=options.get("instance"),
            retention_time_ms=command.milliseconds("retention", -1),
            topics=[OffsetCommitRequestTopic(name=options.get("topic", "t"), partitions=[item])],
        )

        def committed(response: OffsetCommitResponse) -> None:
            code = ErrorCode(response.topics[0].partitions[0].error_code)
            self._say(f"commit: {code.name}")

        self.manager.offset_commit(request, command.number("version", COMMIT_VERSION), committed)
        return self._said()

    def do_offsets(self, command: Command) -> list[str]:
        """All offsets of a group."""
        found = self.manager.offset_fetch(OffsetFetchRequestGroup(group_id=command.word(0, "g"), topics=None))
        if found.error_code:
            return [ErrorCode(found.error_code).name]
        lines = [
            f"{t.name}-{p.partition_index}: {p.committed_offset} {p.metadata}".rstrip()
            for t in found.topics
            for p in t.partitions
        ]
        return lines or ["no offsets"]

    def do_delete_offsets(self, command: Command) -> list[str]:
        """`delete-offsets topic=t partition=0`"""
        item = OffsetDeleteRequestPartition(partition_index=command.number("partition"))
        topic = OffsetDeleteRequestTopic(name=command.options.get("topic", "t"), partitions=[item])
        request = OffsetDeleteRequest(group_id=command.options.get("group", "g"), topics=[topic])

        def deleted(response: OffsetDeleteResponse) -> None:
            self._say(f"delete-offsets: {ErrorCode(response.error_code).name}")
            for one in response.topics:
                for part in one.partitions:
                    self._say(f"  {one.name}-{part.partition_index}: {ErrorCode(part.error_code).name}")

        self.manager.offset_delete(request, deleted)
        return self._said()

    def do_delete_topic(self, command: Command) -> None:
        self.manager.forget_topic(command.word(0))

    # Commands: administration.

    def do_list(self, command: Command) -> list[str]:
        """`list states=stable,empty types=classic`"""
        options = command.options
        request = ListGroupsRequest(states_filter=names(options.get("states", "")), types_filter=names(options.get("types", "")))
        found = self.manager.list_groups(request).groups
        lines = [f"{one.group_id}: {one.protocol_type or 'simple'} {one.group_state} {one.group_type}" for one in found]
        return sorted(lines) or ["no groups"]

    def do_describe(self, command: Command) -> Iterator[str]:
        request = DescribeGroupsRequest(groups=[command.word(0, "g")])
        group = self.manager.describe_groups(request, command.number("version", DESCRIBE_VERSION)).groups[0]
        code = ErrorCode(group.error_code)
        yield f"{group.group_id}: {group.group_state} {group.protocol_type}/{group.protocol_data}" + (
            f" {code.name}" if code else ""
        )
        for one in group.members:
            instance = f" instance={one.group_instance_id}" if one.group_instance_id else ""
            assigned = bytes(one.member_assignment).decode()
            yield (
                f"  {self._name(one.member_id)}{instance} client={one.client_id}{one.client_host}"
                f" metadata={len(one.member_metadata)}B assignment={assigned or 'nothing'}"
            )

    def do_delete_group(self, command: Command) -> list[str]:
        def deleted(response: object) -> None:
            for one in response.results:  # type: ignore[attr-defined]
                self._say(f"{one.group_id or 'unnamed'}: {ErrorCode(one.error_code).name}")

        self.manager.delete_groups(DeleteGroupsRequest(groups_names=list(command.words) or [""]), deleted)
        return self._said()

    # Commands: time, disk, leadership.

    def do_tick(self, command: Command) -> list[str]:
        self._since_ms = self.clock.now_ms
        self.clock.run_until(self.clock.now_ms + command.milliseconds(0))
        said = self._said()
        self._since_ms = self.clock.now_ms
        return said

    def do_crash(self, command: Command) -> None:
        """The process dies and is started again: what is not in the log is gone."""
        self._node.crash()
        self._start()

    def do_resign(self, command: Command) -> list[str]:
        self.manager.on_resigned(0)
        return self._said()

    def do_elect(self, command: Command) -> None:
        self.manager.on_elected(0)

    def do_refuse(self, command: Command) -> None:
        """The next append fails with this code."""
        self.log.refuse = ErrorCode[command.word(0)]

    def do_hold(self, command: Command) -> None:
        """Appends are written, but their commit is not told before `release`."""
        self.log.hold = True

    def do_release(self, command: Command) -> list[str]:
        self.log.release(ErrorCode[command.word(0, "NONE")])
        return self._said()

    def do_log(self, command: Command) -> Iterator[str]:
        """The records, or how many there are: `log count`."""
        if command.flag("count"):
            yield f"{len(self.log.partitions[0])} records"
            return
        for key, value in self.log.partitions[0]:
            record = decode(key, value)
            assert record is not None
            if isinstance(record, OffsetRecord):
                what = "tombstone" if record.value is None else str(record.value.offset)
                yield f"offset {record.group} {record.topic}-{record.partition}: {what}"
            else:
                shown = record.value
                what = "tombstone" if shown is None else f"generation={shown.generation} members={len(shown.members)}"
                yield f"group {record.group}: {what}"

    # What is in memory.

    def _group(self, group_id: str) -> ClassicGroup | None:
        coordinator = self.manager._coordinators.get(0)
        return coordinator.shard.group(group_id) if coordinator is not None else None

    def _member_ids(self, group_id: str) -> set[str]:
        group = self._group(group_id)
        return set(group.members) if group is not None else set()

    def _generation(self, group_id: str) -> int:
        group = self._group(group_id)
        return group.generation if group is not None else 0

    def do_state(self, command: Command) -> str:
        group = self._group(command.word(0, "g"))
        if group is None:
            return "no group"
        line = f"{group.state} generation={group.generation} protocol={group.protocol_name} leader={self._name(group.leader_id)}"
        members = [self._name(member) + (f"({m.instance_id})" if m.instance_id else "") for member, m in group.members.items()]
        line += f" members={','.join(members) or 'none'}"
        if group.pending_members:
            line += f" pending={','.join(self._name(member) for member in group.pending_members)}"
        return line
