"""Plans of new offsets: every scenario, moments and durations, and plans as text."""

import argparse
import time
from pathlib import Path

import pytest
from broker.cli.cluster import Cluster
from broker.cli.failures import UsageError
from broker.cli.group_offsets import commit, committed
from broker.cli.groups_reset import (
    SCENARIOS,
    duration_ms,
    export_plans,
    moment_ms,
    print_plans,
    read_plan,
    reset_offsets,
    within_ends,
)
from broker.protocol.errors import KafkaError

from .conftest import Fresh, MakeTopic, Run


def options(**given: object) -> argparse.Namespace:
    nothing = dict.fromkeys(SCENARIOS) | {"to_earliest": False, "to_latest": False, "to_current": False}
    scope = {"group": None, "topic": None, "all_topics": False, "execute": False}
    return argparse.Namespace(**(nothing | scope | given))


@pytest.fixture
def topic(run: Run, make_topic: MakeTopic) -> str:
    """Ten records in one of two partitions, which is partition 1 of ours."""
    name = make_topic(2)
    lines = b"".join(b"key-0\t%d\n" % number for number in range(10))
    assert run("console-producer", "--topic", name, "--property", "parse.key=true", stdin=lines).status == 0
    return name


@pytest.fixture
def full(run: Run, topic: str) -> int:
    """The partition that has the records."""
    (index,) = [line.split(":")[1] for line in run("get-offsets", "--topic", topic).lines if line.endswith(":10")]
    return int(index)


def test_scenarios(cluster: Cluster, topic: str, full: int, fresh: Fresh) -> None:
    group = fresh("reset")
    commit(cluster, group, {(topic, full): 4})
    only = f"{topic}:{full}"

    def plan(**scenario: object) -> int:
        return reset_offsets(cluster, group, options(topic=[only], **scenario))[topic, full]

    assert plan(to_earliest=True) == 0
    assert plan(to_latest=True) == 10
    assert plan(to_offset=7) == 7
    assert plan(to_offset=0) == 0
    assert plan(shift_by=-2) == 2
    assert plan(shift_by=0) == 4
    assert plan(to_current=True) == 4
    assert plan(to_datetime="2020-01-01T00:00:00.000") == 0
    assert plan(by_duration="P1D") == 0
    assert committed(cluster, group)[topic, full].offset == 4


def test_offsets_beyond_the_ends_are_brought_back(
    cluster: Cluster, topic: str, full: int, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    capfdbinary.readouterr()
    empty = (topic, 1 - full)
    assert within_ends(cluster, {(topic, full): 99, empty: -3}) == {(topic, full): 10, empty: 0}
    said = capfdbinary.readouterr().err.decode().splitlines()
    assert (
        said[0]
        == f"WARN New offset (99) is higher than latest offset for topic partition {topic}-{full}. Value will be set to 10."
    )
    assert "New offset (-3) is lower than earliest offset" in said[1]


def test_no_record_so_new_is_the_end(
    cluster: Cluster, topic: str, full: int, fresh: Fresh, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    capfdbinary.readouterr()
    plan = reset_offsets(cluster, fresh("reset"), options(topic=[topic], to_datetime="2099-01-01T00:00:00.000"))
    assert plan == {(topic, full): 10, (topic, 1 - full): 0}
    assert (
        f"Warn: Partition {full} from topic {topic} is empty. Falling back to latest known offset."
        in capfdbinary.readouterr().out.decode()
    )


def test_where_nothing_is_committed(cluster: Cluster, topic: str, full: int, fresh: Fresh) -> None:
    group = fresh("reset")
    assert reset_offsets(cluster, group, options(topic=[topic], to_current=True))[topic, full] == 10
    with pytest.raises(UsageError, match=f"Cannot shift offset for partition {topic}-0 since there is no current committed"):
        reset_offsets(cluster, group, options(topic=[topic], shift_by=1))
    assert reset_offsets(cluster, group, options(all_topics=True, to_latest=True)) == {}


def test_executing(cluster: Cluster, topic: str, full: int, fresh: Fresh) -> None:
    group = fresh("reset")
    reset_offsets(cluster, group, options(topic=[topic], to_latest=True, execute=True))
    assert committed(cluster, group)[topic, full].offset == 10
    everything = reset_offsets(cluster, group, options(all_topics=True, to_earliest=True, execute=True))
    assert everything == {(topic, 0): 0, (topic, 1): 0}
    assert committed(cluster, group)[topic, full].offset == 0


def test_partitions_and_topics_that_do_not_exist(cluster: Cluster, topic: str, fresh: Fresh) -> None:
    with pytest.raises(KafkaError, match=f'The partitions "{topic}-7,{topic}-8" do not exist'):
        reset_offsets(cluster, fresh("reset"), options(topic=[f"{topic}:0,7,8"], to_latest=True))
    with pytest.raises(KafkaError, match="topic 'nowhere' does not exist"):
        reset_offsets(cluster, fresh("reset"), options(topic=["nowhere"], to_latest=True))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:01.500", 1500),
        ("1970-01-01T09:00:00.000+09:00", 0),
        ("1970-01-01T00:00:00.007Z", 7),
        ("2026-11-25T12:34:56.789", 1795610096789),
    ],
)
def test_moments(text: str, expected: int) -> None:
    assert moment_ms(text) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2026-01-01", "2026-01-01 00:00:00.000", "2026-13-01T00:00:00.000"])
