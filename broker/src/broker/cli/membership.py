"""A member of a classic group: joining, its assignment, heartbeats, commits, leaving. Source: AbstractCoordinator.

Eager protocol with the range assignor: for every rebalance all partitions are given up, after their offsets were committed.
The group's coordinator is asked on a connection of its own. Not done: heartbeats from a thread of their own, so whoever
uses this calls `beat` more often than the session time-out.
"""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

from broker.cli.cluster import Cluster
from broker.cli.failures import Unavailable, check
from broker.cli.group_offsets import commit, committed
from broker.cli.offsets import TopicPartition
from broker.cli.retrying import PAUSE_S
from broker.client.consumer_protocol import (
    PROTOCOL_TYPE,
    RANGE,
    assign_range,
    decode_assignment,
    decode_subscription,
    encode_assignment,
    encode_subscription,
)
from broker.client.retriable import STALE_COORDINATOR, error_of
from broker.protocol.codec import MalformedMessage
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.message import Request, Response
from broker.protocol.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from broker.protocol.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse
from broker.protocol.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse, MemberIdentity
from broker.protocol.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse

NO_MEMBER = ""
NO_GENERATION = -1
# Beyond the rebalance time-out, for the answer to a JoinGroup.
ANSWER_S = 5.0
# How long a coordinator may be away before the member gives up.
UNAVAILABLE_S = 60.0
# The coordinator does not know the member: it joins as somebody new.
FORGOTTEN = frozenset({ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.GROUP_ID_NOT_FOUND})
# The member is no longer in the generation: it joins again.
REJOIN = FORGOTTEN | {ErrorCode.REBALANCE_IN_PROGRESS, ErrorCode.ILLEGAL_GENERATION}
R = TypeVar("R", bound=Response)


class MemberSettings(NamedTuple):
    """As the settings of Kafka's consumer with these names."""

    session_timeout_ms: int = 45_000
    heartbeat_interval_ms: int = 3_000
    max_poll_interval_ms: int = 300_000
    group_instance_id: str | None = None


class Rejoin(Exception):
    """The group goes into another generation."""


