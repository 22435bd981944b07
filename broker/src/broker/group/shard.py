"""The groups of one partition of `__consumer_offsets`: what is in memory is what the log says, plus who waits for what.

Invariant: offsets are what was committed to the log, in its order, so that what a reader is told no failover takes back; that
a group is gone holds from the append on. Source: ``GroupCoordinatorShard``, ``CoordinatorRuntime``.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from broker.group.classic_group import ClassicGroup, GroupState
from broker.group.ports import KeyValue, OffsetsLog
from broker.group.records import GroupRecord, OffsetRecord, decode
from broker.protocol.codec import MalformedMessage
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.group_records import OffsetCommitValue

log = logging.getLogger("broker.group")
TopicPartition = tuple[str, int]
# What is cleared up goes into batches of about this size, half of what max.message.bytes allows by default.
PART_BYTES = 512 * 1024
# How many records are loaded before others have their turn.
RECORDS_PER_STEP = 2000

# What a client is told when `__consumer_offsets` refuses an append. Source: ``CoordinatorOperationExceptionHelper``.
APPEND_ERRORS = {
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_ENOUGH_REPLICAS: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.REQUEST_TIMED_OUT: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_LEADER_OR_FOLLOWER: ErrorCode.NOT_COORDINATOR,
    ErrorCode.KAFKA_STORAGE_ERROR: ErrorCode.NOT_COORDINATOR,
    ErrorCode.MESSAGE_TOO_LARGE: ErrorCode.UNKNOWN_SERVER_ERROR,
    ErrorCode.RECORD_LIST_TOO_LARGE: ErrorCode.UNKNOWN_SERVER_ERROR,
    ErrorCode.INVALID_FETCH_SIZE: ErrorCode.UNKNOWN_SERVER_ERROR,
}


@dataclass(slots=True)
class Shard:
    """See the module."""

    partition: int
    log: OffsetsLog
    groups: dict[str, ClassicGroup] = field(default_factory=dict)
    offsets: dict[str, dict[TopicPartition, OffsetCommitValue]] = field(default_factory=dict)

    def load(self) -> Iterator[None]:
        """Read the whole partition, a bounded number of records with each step of the iterator."""
        for number, record in enumerate(self.log.read_all(self.partition), start=1):
            if record.key is not None:
                self._load(record.offset, record.key, record.value)
            if number % RECORDS_PER_STEP == 0:
                yield
        for group_id in self.offsets:
            # Offsets without a group: a consumer that assigns partitions to itself.
            self.groups.setdefault(group_id, ClassicGroup(group_id))

    def _load(self, offset: int, key: bytes, value: bytes | None) -> None:
        try:
            self._replay(key, value)
        except MalformedMessage as error:
            log.warning("record %d of __consumer_offsets-%d is passed over: %s", offset, self.partition, error)

    def _replay(self, key: bytes, value: bytes | None) -> None:
        record = decode(key, value)
        if isinstance(record, OffsetRecord):
            self._replay_offset(record)
        elif isinstance(record, GroupRecord):
            if record.value is None:
                self.groups.pop(record.group, None)
            else:
                self.groups[record.group] = ClassicGroup.from_value(record.group, record.value)

    def _replay_offset(self, record: OffsetRecord) -> None:
        if record.value is not None:
            self.offsets.setdefault(record.group, {})[record.topic, record.partition] = record.value
            return
        known = self.offsets.get(record.group)
        if known is not None:
            known.pop((record.topic, record.partition), None)
            if not known:
                del self.offsets[record.group]

    def write(self, records: Sequence[KeyValue], done: Callable[[ErrorCode], None]) -> None:
        """Append records; offsets among them hold when they are committed. `done` is told the code of the answer."""
        decoded = [decode(key, value) for key, value in records]
        offsets = [record for record in decoded if isinstance(record, OffsetRecord)]
        gone = [record.group for record in decoded if isinstance(record, GroupRecord) and record.value is None]
        refused = False

        def committed() -> None:
            for record in offsets:
                self._replay_offset(record)

        def answered(code: ErrorCode) -> None:
            nonlocal refused
            refused = code is not ErrorCode.NONE
            done(APPEND_ERRORS.get(code, code))

        if not records:
            done(ErrorCode.NONE)
            return
        self.log.append(self.partition, records, committed, answered)
        if not refused:
            for group_id in gone:
                self._forget(group_id)

    def write_in_parts(self, records: Sequence[KeyValue]) -> None:
        """Append records that need not hold together, in batches of a bounded size. Once one is refused the rest stays undone."""
        for part in _parts(records):
            codes: list[ErrorCode] = []
            self.write(part, codes.append)
            if any(code is not ErrorCode.NONE for code in codes):
                log.warning("__consumer_offsets-%d cannot be cleared up now: %s", self.partition, codes[0].name)
                return

    def _forget(self, group_id: str) -> None:
        group = self.groups.pop(group_id, None)
        if group is not None:
            group.state = GroupState.DEAD

    def group(self, group_id: str, *, create: bool = False) -> ClassicGroup | None:
        """The group; with `create` a new empty one when there is none."""
        group = self.groups.get(group_id)
        if group is None and create:
            group = self.groups[group_id] = ClassicGroup(group_id)
        return group


def _parts(records: Sequence[KeyValue]) -> Iterator[list[KeyValue]]:
    part: list[KeyValue] = []
    size = 0
    for key, value in records:
        part.append((key, value))
        size += len(key) + len(value or b"")
        if size >= PART_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part
