"""Records from their leaders: positions, resets, what is passed over, and leaders that are away."""

from collections.abc import Callable, Iterator

import pytest
from broker.cli import fetcher as module
from broker.cli.cluster import Cluster
from broker.cli.failures import Unavailable
from broker.cli.fetcher import Fetcher, FetcherSettings
from broker.protocol.errors import ErrorCode, KafkaError
from broker.protocol.messages.fetch import AbortedTransaction, PartitionData
from broker.record.batch import CorruptBatch
from broker.record.builder import ControlType, build_batch, build_control_batch

from .conftest import MakeTopic, Run

EARLIEST = FetcherSettings(auto_offset_reset="earliest")


@pytest.fixture
def topic(run: Run, make_topic: MakeTopic) -> str:
    """Ten records, in two batches."""
    name = make_topic()
    for first in (0, 5):
        lines = b"".join(b"%d\n" % number for number in range(first, first + 5))
        assert run("console-producer", "--topic", name, stdin=lines).status == 0
    return name


def values(fetcher: Fetcher, max_wait_ms: int = 100) -> list[bytes | None]:
    return [consumed.record.value for consumed in fetcher.poll(max_wait_ms)]


def poll_often(fetcher: Fetcher) -> None:
    for _ in range(1000):
        values(fetcher, 1)


def numbers(first: int, end: int) -> list[bytes]:
    return [b"%d" % number for number in range(first, end)]


def test_from_an_offset_on(cluster: Cluster, topic: str) -> None:
    fetcher = Fetcher(cluster, FetcherSettings())
    fetcher.assign({(topic, 0): 3})
    assert values(fetcher) == numbers(3, 10)
    assert fetcher.positions == {(topic, 0): 10}
    assert values(fetcher, 10) == []


@pytest.mark.parametrize(("reset", "expected"), [("earliest", numbers(0, 10)), ("latest", [])])
def test_without_an_offset_it_begins_where_it_is_told(cluster: Cluster, topic: str, reset: str, expected: list[bytes]) -> None:
    fetcher = Fetcher(cluster, FetcherSettings(auto_offset_reset=reset))
    fetcher.assign({(topic, 0): None})
    assert values(fetcher, 10) == expected
    assert fetcher.positions == {(topic, 0): 10}


def test_without_an_offset_and_without_a_reset(cluster: Cluster, topic: str) -> None:
    fetcher = Fetcher(cluster, FetcherSettings(auto_offset_reset="none"))
    with pytest.raises(KafkaError, match=f"no offset for {topic}-0, and auto.offset.reset=none"):
        fetcher.assign({(topic, 0): None})


def test_the_position_is_behind_what_was_taken(cluster: Cluster, topic: str) -> None:
    fetcher = Fetcher(cluster, EARLIEST)
    fetcher.assign({(topic, 0): None})
    polled = fetcher.poll(100)
    assert [next(polled).record.offset for _ in range(3)] == [0, 1, 2]
    assert fetcher.positions == {(topic, 0): 3}
    del polled
    assert values(fetcher) == numbers(3, 10)


def test_another_assignment_forgets_what_was_fetched(cluster: Cluster, topic: str) -> None:
    fetcher = Fetcher(cluster, EARLIEST)
    fetcher.assign({(topic, 0): None})
    next(fetcher.poll(100))
    fetcher.assign({(topic, 0): 8})
    assert values(fetcher) == numbers(8, 10)


def test_an_offset_out_of_range_is_reset(cluster: Cluster, topic: str) -> None:
    fetcher = Fetcher(cluster, EARLIEST)
    fetcher.assign({(topic, 0): 1000})
    found = values(fetcher) + values(fetcher)
    assert found == numbers(0, 10)


def test_small_fetches_get_there_as_well(cluster: Cluster, topic: str) -> None:
    fetcher = Fetcher(cluster, EARLIEST._replace(partition_max_bytes=1, max_bytes=1))
    fetcher.assign({(topic, 0): None})
    assert values(fetcher) == numbers(0, 5)
    assert values(fetcher) == numbers(5, 10)


def test_no_partition_is_no_record(cluster: Cluster) -> None:
    fetcher = Fetcher(cluster, EARLIEST)
    fetcher.assign({})
    assert values(fetcher, 1) == []