class Member:
    """See the module. `partition_counts` gives the partitions of topics, for the assignment when this member leads."""

    def __init__(
        self,
        cluster: Cluster,
        group: str,
        settings: MemberSettings,
        partition_counts: Callable[[set[str]], Mapping[str, int]],
    ) -> None:
        self._cluster, self._group, self._settings = cluster, group, settings
        self._partition_counts = partition_counts
        self._member_id = NO_MEMBER
        self._generation_id = NO_GENERATION
        self._next_beat = 0.0
        self.leads = False

    @property
    def joined(self) -> bool:
        return self._generation_id != NO_GENERATION

    def join(self, topics: set[str]) -> list[TopicPartition]:
        """Become, or stay, a member; the partitions this one is to read. KafkaError when the group does not take it."""
        patience_s = UNAVAILABLE_S + self._settings.max_poll_interval_ms / 1000
        deadline = time.monotonic() + patience_s
        while True:
            try:
                assigned = self._sync(self._join(topics))
                self._next_beat = time.monotonic() + self._settings.heartbeat_interval_ms / 1000
                return assigned
            except Rejoin:
                if time.monotonic() > deadline:
                    text = f"group '{self._group}' did not come to rest in {patience_s:.0f} s"
                    raise KafkaError(ErrorCode.REBALANCE_IN_PROGRESS, text) from None

    def _join(self, topics: set[str]) -> JoinGroupResponse:
        def request() -> JoinGroupRequest:
            return JoinGroupRequest(
                group_id=self._group,
                session_timeout_ms=self._settings.session_timeout_ms,
                rebalance_timeout_ms=self._settings.max_poll_interval_ms,
                member_id=self._member_id,
                group_instance_id=self._settings.group_instance_id,
                protocol_type=PROTOCOL_TYPE,
                protocols=[JoinGroupRequestProtocol(name=RANGE, metadata=encode_subscription(topics))],
            )

        timeout_s = self._settings.max_poll_interval_ms / 1000 + ANSWER_S
        response = self._ask(request, JoinGroupResponse, lambda answer: answer.error_code, timeout_s)
        self._member_id, self._generation_id = response.member_id, response.generation_id
        self.leads = response.leader == response.member_id
        return response

    def _sync(self, joined: JoinGroupResponse) -> list[TopicPartition]:
        assignments = self._assign(joined) if self.leads and not joined.skip_assignment else []
        request = SyncGroupRequest(
            group_id=self._group,
            generation_id=self._generation_id,
            member_id=self._member_id,
            group_instance_id=self._settings.group_instance_id,
            protocol_type=PROTOCOL_TYPE,
            protocol_name=joined.protocol_name,
            assignments=assignments,
        )
        timeout_s = self._settings.max_poll_interval_ms / 1000 + ANSWER_S
        response = self._ask(lambda: request, SyncGroupResponse, lambda answer: answer.error_code, timeout_s)
        try:
            return decode_assignment(response.assignment)
        except MalformedMessage as error:
            raise KafkaError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, f"group '{self._group}': {error}") from error

    def _assign(self, joined: JoinGroupResponse) -> list[SyncGroupRequestAssignment]:
        wanted = {one.member_id: decode_subscription(one.metadata).topics for one in joined.members}
        counts = self._partition_counts({topic for topics in wanted.values() for topic in topics})
        return [
            SyncGroupRequestAssignment(member_id=member, assignment=encode_assignment(partitions))
            for member, partitions in assign_range(wanted, counts).items()
        ]

    def beat(self) -> None:
        """A heartbeat when one is due. Rejoin when the group rebalances."""
        now = time.monotonic()
        if now < self._next_beat:
            return
        self._next_beat = now + self._settings.heartbeat_interval_ms / 1000
        request = HeartbeatRequest(
            group_id=self._group,
            generation_id=self._generation_id,
            member_id=self._member_id,
            group_instance_id=self._settings.group_instance_id,
        )
        self._ask(lambda: request, HeartbeatResponse, lambda answer: answer.error_code)

    def committed(self) -> dict[TopicPartition, int]:
        """The group's offsets."""
        return {partition: one.offset for partition, one in committed(self._cluster, self._group).items()}

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """Commit as a member of this generation. Rejoin when it is over."""
        try:
            commit(
                self._cluster,
                self._group,
                positions,
                generation_id=self._generation_id,
                member_id=self._member_id,
                group_instance_id=self._settings.group_instance_id,
            )
        except KafkaError as error:
            self._check(error.code)
            raise

    def leave(self) -> None:
        """A static member stays: its session time-out decides. Without an answer it is no matter either."""
        if not self.joined or self._settings.group_instance_id is not None:
            return
        identity = MemberIdentity(member_id=self._member_id, reason="the consumer is being closed")
        request = LeaveGroupRequest(group_id=self._group, members=[identity])
        self._generation_id = NO_GENERATION
        try:
            self._cluster.coordinator(self._group).ask(request, LeaveGroupResponse, timeout_s=ANSWER_S)
        except (Unavailable, KafkaError):
            return

    def _ask(
        self, request: Callable[[], Request], response: type[R], code_of: Callable[[R], int], timeout_s: float | None = None
    ) -> R:
        """Ask the coordinator, wherever it is. Rejoin, or KafkaError."""
        deadline = time.monotonic() + UNAVAILABLE_S
        while True:
            try:
                answer = self._cluster.coordinator(self._group).ask(request(), response, timeout_s=timeout_s)
                code = error_of(code_of(answer))
                if code is ErrorCode.MEMBER_ID_REQUIRED and isinstance(answer, JoinGroupResponse):
                    self._member_id = answer.member_id
                    continue
                if code not in STALE_COORDINATOR or time.monotonic() > deadline:
                    self._check(code)
                    return answer
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
            self._cluster.forget_coordinator(self._group)
            time.sleep(PAUSE_S)

    def _check(self, code: ErrorCode) -> None:
        if code in REJOIN:
            if code is not ErrorCode.REBALANCE_IN_PROGRESS:
                self._generation_id = NO_GENERATION
            if code in FORGOTTEN:
                self._member_id = NO_MEMBER
            raise Rejoin
        check(code, f"group '{self._group}'")
