"""What the coordinator needs of the partitions of `__consumer_offsets`; the node hands it over."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from broker.protocol.errors import ErrorCode
from broker.record.records import Record

# Key and value; a value of None is a tombstone.
KeyValue = tuple[bytes, bytes | None]


class OffsetsLog(Protocol):
    """The topic as the coordinator sees it."""

    def partition_count(self) -> int:
        """0 while the topic does not exist."""

    def ensure_topic(self) -> None:
        """Ask for the topic to be made; harmless when it is being made already."""

    def is_leader(self, partition: int) -> bool: ...

    def leader_id(self, partition: int) -> int:
        """-1 when nobody leads it."""

    def append(
        self,
        partition: int,
        records: Sequence[KeyValue],
        committed: Callable[[], None],
        done: Callable[[ErrorCode], None],
    ) -> None:
        """Append as one batch. `done` is called once: when it is committed, has failed, or took too long.

        `committed` is called when it is committed, before `done`, in the order of the appends, and also after `done` has been
        told that it took too long; never when this node stops to lead before.
        """

    def read_all(self, partition: int) -> Iterator[Record]:
        """Every record of the partition in order, control records left out, committed or not."""

    def when_committed(self, partition: int, done: Callable[[], None]) -> None:
        """Call `done` when everything that is in the partition now is committed; never when this node stops to lead before."""
