"""The checks of the chaos test find what they are there for: each kind of damage, done by hand to a right ledger."""

from collections.abc import Callable
from pathlib import Path

import pytest
from broker.record.builder import build_batch
from broker.testing.cluster import Cluster
from crash.chaos_check import directory_problems, high_watermark_problems, record_problems
from crash.chaos_load import PARTITIONS, TOPIC, Load

RECORDS = 5


@pytest.fixture
def load() -> Load:
    """Every record was acknowledged at the offset of its number, and read there."""
    made = Load("127.0.0.1:1")
    made.acknowledged = [{number: number for number in range(RECORDS)} for _ in range(PARTITIONS)]
    made.read = [{number: number for number in range(RECORDS)} for _ in range(PARTITIONS)]
    return made


def test_a_right_ledger_has_no_problems(load: Load) -> None:
    assert record_problems(load, [dict(one) for one in load.read]) == []


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda at: at.pop(4), "lost"),
        (lambda at: at.update({5: 2}), "twice"),
        (lambda at: at.update({1: 2, 2: 1}), "out of order"),
        (lambda at: at.update({0: 1, 1: 0}), "not at the offset acknowledged"),
        (lambda at: at.update({7: 5}), "gaps"),
        (lambda at: at.update({5: 5}), "the group read 5 of 6"),
    ],
)
def test_damage_is_found(load: Load, damage: Callable[[dict[int, int]], object], word: str) -> None:
    found = [dict(one) for one in load.read]
    damage(found[1])
    problems = record_problems(load, found)
    assert any(word in problem and problem.startswith("partition 1") for problem in problems), problems


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    """Never started; each directory holds the same records of every partition, and says that all are committed."""
    made = Cluster(3, directory=tmp_path)
    for one in made.ids:
        marks = [f"{TOPIC} {index} {RECORDS}" for index in range(PARTITIONS)]
        for index in range(PARTITIONS):
            write_log(made, one, index, [b"%d" % number for number in range(RECORDS)])
        (made.brokers[one].data / "replication-offset-checkpoint").write_text("\n".join(["0", str(len(marks)), *marks, ""]))
    return made


def write_log(cluster: Cluster, node_id: int, partition: int, values: list[bytes]) -> None:
    directory = cluster.brokers[node_id].data / f"{TOPIC}-{partition}"
    directory.mkdir(parents=True, exist_ok=True)
    batches = [build_batch([(None, value)], 0, base_offset=offset) for offset, value in enumerate(values)]
    (directory / f"{0:020}.log").write_bytes(b"".join(batches))


def test_equal_directories_have_no_problems(cluster: Cluster) -> None:
    write_log(cluster, 3, 2, [b"0", b"1", b"2", b"3", b"4", b"beyond the high watermark"])
    assert directory_problems(cluster) == []


def test_other_bytes_are_found(cluster: Cluster) -> None:
    write_log(cluster, 3, 2, [b"0", b"1", b"other", b"3", b"4"])
    assert directory_problems(cluster) == [f"{TOPIC}-2: brokers 1 and 3 differ below 5 at [2]"]


def test_a_missing_batch_is_found(cluster: Cluster) -> None:
    write_log(cluster, 2, 0, [b"0", b"1", b"2", b"3"])
    assert directory_problems(cluster) == [f"{TOPIC}-0: brokers 1 and 2 differ below 5 at [4]"]


def test_a_replica_that_has_not_heard_of_the_end_is_found(cluster: Cluster, load: Load) -> None:
    assert high_watermark_problems(cluster, load.read) == []
    noted = cluster.brokers[2].data / "replication-offset-checkpoint"
    noted.write_text(noted.read_text().replace(f"{TOPIC} 1 {RECORDS}", f"{TOPIC} 1 {RECORDS - 1}"))
    assert high_watermark_problems(cluster, load.read) == [f"{TOPIC}-1: high watermarks [5, 4, 5], records 5"]
