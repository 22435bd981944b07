"""The group coordinator from its requests to its log, told in `testdata/*.txt`; and how groups are spread over partitions."""

from pathlib import Path

import pytest
from broker.group.manager import partition_of

from ..scenarios import run_scenario, scenario_files
from .stage import GroupStage


@pytest.mark.parametrize("path", scenario_files(__file__), ids=lambda path: path.stem)
def test_scenario(path: Path, rewrite: bool) -> None:
    run_scenario(path, GroupStage(), rewrite=rewrite)


@pytest.mark.parametrize(
    ("group_id", "partition"),
    # Utils.abs(groupId.hashCode()) % 50 in Java; the last one's hash is the smallest int.
    [("", 0), ("read-view", 46), ("popular", 13), ("console-consumer", 40), ("읽기", 31), ("😀", 49), ("polygenelubricants", 0)],
)
def test_a_group_belongs_to_the_partition_kafka_gives_it(group_id: str, partition: int) -> None:
    assert partition_of(group_id, 50) == partition
