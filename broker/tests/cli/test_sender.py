"""Records to their leaders: batches, sequences, retries, and what is told of records that did not arrive."""

from collections import deque
from collections.abc import Callable

import pytest
from broker.cli import sender as module
from broker.cli.cluster import Cluster
from broker.cli.failures import Unavailable
from broker.cli.offsets import LATEST, list_offsets
from broker.cli.sender import Sender, SenderSettings
from broker.cli.wire import Connection, Pending
from broker.protocol.errors import ErrorCode
from broker.protocol.message import Request
from broker.protocol.messages.produce import (
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceResponse,
)
from broker.record.batch import BatchHeader, iter_batches

from .conftest import Fresh, MakeTopic

Answers = deque["ErrorCode | Unavailable | None"]


class Leader:
    """Notes the batches of Produce requests; gives the planned answers first, then asks the real broker (None at once)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: Answers = deque()
        self.batches: list[tuple[int, BatchHeader]] = []
        self._begin, self._wait = Connection.begin, Connection.wait
        self._planned: dict[Pending, ErrorCode | Unavailable] = {}
        leader = self

        def begin(connection: Connection, request: Request, **options: object) -> Pending:
            if not isinstance(request, ProduceRequest):
                return leader._begin(connection, request, **options)  # type: ignore[arg-type]
            for part in request.topic_data[0].partition_data:
                ((header, _),) = iter_batches(part.records)  # type: ignore[arg-type]
                leader.batches.append((part.index, header))
            planned = leader.answers.popleft() if leader.answers else None
            if planned is None:
                return leader._begin(connection, request, **options)  # type: ignore[arg-type]
            pending = Pending()
            leader._planned[pending] = planned
            parts = [PartitionProduceResponse(index=part.index) for part in request.topic_data[0].partition_data]
            if isinstance(planned, ErrorCode):
                for part in parts:
                    part.error_code = planned
            pending.take(ProduceResponse(responses=[TopicProduceResponse(name="t", partition_responses=parts)]))
            return pending

        def wait(connection: Connection, pending: Pending, response: object) -> object:
            planned = leader._planned.pop(pending, None)
            if isinstance(planned, Unavailable):
                raise planned
            return leader._wait(connection, pending, response)  # type: ignore[type-var]

        monkeypatch.setattr(Connection, "begin", begin)
        monkeypatch.setattr(Connection, "wait", wait)


@pytest.fixture
def leader(monkeypatch: pytest.MonkeyPatch) -> Leader:
    return Leader(monkeypatch)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def make(cluster: Cluster, make_topic: MakeTopic, told: list[str]) -> Callable[..., Sender]:
    def make_sender(partitions: int = 1, **settings: object) -> Sender:
        chosen = SenderSettings(retry_backoff_ms=1)._replace(**settings)
        return Sender(cluster, make_topic(partitions), chosen, told.append)

    return make_sender


def stored(cluster: Cluster, sender: Sender) -> dict[int, int]:
    ends = list_offsets(cluster, [(sender._topic, index) for index in sender._leaders], LATEST)
    return {index: end for (_, index), end in ends.items()}


def test_records_are_sent_with_flush(cluster: Cluster, make: Callable[..., Sender], leader: Leader) -> None:
    sender = make()
    assert not sender.has_open
    for number in range(10):
        sender.append(None, b"%d" % number)
    assert sender.has_open
    assert leader.batches == []
    sender.flush()
    assert not sender.has_open
    assert [header.records_count for _, header in leader.batches] == [10]
    assert stored(cluster, sender) == {0: 10}
    sender.flush()
    assert len(leader.batches) == 1


def test_a_full_batch_is_sent_by_itself(cluster: Cluster, make: Callable[..., Sender], leader: Leader) -> None:
    sender = make(batch_size=1000)
    for _ in range(10):
        sender.append(b"k", b"x" * 300)
    sender.flush()
    assert all(header.size <= 1100 for _, header in leader.batches)
    assert sum(header.records_count for _, header in leader.batches) == 10
    assert len(leader.batches) > 3
    assert stored(cluster, sender) == {0: 10}


def test_a_record_that_is_larger_than_a_batch_goes_alone(make: Callable[..., Sender], leader: Leader) -> None:
    sender = make(batch_size=100)
    for size in (10, 5000, 10):
        sender.append(b"k", b"x" * size)
    sender.flush()
    assert [header.records_count for _, header in leader.batches] == [1, 1, 1]


def test_keys_choose_the_partition_and_the_rest_stays_together(cluster: Cluster, make: Callable[..., Sender]) -> None:
    keyed, plain = make(3), make(3)
    for number in range(60):
        keyed.append(b"key-%d" % number, b"v")
        plain.append(None, b"v")
    keyed.flush()
    plain.flush()
    assert min(stored(cluster, keyed).values()) > 5
    assert sorted(stored(cluster, plain).values()) == [0, 0, 60]


def test_sequences_go_on_for_each_partition(make: Callable[..., Sender], leader: Leader) -> None:
    sender = make(2)
    for _ in range(3):
        for number in range(20):
            sender.append(b"key-%d" % number, b"v")
        sender.flush()
    for partition in (0, 1):
        mine = [header for index, header in leader.batches if index == partition]
        assert len({(header.producer_id, header.producer_epoch) for header in mine}) == 1
        assert mine[0].producer_id >= 0
        assert [header.base_sequence for header in mine] == [mine[0].records_count * turn for turn in range(3)]


def test_without_idempotence_there_is_no_producer_id(cluster: Cluster, make: Callable[..., Sender], leader: Leader) -> None:
    for acks in (1, 0):
        sender = make(acks=acks, idempotent=False)
        sender.append(None, b"v")
        sender.flush()
        assert (leader.batches[-1][1].producer_id, leader.batches[-1][1].base_sequence) == (-1, -1)
        # An answer on the same connection: what was sent without one was taken by then.
        assert stored(cluster, sender) == {0: 1}


@pytest.mark.parametrize("answer", [ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.NOT_ENOUGH_REPLICAS, Unavailable("cut")])
def test_what_may_pass_is_sent_again_as_it_was(
    cluster: Cluster, make: Callable[..., Sender], leader: Leader, told: list[str], answer: "ErrorCode | Unavailable"
) -> None:
    sender = make()
    leader.answers.extend([answer, answer])
    sender.append(None, b"v")
    sender.flush()
    assert len(leader.batches) == 3
    assert len({header for _, header in leader.batches}) == 1
    assert stored(cluster, sender) == {0: 1}
    assert (sender.failed, told) == (0, [])


def test_a_batch_that_came_twice_is_delivered(cluster: Cluster, make: Callable[..., Sender], leader: Leader) -> None:
    """The first answer was lost: the leader knows the sequence numbers."""
    sender = make()
    sender.append(None, b"first")
    sender.flush()
    leader.answers.append(ErrorCode.DUPLICATE_SEQUENCE_NUMBER)
    sender.append(None, b"second")
    sender.flush()
    assert sender.failed == 0
    assert leader.batches[-1][1].base_sequence == 1


def test_a_refusal_is_told_and_the_next_goes_through(
    cluster: Cluster, make: Callable[..., Sender], leader: Leader, told: list[str]
) -> None:
    sender = make()
    leader.answers.append(ErrorCode.MESSAGE_TOO_LARGE)
    for _ in range(3):
        sender.append(None, b"v")
    sender.flush()
    assert sender.failed == 3
    assert len(leader.batches) == 1
    (text,) = told
    assert text.startswith(f"3 records for {sender._topic}-0 were not delivered: The request included a message larger")
    sender.append(None, b"next")
    sender.flush()
    assert stored(cluster, sender) == {0: 1}
    assert sender.failed == 3


def test_after_an_unknown_outcome_a_new_producer_begins(
    cluster: Cluster, make: Callable[..., Sender], leader: Leader, told: list[str]
) -> None:
    sender = make(retries=1)
    sender.append(None, b"first")
    sender.flush()
    leader.answers.extend([Unavailable("cut"), Unavailable("cut")])
    sender.append(None, b"lost")
    sender.flush()
    assert told == [f"1 records for {sender._topic}-0 were not delivered: cut"]
    sender.append(None, b"next")
    sender.flush()
    first, last = leader.batches[0][1], leader.batches[-1][1]
    assert last.producer_id != first.producer_id
    assert last.base_sequence == 0
    assert stored(cluster, sender) == {0: 2}


def test_retries_end_with_the_delivery_time_out(make: Callable[..., Sender], leader: Leader, told: list[str]) -> None:
    sender = make(retries=1000, delivery_timeout_ms=1, retry_backoff_ms=5)
    leader.answers.extend([ErrorCode.NOT_LEADER_OR_FOLLOWER] * 900)
    sender.append(None, b"v")
    sender.flush()
    assert len(told) == 1
    assert len(leader.batches) < 900


def test_an_unknown_topic_is_made(cluster: Cluster, fresh: Fresh) -> None:
    sender = Sender(cluster, fresh("made"), SenderSettings(), lambda text: None)
    sender.append(None, b"v")
    sender.flush()
    assert sum(stored(cluster, sender).values()) == 1
    assert SenderSettings().acks == module.ALL_REPLICAS
