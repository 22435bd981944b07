"""A member of a classic consumer group: joins, is assigned partitions, reads, commits what it has read, joins again.

It reads and commits over two connections, as Kafka's clients do. What it does not know it reads from the start of the log.
"""

from typing import Any
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
from broker.client.retriable import RETRIABLE, error_of
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
from simulation.disk_view import Key
from simulation.ledger import Ledger, broken
from simulation.script import RETRY_MS, Client, Script
from simulation.world import Simulation

SESSION_MS = 6_000
REBALANCE_MS = 5_000
HEARTBEAT_MS = 1_500
FETCH_WAIT_MS = 300
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
        broker_host: str,
        *,
        group: str,
        topics: dict[str, tuple[UUID, int]],
    ) -> None:
        super().__init__(simulation, ledger, name, broker_host)
        self.group = group
        self.topics = topics
        self.reading = self.connect()
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
        outcome = yield self.asked(request, version_max=version_max)
        self.doing = "nothing"
        return outcome if not isinstance(outcome, Exception) else None

    def _check(self, code: int, what: str) -> None:
        error = error_of(code)
        if error is ErrorCode.NONE:
            return
        if error is ErrorCode.UNKNOWN_MEMBER_ID:
            self.member_id = ""
        if error in REJOIN | RETRIABLE:
            raise Rejoin(f"{what}: {error.name}")
        raise broken(f"{self.name}: {what} ended in {error.name}")

    # Joining.

    def _join(self) -> Script:
        finding = FindCoordinatorRequest(key_type=0, coordinator_keys=[self.group])
        yield from self.retried("the coordinator", lambda: finding, lambda r: r.coordinators[0].error_code)
        request = JoinGroupRequest(
            group_id=self.group,
            session_timeout_ms=SESSION_MS,
            rebalance_timeout_ms=REBALANCE_MS,
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
        answer = yield from self._ask("committed offsets", request, version_max=NAMED_UNTIL)
        if answer is None:
            raise Rejoin("no answer to OffsetFetch")
        self._check(answer.groups[0].error_code, "OffsetFetch")
        for topic in answer.groups[0].topics:
            for found in topic.partitions:
                self._check(found.error_code, "OffsetFetch")
                self.ledger.committed(self.group, topic.name, found.partition_index, found.committed_offset)
                self.positions[topic.name, found.partition_index] = max(found.committed_offset, 0)

    # Reading.

    def _consume(self) -> Script:
        while not self.leaving:
            if self.positions:
                yield from self._fetch()
            else:
                yield self.sleep(FETCH_WAIT_MS)
            if self._uncommitted and self.rng.randrange(3) == 0:
                yield from self._commit()
            if self.simulation.clock.now_ms - self._heard_ms >= HEARTBEAT_MS:
                yield from self._beat()
        if self._uncommitted:
            yield from self._commit()

    def _fetch(self) -> Script:
        topics: dict[str, FetchTopic] = {}
        by_id = self.version_max is None
        for (name, index), position in self.positions.items():
            topic = topics.get(name)
            if topic is None:
                topic = topics[name] = FetchTopic(topic_id=self.topics[name][0]) if by_id else FetchTopic(topic=name)
            topic.partitions.append(
                FetchPartition(partition=index, fetch_offset=position, partition_max_bytes=self.rng.choice((500, 1 << 20)))
            )
        request = FetchRequest(max_wait_ms=FETCH_WAIT_MS, min_bytes=1, max_bytes=1 << 20, topics=list(topics.values()))
        self.doing = "records"
        floors = self.ledger.high_watermarks()
        answer = yield self.asked(request, version_max=self.version_max, connection=self.reading)
        self.doing = "nothing"
        if not isinstance(answer, FetchResponse):
            yield self.sleep(*RETRY_MS)
            return
        names = {topic_id: name for name, (topic_id, _) in self.topics.items()}
        for found in answer.responses:
            name = names[found.topic_id] if by_id else found.topic
            for data in found.partitions:
                self._take(name, data, floors)

    def _take(self, name: str, data: PartitionData, floors: dict[Key, int]) -> None:
        key = (name, data.partition_index)
        code = error_of(data.error_code)
        if code is ErrorCode.OFFSET_OUT_OF_RANGE:
            if not self.ledger.machine_deaths:
                raise broken(f"{self.name}: {name}-{key[1]} does not reach {self.positions[key]}, from where it was read")
            self.note(f"{name}-{key[1]}: {self.positions[key]} is out of range")
            self.positions[key] = 0
            return
        if code is not ErrorCode.NONE:
            if code not in RETRIABLE:
                raise broken(f"{self.name}: a fetch from {name}-{key[1]} ended in {code.name}")
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
        self.ledger.fetched(self.group, self.topics[name][0], key[1], records, data.high_watermark, floors)
        if records:
            expected = range(self.positions[key], self.positions[key] + len(records))
            if [record.offset for record in records] != list(expected):
                raise broken(f"{self.name}: asked {name}-{key[1]} from {expected.start}, got {[r.offset for r in records]}")
            self.positions[key] = records[-1].offset + 1
            self._uncommitted.add(key)
            self.note(f"{name}-{key[1]}: read up to {self.positions[key]} of {data.high_watermark}")

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
        answer = yield from self._ask("to commit", request, version_max=NAMED_UNTIL)
        if answer is None:
            return
        for topic in answer.topics:
            for found in topic.partitions:
                self._check(found.error_code, "OffsetCommit")
                key = (topic.name, found.partition_index)
                self.ledger.commit_acknowledged(self.group, *key, numbers[key])
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
        self._check(answer.error_code, "Heartbeat")

    def _leave(self) -> Script:
        """In good order, or without a word."""
        if self.rng.randrange(2):
            members = [MemberIdentity(member_id=self.member_id)]
            yield from self._ask("to leave", LeaveGroupRequest(group_id=self.group, members=members))
        self.connection.close()
        self.reading.close()
        self.left = True
        self.note("has left")