def test_a_partition_that_is_gone_is_given_up_after_a_while(
    cluster: Cluster, topic: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UNAVAILABLE_S", 0.2)
    monkeypatch.setattr("broker.cli.cluster.CREATION_S", 0.1)
    fetcher = Fetcher(cluster, EARLIEST)
    fetcher.assign({(topic, 0): 10})
    assert values(fetcher, 1) == []
    run("topics", "--delete", "--topic", topic)
    with pytest.raises(KafkaError, match=f"topic '{topic}' does not exist"):
        poll_often(fetcher)


def test_leaders_that_are_away_are_waited_for(cluster: Cluster, topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fetcher = Fetcher(cluster, EARLIEST)
    fetcher.assign({(topic, 0): 0})
    failures: list[Exception] = [
        Unavailable("it restarts"),
        KafkaError(ErrorCode.NOT_LEADER_OR_FOLLOWER),
        Unavailable("it still restarts"),
    ]
    node = Cluster.node

    def failing(self: Cluster, node_id: int) -> object:
        if failures:
            raise failures.pop(0)
        return node(self, node_id)

    monkeypatch.setattr(Cluster, "node", failing)
    assert [values(fetcher) for _ in range(4)] == [[], [], [], numbers(0, 10)]
    monkeypatch.setattr(module, "UNAVAILABLE_S", 0.0)
    failures[:] = [Unavailable("it is gone")] * 1000
    with pytest.raises(Unavailable, match="it is gone"):
        poll_often(fetcher)


# Batches that a broker of ours does not write yet: transactions.


@pytest.fixture
def take() -> Iterator[Callable[..., list[bytes | None]]]:
    """What a fetcher makes of the bytes of an answer."""
    unreachable = Cluster("127.0.0.1:1", "tests")

    def take_batches(
        *batches: bytes, committed: bool, aborted: tuple[tuple[int, int], ...] = (), at: int = 0
    ) -> list[bytes | None]:
        fetcher = Fetcher(unreachable, FetcherSettings(read_committed=committed))
        fetcher.positions = {("t", 0): at}
        transactions = [AbortedTransaction(producer_id=producer, first_offset=offset) for producer, offset in aborted]
        fetcher._take(
            "t", PartitionData(partition_index=0, aborted_transactions=transactions, records=memoryview(b"".join(batches)))
        )
        found = values(fetcher)
        take_batches.position = fetcher.positions["t", 0]  # type: ignore[attr-defined]
        return found

    yield take_batches
    unreachable.close()


def transactional(offset: int, producer: int, *records: bytes) -> bytes:
    return build_batch([(None, one) for one in records], 1, base_offset=offset, producer_id=producer, transactional=True)


def ends(offset: int, producer: int, kind: ControlType) -> bytes:
    batch = build_control_batch(kind, b"\0\0\0\0\0\0", 1, producer_id=producer, transactional=True)
    return offset.to_bytes(8, "big") + batch[8:]


MIXED = (
    transactional(0, 7, b"a0", b"a1"),
    transactional(2, 8, b"b2"),
    build_batch([(None, b"plain3")], 1, base_offset=3),
    ends(4, 7, ControlType.ABORT),
    transactional(5, 7, b"a5"),
    ends(6, 7, ControlType.COMMIT),
    ends(7, 8, ControlType.COMMIT),
)


def test_aborted_records_are_passed_over_when_only_committed_ones_are_wanted(take: Callable[..., list[bytes | None]]) -> None:
    assert take(*MIXED, committed=True, aborted=((7, 0),)) == [b"b2", b"plain3", b"a5"]
    assert take.position == 8  # type: ignore[attr-defined]
    assert take(*MIXED, committed=False, aborted=((7, 0),)) == [b"a0", b"a1", b"b2", b"plain3", b"a5"]


def test_records_before_the_position_are_passed_over(take: Callable[..., list[bytes | None]]) -> None:
    """An answer begins with the whole batch that the position lies in."""
    assert take(transactional(0, 7, b"0", b"1", b"2"), committed=False, at=2) == [b"2"]


def test_an_incomplete_batch_at_the_end_is_left_for_the_next_answer(take: Callable[..., list[bytes | None]]) -> None:
    assert take(MIXED[0], MIXED[1][:-3], committed=False) == [b"a0", b"a1"]
    assert take.position == 2  # type: ignore[attr-defined]


def test_a_damaged_batch_is_an_error(take: Callable[..., list[bytes | None]]) -> None:
    damaged = bytearray(MIXED[0])
    damaged[-1] ^= 1
    with pytest.raises(CorruptBatch):
        take(bytes(damaged), committed=False)
