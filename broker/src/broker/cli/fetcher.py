"""Records of partitions from their leaders, in offset order for each partition.

Invariant: a partition's position is the offset after the last record that was handed out. Control batches and, when only
committed records are wanted, aborted ones are passed over.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from broker.cli.cluster import Cluster
from broker.cli.failures import Unavailable, check
from broker.cli.formatter import Consumed
from broker.cli.offsets import EARLIEST, LATEST, READ_COMMITTED, READ_UNCOMMITTED, TopicPartition, by_leader, list_offsets
from broker.cli.retrying import PAUSE_S
from broker.client.retriable import STALE_METADATA, error_of
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.fetch import FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData
from broker.record.batch import BatchHeader, check_crc, iter_batches
from broker.record.builder import ControlType, control_type
from broker.record.records import iter_records

# The newest version that names topics, not their ids.
FETCH_VERSION = 12
# What a broker may take longer to answer than it may wait for records.
ANSWER_S = 30.0
# How long leaders may be away before reading is given up.
UNAVAILABLE_S = 60.0
RESETS = {"earliest": EARLIEST, "latest": LATEST}


class FetcherSettings(NamedTuple):
    """As the settings of Kafka's consumer with these names; `auto_offset_reset` may be `none`."""

    auto_offset_reset: str = "latest"
    min_bytes: int = 1
    max_bytes: int = 50 << 20
    partition_max_bytes: int = 1 << 20
    max_wait_ms: int = 500
    read_committed: bool = False


class Fetcher:
    """See the module."""

    def __init__(self, cluster: Cluster, settings: FetcherSettings) -> None:
        self._cluster, self._settings = cluster, settings
        self._isolation = READ_COMMITTED if settings.read_committed else READ_UNCOMMITTED
        self._leaders: dict[str, dict[int, int]] = {}
        self._ready: deque[Iterator[Consumed]] = deque()
        self._next_offsets: dict[TopicPartition, int] = {}
        self._unavailable_since: float | None = None
        self.positions: dict[TopicPartition, int] = {}

    def assign(self, positions: dict[TopicPartition, int | None]) -> None:
        """Read these partitions from these offsets on; None is where auto.offset.reset says. What was fetched is forgotten."""
        self._ready.clear()
        self.positions = {partition: offset for partition, offset in positions.items() if offset is not None}
        self.reset([partition for partition, offset in positions.items() if offset is None])

    def reset(self, partitions: Iterable[TopicPartition]) -> None:
        """Go where auto.offset.reset says. KafkaError when it says `none`."""
        wanted = list(partitions)
        if not wanted:
            return
        time_wanted = RESETS.get(self._settings.auto_offset_reset)
        if time_wanted is None:
            raise KafkaError(ErrorCode.OFFSET_OUT_OF_RANGE, f"no offset for {_names(wanted)}, and auto.offset.reset=none")
        self.positions |= list_offsets(self._cluster, wanted, time_wanted, self._isolation)

    def poll(self, max_wait_ms: int) -> Iterator[Consumed]:
        """Records as they are there; none when none came within the time. Positions follow what is taken from the iterator."""
        if not self._ready:
            self._fetch(min(max_wait_ms, self._settings.max_wait_ms))
        while self._ready:
            for consumed in self._ready[0]:
                self.positions[consumed.topic, consumed.partition] = consumed.record.offset + 1
                yield consumed
            self._ready.popleft()

    def _fetch(self, max_wait_ms: int) -> None:
        """Ask every leader at once. Leaders that moved or are away are looked for again, for UNAVAILABLE_S."""
        try:
            self._ask_leaders(max_wait_ms)
        except (Unavailable, KafkaError) as error:
            if isinstance(error, KafkaError) and error.code not in STALE_METADATA:
                raise
            now = time.monotonic()
            self._unavailable_since = self._unavailable_since or now
            if now - self._unavailable_since > UNAVAILABLE_S:
                raise
            self._leaders.clear()
            time.sleep(PAUSE_S)
        else:
            self._unavailable_since = None

    def _ask_leaders(self, max_wait_ms: int) -> None:
        if not self.positions:
            time.sleep(max_wait_ms / 1000)
            return
        for topic in {topic for topic, _ in self.positions} - self._leaders.keys():
            self._leaders[topic] = self._cluster.leaders(topic)
        pending = []
        for leader, topics in by_leader(sorted(self.positions), self._leaders).items():
            connection = self._cluster.node(leader)
            request = self._request(topics, max_wait_ms)
            timeout_s = max_wait_ms / 1000 + ANSWER_S
            pending.append((connection, connection.begin(request, timeout_s=timeout_s, version_max=FETCH_VERSION)))
        failed: KafkaError | Unavailable | None = None
        for connection, one in pending:
            try:
                response = connection.wait(one, FetchResponse)
                check(response.error_code, f"fetching from {connection.address}")
                for answer in response.responses:
                    for data in answer.partitions:
                        self._take(answer.topic, data)
            except (KafkaError, Unavailable) as error:
                failed = error
        if failed is not None:
            raise failed

    def _request(self, topics: dict[str, list[int]], max_wait_ms: int) -> FetchRequest:
        return FetchRequest(
            max_wait_ms=max_wait_ms,
            min_bytes=self._settings.min_bytes,
            max_bytes=self._settings.max_bytes,
            isolation_level=self._isolation,
            topics=[
                FetchTopic(
                    topic=topic,
                    partitions=[
                        FetchPartition(
                            partition=index,
                            fetch_offset=self.positions[topic, index],
                            partition_max_bytes=self._settings.partition_max_bytes,
                        )
                        for index in indexes
                    ],
                )
                for topic, indexes in topics.items()
            ],
        )

    def _take(self, topic: str, data: PartitionData) -> None:
        partition = (topic, data.partition_index)
        code = error_of(data.error_code)
        if code is ErrorCode.OFFSET_OUT_OF_RANGE:
            self.reset([partition])
            return
        check(code, f"{topic}-{data.partition_index}")
        if data.records:
            assert isinstance(data.records, memoryview), "records are a view of the frame they came in"
            aborted = data.aborted_transactions if self._settings.read_committed else None
            starts = sorted((one.first_offset, one.producer_id) for one in aborted or [])
            self._ready.append(self._records(partition, data.records, starts))

    def _records(self, partition: TopicPartition, data: memoryview, aborted: list[tuple[int, int]]) -> Iterator[Consumed]:
        """The records from the position on. `aborted`: first offset and producer of transactions that were aborted."""
        dropping: set[int] = set()
        starts = deque(aborted)
        for header, batch in iter_batches(data):
            while starts and starts[0][0] <= header.last_offset:
                dropping.add(starts.popleft()[1])
            if header.next_offset <= self.positions[partition]:
                continue
            check_crc(batch, header)
            if header.is_control:
                _end_transaction(header, batch, dropping)
            elif not (header.is_transactional and header.producer_id in dropping):
                for record in iter_records(batch, header):
                    if record.offset >= self.positions[partition]:
                        yield Consumed(*partition, header.timestamp_type, record)
            # Also over records that were passed over.
            self.positions[partition] = header.next_offset


def _end_transaction(header: BatchHeader, batch: memoryview, dropping: set[int]) -> None:
    if any(control_type(record.key) == ControlType.ABORT for record in iter_records(batch, header)):
        dropping.discard(header.producer_id)


def _names(partitions: Iterable[TopicPartition]) -> str:
    return ", ".join(f"{topic}-{index}" for topic, index in partitions)
