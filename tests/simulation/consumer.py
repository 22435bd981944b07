"""A member of a classic consumer group: joins, is assigned partitions, reads, commits what it has read, joins again.

It reads and commits over connections of their own, as Kafka's clients do; in a cluster it reads from the leaders, and looks
for the group's coordinator again when that has moved, without joining anew. What it does not know it reads from the start of
the log.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from broker.client.consumer_protocol import (
    PROTOCOL_TYPE,
    RANGE,
    assign_range,
    decode_assignment,
    decode_subscription,
    encode_assignment,
    encode_subscription,
)
from broker.client.retriable import RETRIABLE, STALE_METADATA, error_of
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.message import Request
from broker.protocol.messages.fetch import FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData
from broker.protocol.messages.find_coordinator import FindCoordinatorRequest
from broker.protocol.messages.heartbeat import HeartbeatRequest
from broker.protocol.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol
from broker.protocol.messages.leave_group import LeaveGroupRequest, MemberIdentity
from broker.protocol.messages.offset_commit import OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic
from broker.protocol.messages.offset_fetch import OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics
from broker.protocol.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment
from broker.record.batch import check_crc, iter_batches
from broker.record.records import Record, iter_records
from simulation.ledger import Ledger, broken
from simulation.routes import NO_EPOCH, Leader
from simulation.script import RETRY_MS, Client, Script, all_of
from simulation.world import Simulation


class Patience(NamedTuple):
    """How long a member waits, in milliseconds."""

    session_ms: int
    rebalance_ms: int
    heartbeat_ms: int
    fetch_wait_ms: int


ALONE = Patience(6_000, 5_000, 1_500, 300)
IN_CLUSTER = Patience(3_000, 3_000, 1_000, 500)
EPOCHS_SINCE = 9  # Fetch says the epoch of the leader it means.
NAMED_UNTIL = 9  # OffsetCommit and OffsetFetch name topics up to this version.
# What makes a member join again.
REJOIN = frozenset(
    {
        ErrorCode.ILLEGAL_GENERATION,
        ErrorCode.UNKNOWN_MEMBER_ID,
        ErrorCode.REBALANCE_IN_PROGRESS,
        ErrorCode.MEMBER_ID_REQUIRED,
        ErrorCode.GROUP_ID_NOT_FOUND,
        ErrorCode.FENCED_INSTANCE_ID,
    }
)


class Rejoin(Exception):
    """The generation is over for this member."""


class Consumer(Client):
    """See the module. `topics`: id and partition count by name."""

    def __init__(
        self,
        simulation: Simulation,
        ledger: Ledger,
        name: str,
        brokers: str | Sequence[str],
        *,
        group: str,
        topics: dict[str, tuple[UUID, int]],
    ) -> None:
        super().__init__(simulation, ledger, name, brokers)
        self.group = group
        self.topics = topics
        self.patience = ALONE if self.is_alone else IN_CLUSTER
        self.coordinator: str | None = self.host if self.is_alone else None
        self.version_max = self.rng.choice((None, 12, 11, 5))
        self.leaving = False
        self.left = False
        self.member_id = ""
        self.generation = -1
        self.positions: dict[tuple[str, int], int] = {}
        self._uncommitted: set[tuple[str, int]] = set()
        self._heard_ms = 0
        self.spawn(self._run())

    def _run(self) -> Script:
        while not self.leaving:
            try:
                yield from self._join()
                yield from self._consume()
            except Rejoin as why:
                self.note(f"joins again: {why}")
                self._uncommitted.clear()
                yield self.sleep(*RETRY_MS)
        yield from self._leave()

    def _ask(self, what: str, request: Request, *, version_max: int | None = None) -> Script:
        """The answer to a request of the group's coordinator; None when it could not be had."""
        self.doing = what
        if self.coordinator is None:
            self.coordinator = yield from self.coordinator_of(self.group)
        outcome = None
        if self.coordinator is not None:
            outcome = yield self.asked(request, version_max=version_max, host=self.coordinator)
        self.doing = "nothing"
        if outcome is not None and not isinstance(outcome, Exception):
            return outcome
        self._lose_coordinator()
        return None

    def _lose_coordinator(self) -> None:
        if not self.is_alone:
            self.coordinator = None

    def _check(self, code: int, what: str, *, passing: bool = False) -> bool:
        """Whether it is no error. `passing`: one that another coordinator may mend does not end the generation."""
        error = error_of(code)
        if error is ErrorCode.NONE:
            return True
        if error is ErrorCode.UNKNOWN_MEMBER_ID:
            self.member_id = ""
        if error in RETRIABLE:
            self._lose_coordinator()
            if passing and not self.is_alone:
                self.note(f"{what}: {error.name}")
                return False
        if error in REJOIN | RETRIABLE:
            raise Rejoin(f"{what}: {error.name}")
        raise broken(f"{self.name}: {what} ended in {error.name}")

    # Joining.

    def _join(self) -> Script:
        finding = FindCoordinatorRequest(key_type=0, coordinator_keys=[self.group])
        found, _ = yield from self.retried("the coordinator", lambda: finding, lambda r: r.coordinators[0].error_code)
        self.coordinator = found.coordinators[0].host
        request = JoinGroupRequest(
            group_id=self.group,
            session_timeout_ms=self.patience.session_ms,
            rebalance_timeout_ms=self.patience.rebalance_ms,
            member_id=self.member_id,
            protocol_type=PROTOCOL_TYPE,
            protocols=[JoinGroupRequestProtocol(name=RANGE, metadata=encode_subscription(self.topics))],
        )
        joined = yield from self._ask("to join", request)
        if joined is None:
            raise Rejoin("no answer to JoinGroup")
        if joined.error_code == ErrorCode.MEMBER_ID_REQUIRED:
            self.member_id = joined.member_id
        self._check(joined.error_code, "JoinGroup")
        self.member_id, self.generation = joined.member_id, joined.generation_id
        sync = SyncGroupRequest(
            group_id=self.group,
            generation_id=self.generation,
            member_id=self.member_id,
            protocol_type=PROTOCOL_TYPE,
            protocol_name=RANGE,
            assignments=self._assign(joined) if joined.leader == self.member_id else [],
        )
        synced = yield from self._ask("its part", sync)
        if synced is None:
            raise Rejoin("no answer to SyncGroup")
        self._check(synced.error_code, "SyncGroup")
        self._heard_ms = self.simulation.clock.now_ms
        assigned = decode_assignment(bytes(synced.assignment))
        self.note(f"generation {self.generation}: {', '.join(f'{t}-{p}' for t, p in assigned)}")
        yield from self._find_positions(assigned)

    def _assign(self, joined: Any) -> list[SyncGroupRequestAssignment]:
        subscriptions = {m.member_id: decode_subscription(bytes(m.metadata)).topics for m in joined.members}
        counts = {topic: count for topic, (_, count) in self.topics.items()}
        return [
            SyncGroupRequestAssignment(member_id=member, assignment=encode_assignment(partitions))
            for member, partitions in assign_range(subscriptions, counts).items()
        ]

    def _find_positions(self, assigned: list[tuple[str, int]]) -> Script:
        """Go on where the group stands."""
        self.positions = {}
        wanted: dict[str, list[int]] = {}
        for topic, index in assigned:
            wanted.setdefault(topic, []).append(index)
        topics = [OffsetFetchRequestTopics(name=name, partition_indexes=indexes) for name, indexes in wanted.items()]
        request = OffsetFetchRequest(groups=[OffsetFetchRequestGroup(group_id=self.group, topics=topics)])
        settled = {key: self.ledger.settled(self.group, *key) for key in assigned}
        host = self.coordinator or ""
        asked = self.ledger.asks(host, self.group)
        answer = yield from self._ask("committed offsets", request, version_max=NAMED_UNTIL)
        if answer is None:
            raise Rejoin("no answer to OffsetFetch")
        self._check(answer.groups[0].error_code, "OffsetFetch")
        for topic in answer.groups[0].topics:
            for found in topic.partitions:
                self._check(found.error_code, "OffsetFetch")
                key = (topic.name, found.partition_index)
                self.ledger.committed(self.group, *key, found.committed_offset, since=settled[key], host=host, asked=asked)
                self.positions[key] = max(found.committed_offset, 0)

    # Reading.

    def _consume(self) -> Script:
        while not self.leaving:
            if self.positions:
                yield from self._fetch()
            else:
                yield self.sleep(self.patience.fetch_wait_ms)
            if self._uncommitted and self.rng.randrange(3) == 0:
                yield from self._commit()
            if self.simulation.clock.now_ms - self._heard_ms >= self.patience.heartbeat_ms:
                yield from self._beat()
        if self._uncommitted:
            yield from self._commit()

    def _fetch(self) -> Script:
        """Ask each leader for what it leads, all at the same time."""
        wanted: dict[str, dict[tuple[str, int], Leader]] = {}
        for name, index in self.positions:
            leader = yield from self.leader_of(self.topics[name][0], index)
            if leader is not None:
                wanted.setdefault(leader.host, {})[name, index] = leader
        if not wanted:
            yield self.sleep(*RETRY_MS)
            return
        self.doing = "records"
        floors = {
            key: self.ledger.high_watermark(self.topics[key[0]][0], key[1], self._epoch_said_of(leader))
            for leaders in wanted.values()
            for key, leader in leaders.items()
        }
        steps = [
            self.asked(self._request(leaders), version_max=self.version_max, host=host, purpose="reading")
            for host, leaders in wanted.items()
        ]
        answers = yield all_of(steps)
        self.doing = "nothing"
        for answer, leaders in zip(answers, wanted.values(), strict=True):
            if not isinstance(answer, FetchResponse):
                for name, index in leaders:
                    self.routes.doubt(self.topics[name][0], index)
                yield self.sleep(*RETRY_MS)
                continue
            names = {topic_id: name for name, (topic_id, _) in self.topics.items()}
            for found in answer.responses:
                name = names[found.topic_id] if self.version_max is None else found.topic
                for data in found.partitions:
                    self._take(name, data, floors[name, data.partition_index], leaders[name, data.partition_index])

    def _request(self, leaders: dict[tuple[str, int], Leader]) -> FetchRequest:
        topics: dict[str, FetchTopic] = {}
        for (name, index), leader in leaders.items():
            topic = topics.get(name)
            if topic is None:
                by_id = self.version_max is None
                topic = topics[name] = FetchTopic(topic_id=self.topics[name][0]) if by_id else FetchTopic(topic=name)
            data = FetchPartition(
                partition=index, fetch_offset=self.positions[name, index], partition_max_bytes=self.rng.choice((500, 1 << 20))
            )
            data.current_leader_epoch = self._epoch_said_of(leader)
            topic.partitions.append(data)
        return FetchRequest(max_wait_ms=self.patience.fetch_wait_ms, min_bytes=1, max_bytes=1 << 20, topics=list(topics.values()))

    def _epoch_said_of(self, leader: Leader) -> int:
        """Who does not say the epoch may be answered by the leader of another one."""
        return leader.epoch if self.version_max is None or self.version_max >= EPOCHS_SINCE else NO_EPOCH

    def _take(self, name: str, data: PartitionData, floor: int, leader: Leader) -> None:
        key = (name, data.partition_index)
        code = error_of(data.error_code)
        if code is ErrorCode.OFFSET_OUT_OF_RANGE:
            if not self.ledger.leads(self.topics[name][0], key[1], leader.host):
                # It was replaced and does not know yet; a client that knows of its epoch alone cannot tell either.
                self.routes.doubt(self.topics[name][0], key[1])
                return
            if not self.ledger.machine_deaths:
                raise broken(f"{self.name}: {name}-{key[1]} does not reach {self.positions[key]}, from where it was read")
            self.note(f"{name}-{key[1]}: {self.positions[key]} is out of range")
            self.positions[key] = 0
            return
        if code is not ErrorCode.NONE:
            if code not in RETRIABLE:
                raise broken(f"{self.name}: a fetch from {name}-{key[1]} ended in {code.name}")
            if code in STALE_METADATA:
                self._follow(name, data)
            return
        records: list[Record] = []
        try:
            for header, batch in iter_batches(data.records or b""):  # type: ignore[arg-type]
                check_crc(batch, header)
                records += [record for record in iter_records(batch, header) if record.offset >= self.positions[key]]
        except KafkaError as error:
            raise broken(
                f"{self.name}: what was read from {name}-{key[1]} at {self.positions[key]} is damaged: {error}"
            ) from error
        epoch = self._epoch_said_of(leader)
        self.ledger.fetched(self.group, self.topics[name][0], key[1], records, data.high_watermark, floor, epoch)
        if records:
            expected = range(self.positions[key], self.positions[key] + len(records))
            if [record.offset for record in records] != list(expected):
                raise broken(f"{self.name}: asked {name}-{key[1]} from {expected.start}, got {[r.offset for r in records]}")
            self.positions[key] = records[-1].offset + 1
            self._uncommitted.add(key)
            self.note(f"{name}-{key[1]}: read up to {self.positions[key]} of {data.high_watermark}")

    def _follow(self, name: str, data: PartitionData) -> None:
        """Another one leads: the answer may say who (KIP-951)."""
        topic_id, leader = self.topics[name][0], data.current_leader
        self.routes.doubt(topic_id, data.partition_index)
        if leader.leader_id >= 0:
            by_id = self.version_max is None
            self.routes.hear(topic_id, data.partition_index, leader.leader_id, leader.leader_epoch, by_id=by_id)

    # Committing.

    def _commit(self) -> Script:
        numbers: dict[tuple[str, int], int] = {}
        topics: dict[str, OffsetCommitRequestTopic] = {}
        for name, index in sorted(self._uncommitted):
            offset = self.positions[name, index]
            numbers[name, index] = self.ledger.commit_sent(self.group, name, index, offset)
            topics.setdefault(name, OffsetCommitRequestTopic(name=name)).partitions.append(
                OffsetCommitRequestPartition(partition_index=index, committed_offset=offset, committed_metadata="")
            )
        request = OffsetCommitRequest(
            group_id=self.group,
            generation_id_or_member_epoch=self.generation,
            member_id=self.member_id,
            topics=list(topics.values()),
        )
        for key, number in numbers.items():
            self.ledger.commit_doubted(self.group, *key, number, self.generation)
        answer = yield from self._ask("to commit", request, version_max=NAMED_UNTIL)
        if answer is None:
            return
        for topic in answer.topics:
            for found in topic.partitions:
                if not self._check(found.error_code, "OffsetCommit", passing=True):
                    continue
                key = (topic.name, found.partition_index)
                self.ledger.commit_acknowledged(self.group, *key, numbers[key], self.generation)
                self._uncommitted.discard(key)
                self.note(f"committed {self.ledger.commits[self.group, *key].sent[numbers[key]]} of {key[0]}-{key[1]}")

    def _beat(self) -> Script:
        request = HeartbeatRequest(group_id=self.group, generation_id=self.generation, member_id=self.member_id)
        answer = yield from self._ask("a heartbeat", request)
        self._heard_ms = self.simulation.clock.now_ms
        if answer is None:
            return
        if answer.error_code == ErrorCode.REBALANCE_IN_PROGRESS and self._uncommitted:
            yield from self._commit()
        self._check(answer.error_code, "Heartbeat", passing=True)

    def _leave(self) -> Script:
        """In good order, or without a word."""
        if self.rng.randrange(2):
            members = [MemberIdentity(member_id=self.member_id)]
            yield from self._ask("to leave", LeaveGroupRequest(group_id=self.group, members=members))
        self.close()
        self.left = True
        self.note("has left")
