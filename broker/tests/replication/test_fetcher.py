"""Fetching from one leader: what is asked in a session, what an answer may do, and when a partition rests."""

from collections.abc import Callable
from typing import Any

import pytest
from broker.client.exchange import RequestFailed
from broker.clock.simulated import SimulatedClock
from broker.protocol.errors import ErrorCode
from broker.protocol.messages.fetch import (
    EpochEndOffset,
    FetchableTopicResponse,
    FetchRequest,
    FetchResponse,
    PartitionData,
)
from broker.protocol.messages.metadata_records import BrokerEndpoint, PartitionChangeRecord, RegisterBrokerRecord
from broker.record.builder import build_batch
from broker.replication.fetcher import EPOCH_MAX, REQUEST_SLACK_MS, FetchLimits, ReplicaFetcher
from broker.replication.partition import Partition

from .node import NODE, Node, batch, topic_id

LIMITS = FetchLimits(partition_max_bytes=100, response_max_bytes=1000, min_bytes=1, max_wait_ms=500, backoff_ms=1000)
EPOCH = 33
SESSION = 5


class World:
    """Node 1 follows node 2 in two partitions. Its fetches lie in `asked` until they are answered."""

    def __init__(self) -> None:
        self.node = Node()
        self.node.create(partitions=2, replicas=[2, 1], isr=[2], leader=2, leader_epoch=3)
        self.partitions = [self.node.replicas.find("t", index) for index in (0, 1)]
        self.clock = SimulatedClock()
        self.asked: list[tuple[FetchRequest, int, Callable[[Any], None]]] = []
        self.fetcher = ReplicaFetcher(1, 2, self, self.clock, LIMITS, own_epoch=lambda: EPOCH)  # type: ignore[arg-type]
        self.closed = False

    def submit(self, request: Any, timeout_ms: int, on_done: Callable[[Any], None], *, version_max: int | None = None) -> None:
        assert version_max == 17
        self.asked.append((request, timeout_ms, on_done))

    def close(self) -> None:
        self.closed = True
        for _, _, on_done in self.asked:
            on_done(RequestFailed("this side closed the connection"))

    def follow(self, *indexes: int) -> None:
        self.fetcher.follow([self.partitions[index] for index in indexes])
        self.turn()

    def turn(self, milliseconds: int = 0) -> None:
        self.clock.run_until(self.clock.now_ms + milliseconds)

    def answer(self, *data: PartitionData, session_id: int = SESSION, code: ErrorCode = ErrorCode.NONE) -> None:
        topics = [FetchableTopicResponse(topic_id=topic_id(1), partitions=list(data))] if data else []
        self.reply(FetchResponse(session_id=session_id, error_code=code, responses=topics))

    def reply(self, outcome: Any) -> None:
        ((_, _, on_done),) = self.asked
        self.asked.clear()
        on_done(outcome)

    def request(self) -> FetchRequest:
        """The one that is under way."""
        ((request, _, _),) = self.asked
        return request

    def named(self) -> list[tuple[int, int, int]]:
        """(partition, offset, last epoch) of everything the request names."""
        return [(p.partition, p.fetch_offset, p.last_fetched_epoch) for topic in self.request().topics for p in topic.partitions]

    def forgotten(self) -> list[int]:
        return [index for topic in self.request().forgotten_topics_data for index in topic.partitions]


@pytest.fixture
def world() -> World:
    made = World()
    made.follow(0, 1)
    return made


def records(index: int, offset: int = 0, count: int = 1, epoch: int = 3, high_watermark: int = 0) -> PartitionData:
    data = build_batch([(b"k", b"v" * 20)] * count, 0, base_offset=offset, leader_epoch=epoch)
    return PartitionData(
        partition_index=index, high_watermark=high_watermark, last_stable_offset=high_watermark, log_start_offset=0, records=data
    )


def nothing(index: int, **settings: Any) -> PartitionData:
    defaults: dict[str, Any] = {"high_watermark": 0, "log_start_offset": 0, "records": b""}
    return PartitionData(partition_index=index, **(defaults | settings))


