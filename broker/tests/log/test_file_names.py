"""The names of files and directories, as Kafka spells them."""

import pytest
from broker.log.file_names import (
    DELETE_DIRECTORY,
    INDEX_SUFFIXES,
    LOG,
    NAME_BYTES_MAX,
    offset_in_name,
    partition_in_name,
    segment_path,
    set_aside_name,
)


def test_offsets_have_twenty_digits() -> None:
    assert segment_path("/d/t-0", 123, LOG) == "/d/t-0/00000000000000000123.log"
    assert len(segment_path("", 2**63 - 1, LOG)) == 1 + 20 + 4


@pytest.mark.parametrize(
    ("name", "offset"),
    [
        ("00000000000000000123.log", 123),
        ("123.log", None),
        ("00000000000000000123.index", None),
        ("00000000000000000123.log.deleted", None),
        ("0000000000000000012x.log", None),
        ("leader-epoch-checkpoint", None),
    ],
)
def test_the_offset_in_a_name(name: str, offset: int | None) -> None:
    assert offset_in_name(name, LOG) == offset


def test_indexes_are_told_apart() -> None:
    assert [offset_in_name("00000000000000000007.timeindex", suffix) for suffix in INDEX_SUFFIXES] == [None, 7, None]


@pytest.mark.parametrize(
    ("name", "partition"),
    [
        ("a-topic-12", ("a-topic", 12)),
        ("__consumer_offsets-0", ("__consumer_offsets", 0)),
        ("a.0123-delete", None),
        ("meta.properties", None),
        ("-1", None),
        ("7", None),
    ],
)
def test_the_partition_in_a_name(name: str, partition: tuple[str, int] | None) -> None:
    assert partition_in_name(name) == partition


def test_a_long_topic_is_cut_to_what_a_file_system_takes() -> None:
    """Source: `logDirNameWithSuffixCappedLength`."""
    unique = "0" * 32
    assert set_aside_name("t", 3, unique, DELETE_DIRECTORY) == f"t-3.{unique}-delete"
    longest = set_aside_name("x" * 249, 1000, unique, DELETE_DIRECTORY)
    assert len(longest) == NAME_BYTES_MAX
    assert longest.endswith(f"x-1000.{unique}-delete")
