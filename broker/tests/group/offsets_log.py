"""`__consumer_offsets` in memory: what the coordinator's tests give it in place of the node's partitions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from broker.group.ports import KeyValue
from broker.protocol.errors import ErrorCode
from broker.record.records import Record

NODE_ID = 1


@dataclass
class MemoryOffsetsLog:
    """One list of records per partition. `refuse` is the answer to the next append; `held` keeps answers back."""

    partitions: dict[int, list[KeyValue]] = field(default_factory=lambda: {0: []})
    leaders: dict[int, int] = field(default_factory=dict)
    refuse: ErrorCode | None = None
    hold: bool = False
    held: list[Callable[[ErrorCode], None]] = field(default_factory=list)
    batches: list[list[KeyValue]] = field(default_factory=list)
    asked_for_topic: int = 0

    def partition_count(self) -> int:
        return len(self.partitions)

    def ensure_topic(self) -> None:
        self.asked_for_topic += 1

    def is_leader(self, partition: int) -> bool:
        return self.leader_id(partition) == NODE_ID

    def leader_id(self, partition: int) -> int:
        return self.leaders.get(partition, NODE_ID)

    def append(
        self,
        partition: int,
        records: Sequence[KeyValue],
        committed: Callable[[], None],
        done: Callable[[ErrorCode], None],
    ) -> None:
        if self.refuse is not None:
            code, self.refuse = self.refuse, None
            done(code)
            return
        self.partitions[partition] += records
        self.batches.append(list(records))

        def answer(code: ErrorCode) -> None:
            if code is ErrorCode.NONE:
                committed()
            done(code)

        if self.hold:
            self.held.append(answer)
        else:
            answer(ErrorCode.NONE)

    def when_committed(self, partition: int, done: Callable[[], None]) -> None:
        done()

    def release(self, code: ErrorCode = ErrorCode.NONE) -> None:
        """Give the answers that were kept back."""
        held, self.held, self.hold = self.held, [], False
        for done in held:
            done(code)

    def read_all(self, partition: int) -> Iterator[Record]:
        for offset, (key, value) in enumerate(self.partitions[partition]):
            yield Record(offset, 0, key, value)