def test_the_first_fetch_says_everything(world: World) -> None:
    request = world.request()
    assert (request.replica_state.replica_id, request.replica_state.replica_epoch) == (1, EPOCH)
    assert (request.session_id, request.session_epoch) == (0, 0)
    assert (request.max_wait_ms, request.min_bytes, request.max_bytes) == (500, 1, 1000)
    assert world.named() == [(0, 0, -1), (1, 0, -1)]
    asked = request.topics[0].partitions[0]
    assert (request.topics[0].topic_id, asked.current_leader_epoch, asked.partition_max_bytes) == (topic_id(1), 3, 100)
    assert world.asked[0][1] == 500 + REQUEST_SLACK_MS


def test_one_request_is_under_way(world: World) -> None:
    world.follow(0, 1)
    world.turn(10_000)
    assert len(world.asked) == 1


def test_in_a_session_only_what_changed_is_said(world: World) -> None:
    world.answer(records(0, count=2), nothing(1))
    request = world.request()
    assert (request.session_id, request.session_epoch) == (SESSION, 1)
    assert world.named() == [(0, 2, 3)]
    world.answer()
    assert (world.named(), world.request().session_epoch) == ([], 2)


def test_the_epoch_of_a_session_begins_anew_at_one(world: World) -> None:
    world.answer()
    world.fetcher._session_epoch = EPOCH_MAX
    world.answer()
    assert world.request().session_epoch == 1


@pytest.mark.parametrize("code", [ErrorCode.FETCH_SESSION_ID_NOT_FOUND, ErrorCode.INVALID_FETCH_SESSION_EPOCH])
def test_a_lost_session_begins_anew_at_once(world: World, code: ErrorCode) -> None:
    world.answer()
    world.answer(code=code)
    world.turn()
    assert world.request().session_epoch == 0
    assert world.named() == [(0, 0, -1), (1, 0, -1)]


@pytest.mark.parametrize("outcome", [RequestFailed("gone"), FetchResponse(error_code=ErrorCode.UNKNOWN_SERVER_ERROR)])
def test_after_a_failure_it_waits_and_begins_anew(world: World, outcome: object) -> None:
    world.answer()
    world.reply(outcome)
    world.turn(LIMITS.backoff_ms - 1)
    assert world.asked == []
    world.turn(1)
    assert world.request().session_epoch == 0
    assert len(world.named()) == 2


def test_a_leader_without_room_for_a_session(world: World) -> None:
    world.answer(records(0), nothing(1), session_id=0)
    assert world.request().session_epoch == 0
    assert world.named() == [(0, 1, 3), (1, 0, -1)]


def test_what_is_followed_no_more_is_forgotten(world: World) -> None:
    world.answer()
    world.fetcher.remove(world.partitions[1])
    world.answer()
    assert (world.named(), world.forgotten()) == ([], [1])
    world.answer()
    assert world.forgotten() == []


def test_an_answer_for_what_is_followed_no_more_does_nothing(world: World) -> None:
    world.fetcher.remove(world.partitions[1])
    world.answer(records(0), records(1))
    assert ends(world) == [1, 0]


def ends(world: World) -> list[int]:
    return [partition.log.log_end_offset for partition in world.partitions]


def test_an_answer_of_another_epoch_does_nothing(world: World) -> None:
    """The leader has changed while the fetch was under way: what it brings may not be what the new one has."""
    world.node.agree(PartitionChangeRecord(partition_id=0, topic_id=topic_id(1), leader=2))
    world.fetcher.remove(world.partitions[0])
    world.fetcher.follow([world.partitions[0]])
    world.answer(records(0), records(1))
    assert ends(world) == [0, 1]
    asked = {p.partition: (p.fetch_offset, p.current_leader_epoch) for topic in world.request().topics for p in topic.partitions}
    assert asked == {0: (0, 4), 1: (1, 3)}