def test_moments_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match=r"is not of the form YYYY-MM-DDThh:mm:ss\.sss"):
        moment_ms(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PT0S", 0),
        ("PT1H30M", 5_400_000),
        ("P7D", 604_800_000),
        ("p1dt2h3m4.5s", 93_784_500),
        ("-PT1S", -1000),
        ("PT-1M30S", -30_000),
        ("PT0,25S", 250),
    ],
)
def test_durations(text: str, expected: int) -> None:
    assert duration_ms(text) == expected


@pytest.mark.parametrize("text", ["", "P", "PT", "P1DT", "1D", "PT1", "P1H", "PT1M1H", "P1.5D"])
def test_durations_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="is not of the form PnDTnHnMnS"):
        duration_ms(text)


def test_a_duration_counts_from_now(cluster: Cluster, topic: str, full: int, fresh: Fresh) -> None:
    time.sleep(0.01)
    assert reset_offsets(cluster, fresh("reset"), options(topic=[topic], by_duration="PT0S"))[topic, full] == 10
    with pytest.raises(UsageError, match="lies before 1970"):
        reset_offsets(cluster, fresh("reset"), options(topic=[topic], by_duration="P99999D"))


PLANS = {"g,1": {("t", 1): 5, ("t", 0): 4}, "f": {("u", 0): 0}}


def test_plans_as_text_there_and_back(tmp_path: Path) -> None:
    text = export_plans(PLANS, with_group=True)
    assert text == 'f,u,0,0\n"g,1",t,0,4\n"g,1",t,1,5\n'
    file = tmp_path / "plan.csv"
    file.write_text(text)
    assert read_plan(str(file), []) == PLANS
    assert read_plan(str(file), ["f"]) == PLANS
    file.write_text(export_plans({"g,1": PLANS["g,1"]}, with_group=False))
    assert read_plan(str(file), ["g,1"]) == {"g,1": PLANS["g,1"]}


@pytest.mark.parametrize(
    ("text", "groups", "words"),
    [
        ("t,0,1\nt,0\n", ["g"], "line 2: t,0 is not of the form topic,partition,offset"),
        ("t,zero,1\n", ["g"], "line 1: t,zero,1 is not of the form"),
        ("t,0,1\n", ["g", "h"], "line 1: t,0,1 is not of the form group,topic,partition,offset"),
    ],
)
def test_files_that_are_no_plan(tmp_path: Path, text: str, groups: list[str], words: str) -> None:
    file = tmp_path / "plan.csv"
    file.write_text(text)
    with pytest.raises(UsageError) as raised:
        read_plan(str(file), groups)
    assert words in str(raised.value)
    with pytest.raises(UsageError, match=r"cannot read .*none"):
        read_plan(str(tmp_path / "none"), groups)


def test_a_plan_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_plans(PLANS)
    assert [line.split() for line in capsys.readouterr().out.splitlines() if line] == [
        ["GROUP", "TOPIC", "PARTITION", "NEW-OFFSET"],
        ["f", "u", "0", "0"],
        ["g,1", "t", "0", "4"],
        ["g,1", "t", "1", "5"],
    ]