def test_an_answer_after_this_node_began_to_lead_does_nothing(world: World) -> None:
    world.node.agree(PartitionChangeRecord(partition_id=0, topic_id=topic_id(1), leader=NODE, isr=[1]))
    world.answer(records(0), records(1))
    assert ends(world) == [0, 1]


def test_the_high_watermark_and_the_start_follow_the_leader(world: World) -> None:
    world.answer(records(0, count=4, high_watermark=9), nothing(1))
    assert world.partitions[0].high_watermark == 4, "not beyond its own log"
    world.answer(nothing(0, high_watermark=9, log_start_offset=3))
    assert (world.partitions[0].high_watermark, world.partitions[0].log.log_start_offset) == (4, 3)


def test_where_the_logs_part_it_is_cut_and_asks_from_there(world: World) -> None:
    world.answer(records(0, count=2, epoch=1), nothing(1))
    world.answer(records(0, offset=2, count=2, epoch=2))
    world.answer(nothing(0, diverging_epoch=EpochEndOffset(epoch=1, end_offset=2)))
    assert ends(world) == [2, 0]
    assert world.named() == [(0, 2, 1)]


@pytest.mark.parametrize(
    "code",
    [ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.FENCED_LEADER_EPOCH, ErrorCode.UNKNOWN_TOPIC_ID, ErrorCode.CORRUPT_MESSAGE],
)
def test_a_partition_with_an_error_rests_alone(world: World, code: ErrorCode) -> None:
    world.answer(nothing(0, error_code=code), nothing(1))
    assert world.forgotten() == [0]
    world.answer(records(1))
    assert (world.named(), ends(world)) == ([(1, 1, 3)], [0, 1])
    world.turn(LIMITS.backoff_ms)
    world.answer()
    assert world.named() == [(0, 0, -1)]


@pytest.mark.parametrize(
    "code", [ErrorCode.UNKNOWN_LEADER_EPOCH, ErrorCode.FENCED_LEADER_EPOCH, ErrorCode.NOT_LEADER_OR_FOLLOWER]
)
def test_what_only_one_side_has_heard_of_is_asked_again_soon(world: World, code: ErrorCode) -> None:
    """Metadata comes to a leader and its follower at different moments."""
    rests = []
    for _ in range(9):
        world.answer(*(nothing(index, error_code=code) for index in (0, 1)))
        before = world.clock.now_ms
        while not world.asked:
            world.turn(1)
        rests.append(world.clock.now_ms - before)
    assert rests == [10, 20, 40, 80, 160, 320, 640, 1000, 1000]
    world.answer(records(0), records(1))
    world.answer(nothing(0, error_code=code))
    world.turn(10)
    world.answer()
    assert [index for index, _, _ in world.named()] == [0], "what went well begins again with the shortest"


def test_when_all_rest_nothing_is_asked_until_one_wakes(world: World) -> None:
    world.answer(*(nothing(index, error_code=ErrorCode.NOT_LEADER_OR_FOLLOWER) for index in (0, 1)))
    assert world.asked == []
    world.turn(LIMITS.backoff_ms)
    assert world.named() == []
    assert world.forgotten() == [], "they are asked for again, as before"


def test_a_new_epoch_ends_the_rest(world: World) -> None:
    world.answer(nothing(0, error_code=ErrorCode.FENCED_LEADER_EPOCH), nothing(1))
    world.fetcher.remove(world.partitions[0])
    world.fetcher.follow([world.partitions[0]])
    world.answer()
    assert world.named() == [(0, 0, -1)]


def test_a_batch_that_does_not_fit_is_not_written(world: World) -> None:
    world.answer(records(0, offset=7), records(1))
    assert ends(world) == [0, 1]
    assert world.forgotten() == [0]


def test_a_broken_batch_is_not_written(world: World) -> None:
    broken = records(0)
    broken.records = bytes(broken.records[:-1]) + b"?"  # type: ignore[index]
    world.answer(broken, records(1))
    assert ends(world) == [0, 1]
    world.turn(LIMITS.backoff_ms)
    world.answer(nothing(1))
    world.answer(records(0))
    assert ends(world) == [1, 1]


def test_a_full_disk_lets_a_partition_rest_and_go_on(world: World) -> None:
    storage = world.node.storage
    storage.capacity_bytes = storage.used_bytes
    world.answer(records(0), nothing(1))
    assert (ends(world), world.forgotten()) == ([0, 0], [0])
    storage.capacity_bytes = None
    world.turn(LIMITS.backoff_ms)
    world.answer()
    assert world.named() == [(0, 0, -1)]
    world.answer(records(0))
    assert ends(world) == [1, 0]
    assert world.node.failures == []


def test_a_leader_that_begins_later_is_begun_with(world: World) -> None:
    world.answer(records(0, count=3, high_watermark=3), nothing(1))
    world.answer(nothing(0, error_code=ErrorCode.OFFSET_OUT_OF_RANGE, high_watermark=-1, log_start_offset=8))
    partition = world.partitions[0]
    assert (partition.log.log_start_offset, partition.log.log_end_offset, partition.high_watermark) == (8, 8, 8)
    assert world.named() == [(0, 8, -1)]


def test_a_leader_that_ends_earlier_is_followed_there(world: World) -> None:
    """It was elected although it lacked records; this log begins behind its end and knows no epoch to compare."""
    world.partitions[0].restart_at(8)
    world.answer()
    world.fetcher.remove(world.partitions[0])
    world.follow(0)
    world.answer()
    assert world.named() == [(0, 8, -1)]
    world.answer(nothing(0, diverging_epoch=EpochEndOffset(epoch=3, end_offset=5)))
    partition = world.partitions[0]
    assert (partition.log.log_start_offset, partition.log.log_end_offset, partition.high_watermark) == (5, 5, 5)
    assert world.named() == [(0, 5, -1)]


def test_closed_it_asks_nothing_more(world: World) -> None:
    world.fetcher.close()
    assert world.closed
    world.asked.clear()
    world.follow(0)
    world.turn(10_000)
    assert world.asked == []


def test_a_replica_manager_has_a_fetcher_for_each_leader() -> None:
    node = Node()
    made: list[tuple[int, str, int]] = []
    closed: list[int] = []
    followed: dict[int, list[Partition]] = {}

    class Fetcher:
        def __init__(self, leader_id: int) -> None:
            self.leader_id = leader_id

        def follow(self, partitions: list[Partition]) -> None:
            followed[self.leader_id] = list(partitions)

        def remove(self, partition: Partition) -> None: ...

        def close(self) -> None:
            closed.append(self.leader_id)

    def make(leader_id: int, host: str, port: int) -> Any:
        made.append((leader_id, host, port))
        return Fetcher(leader_id)

    node.replicas._make_fetcher = make

    def register(broker_id: int, host: str) -> None:
        endpoint = BrokerEndpoint(name="PLAINTEXT", host=host, port=9092, security_protocol=0)
        node.agree(RegisterBrokerRecord(broker_id=broker_id, broker_epoch=1, end_points=[endpoint]))

    register(2, "b2")
    for number, leader in ((1, 2), (2, 3), (3, 1)):
        node.create(f"t{number}", number, replicas=[1, 2, 3], isr=[leader], leader=leader)
    assert made == [(2, "b2", 9092)]
    assert [str(partition) for partition in followed[2]] == ["t1-0"]
    register(3, "b3")
    assert made[1:] == [(3, "b3", 9092)], "as soon as it is known where the leader is"
    register(2, "elsewhere")
    assert (made[2:], closed) == ([(2, "elsewhere", 9092)], [2])
    node.agree(PartitionChangeRecord(partition_id=0, topic_id=topic_id(2), leader=1, isr=[1]))
    assert closed == [2, 3]
    assert node.replicas.append(node.replicas.find("t2", 0), batch(), 1).first_offset == 0
    node.agree(PartitionChangeRecord(partition_id=0, topic_id=topic_id(1), leader=-1))
    assert closed == [2, 3, 2]
