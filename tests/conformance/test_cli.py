"""Our command line tools beside Kafka's own: the same command through both, against our broker and against Apache Kafka.

Output is compared line by line, with runs of blanks as one and without empty lines; what one tool writes, the other reads.
"""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from peers.apache_kafka import tool

from .conftest import Target
from .test_confluent_kafka import Member, eventually, poll_until, send

pytestmark = [pytest.mark.usefixtures("kafka_jars"), pytest.mark.timeout(300)]
MakeTopic = Callable[..., str]
Done = subprocess.CompletedProcess[str]
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
EVERY_COLUMN = [
    argument
    for column in ("timestamp", "partition", "offset", "epoch", "headers", "key", "value")
    for argument in ("--formatter-property", f"print.{column}=true")
]


def ours(name: str, target: Target, *arguments: str, stdin: str | None = None) -> Done:
    command = [sys.executable, "-m", "broker.cli.main", name, "--bootstrap-server", target.bootstrap_servers, *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120, check=False)


def theirs(name: str, target: Target, *arguments: str, stdin: str | None = None) -> Done:
    return tool(name, "--bootstrap-server", target.bootstrap_servers, *arguments, stdin=stdin)


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def output(done: Done) -> list[str]:
    assert done.returncode == 0, done.stdout + done.stderr
    return lines(done.stdout)


def both(name: str, target: Target, *arguments: str, about: str = "") -> list[str]:
    """What both tools print `about` something, the same but for the order of lines: Kafka's comes out of hash maps."""
    mine, other = ([line for line in output(run(name, target, *arguments)) if about in line] for run in (ours, theirs))
    assert sorted(mine) == sorted(other)
    return mine


def test_topics(target: Target) -> None:
    name = target.fresh("cli-topic")
    create = ("--create", "--topic", name, "--partitions", "3", "--config", "retention.ms=86400000")
    assert output(ours("topics", target, *create)) == [f"Created topic {name}."]
    assert name in both("topics", target, "--list")
    assert both("topics", target, "--list", "--topic", f"{name[:-1]}.*|{name}")[-1].startswith("cli-topic")
    described = both("topics", target, "--describe", "--topic", name)
    assert "retention.ms=86400000" in described[0]
    assert len(described) == 4
    topic_id = re.search(r"TopicId: (\S+)", described[0])
    assert topic_id is not None
    # Kafka's tool asks for ids by another API, which does not know eligible leader replicas.
    assert output(ours("topics", target, "--describe", "--topic-id", topic_id[1])) == described
    assert both("topics", target, "--describe", "--topic", name, "--topics-with-overrides") == described[:1]
    assert both("topics", target, "--describe", "--topic", name, "--at-min-isr-partitions") == described[1:]
    for report in ("--under-replicated-partitions", "--unavailable-partitions", "--under-min-isr-partitions"):
        assert both("topics", target, "--describe", report) == []
    output(ours("topics", target, "--alter", "--topic", name, "--partitions", "4"))
    eventually(lambda: "PartitionCount: 4" in both("topics", target, "--describe", "--topic", name)[0])
    output(ours("topics", target, "--create", "--topic", name, "--if-not-exists"))
    again = ours("topics", target, "--create", "--topic", name)
    assert (again.returncode, again.stdout) == (1, "")
    assert f"Topic '{name}' already exists." in again.stderr
    output(ours("topics", target, "--delete", "--topic", name))
    eventually(lambda: name not in both("topics", target, "--list"))
    assert f"Topic '{name}' does not exist as expected" in ours("topics", target, "--describe", "--topic", name).stderr
    assert both("topics", target, "--describe", "--topic", name, "--if-exists") == []


def test_topics_with_replicas_of_ones_own_choice(target: Target) -> None:
    name = target.fresh("cli-assigned")
    output(ours("topics", target, "--create", "--topic", name, "--replica-assignment", "1,1"))
    assert "PartitionCount: 2" in both("topics", target, "--describe", "--topic", name)[0]


def test_get_offsets(target: Target, make_topic: MakeTopic) -> None:
    topic = make_topic(3)
    send(target, topic, [b"x"] * 20)
    for time in ("-1", "-2", "latest", "earliest", "0", "4102444800000"):
        both("get-offsets", target, "--topic", topic, "--time", time)
    assert len(both("get-offsets", target, "--topic", topic, "--partitions", "0,2")) == 2
    assert len(both("get-offsets", target, "--topic-partitions", f"{topic}:1-")) == 2
    assert len(both("get-offsets", target, "--topic-partitions", f"{topic}:-1,{topic}:2")) == 2
    both("get-offsets", target, "--exclude-internal-topics")
    nothing = ours("get-offsets", target, "--topic", "no-such-topic")
    assert nothing.returncode == theirs("get-offsets", target, "--topic", "no-such-topic").returncode == 1
    assert "Could not match any topic-partitions" in nothing.stderr


@pytest.mark.parametrize("codec", CODECS)
def test_what_our_producer_writes_kafkas_consumer_reads(target: Target, make_topic: MakeTopic, codec: str) -> None:
    topic = make_topic()
    reader = ("--reader-property", "parse.key=true", "--reader-property", "key.separator=:")
    texts = "".join(f"k{number}:하나 {number}\n" for number in range(50))
    output(ours("console-producer", target, "--topic", topic, *reader, "--compression-codec", codec, stdin=texts))
    shown = ("--formatter-property", "print.key=true", "--formatter-property", "key.separator=:")
    consume = ("--topic", topic, "--from-beginning", "--max-messages", "50", *shown)
    assert output(theirs("console-consumer", target, *consume)) == lines(texts)
    assert output(ours("console-consumer", target, *consume)) == lines(texts)


@pytest.mark.parametrize("codec", CODECS)
def test_what_kafkas_producer_writes_our_consumer_reads(target: Target, make_topic: MakeTopic, codec: str) -> None:
    topic = make_topic()
    texts = "".join(f"two {number} 둘\n" for number in range(50))
    output(theirs("console-producer", target, "--topic", topic, "--compression-codec", codec, stdin=texts))
    done = ours("console-consumer", target, "--topic", topic, "--from-beginning", "--max-messages", "50")
    assert output(done) == lines(texts)
    assert lines(done.stderr) == ["Processed a total of 50 messages"]


def test_keys_headers_nulls_and_every_column(target: Target, make_topic: MakeTopic) -> None:
    """The same lines through both producers become the same records: keys choose the same partitions."""
    properties = ("parse.key=true", "parse.headers=true", "key.separator=|", "null.marker=NULL", "headers.separator=;")
    reader = [argument for one in properties for argument in ("--reader-property", one)]
    text = "".join(f"h:{number};i:NULL\tkey-{number}|value {number}\n" for number in range(30)) + "NULL\tNULL|\na:b\tk|NULL\n"
    shown = []
    for produce in (ours, theirs):
        topic = make_topic(3)
        output(produce("console-producer", target, "--topic", topic, *reader, stdin=text))
        # Without a key the partition is any; that one record is left out of the comparison of topics.
        consume = ("--topic", topic, "--from-beginning", "--max-messages", "32", *EVERY_COLUMN)
        found = both("console-consumer", target, *consume)
        keyed = [re.sub(r"CreateTime:\d+|Offset:\d+", "", line) for line in found if "NO_HEADERS" not in line]
        shown.append(sorted(keyed))
    assert len(shown[0]) == 31
    assert shown[0] == shown[1]


def test_one_partition_from_an_offset(target: Target, make_topic: MakeTopic) -> None:
    topic = make_topic(2)
    texts = "".join(f"same:{number}\n" for number in range(10))
    reader = ("--reader-property", "parse.key=true", "--reader-property", "key.separator=:")
    output(ours("console-producer", target, "--topic", topic, *reader, stdin=texts))
    ends = dict(line.split(":")[1:] for line in both("get-offsets", target, "--topic", topic))
    (partition,) = [index for index, end in ends.items() if end == "10"]
    consume = ("--topic", topic, "--partition", partition)
    found = both("console-consumer", target, *consume, "--offset", "4", "--max-messages", "6", *EVERY_COLUMN)
    assert [line.split()[-1] for line in found] == ["4", "5", "6", "7", "8", "9"]
    assert both("console-consumer", target, *consume, "--offset", "earliest", "--max-messages", "2") == ["0", "1"]
    # Without records both end well and print none; Kafka's puts its complaint on standard output.
    assert output(ours("console-consumer", target, *consume, "--timeout-ms", "1000")) == []
    assert not any(line.isdigit() for line in output(theirs("console-consumer", target, *consume, "--timeout-ms", "1000")))


def test_both_consumers_in_one_group(target: Target, make_topic: MakeTopic) -> None:
    """Where one stopped, the other goes on: what a consumer commits at its end is what it printed."""
    topic, group = make_topic(), target.fresh("cli-shared")
    send(target, topic, [b"%d" % number for number in range(12)])
    consume = ("--topic", topic, "--from-beginning", "--group", group, "--max-messages", "4")
    assert output(ours("console-consumer", target, *consume)) == ["0", "1", "2", "3"]
    assert output(theirs("console-consumer", target, *consume)) == ["4", "5", "6", "7"]
    assert output(ours("console-consumer", target, *consume)) == ["8", "9", "10", "11"]
    (row,) = [line.split() for line in both("consumer-groups", target, "--describe", "--group", group) if topic in line]
    assert row[3:6] == ["12", "12", "0"]


def test_consumer_groups_of_members(target: Target, make_topic: MakeTopic) -> None:
    topic, group = make_topic(3), target.fresh("cli-members")
    send(target, topic, [b"x"] * 9)
    static = {"client.id": "static-one", "group.instance.id": "instance-1"}
    members = [Member(target, group, topic, **{"client.id": "plain-one"}), Member(target, group, topic, **static)]
    poll_until(members, lambda: all(member.assignment() for member in members))
    describe = ("--describe", "--group", group)
    assert len(both("consumer-groups", target, *describe)) == 4
    assert len(both("consumer-groups", target, *describe, "--verbose")) == 4
    assert "instance-1" in " ".join(both("consumer-groups", target, *describe, "--members"))
    assert len(both("consumer-groups", target, *describe, "--members", "--verbose")) == 3
    assert "Stable" in both("consumer-groups", target, *describe, "--state")[1]
    assert "Stable" in both("consumer-groups", target, *describe, "--state", "--verbose")[1]
    # Groups of other tests may come and go meanwhile.
    assert both("consumer-groups", target, "--list", "--state", about=group) == [f"{group} Stable"]
    typed = both("consumer-groups", target, "--list", "--state", "stable,empty", "--type", "classic", about=group)
    assert typed == [f"{group} Classic Stable"]
    assert both("consumer-groups", target, "--list", about=group) == [group]
    busy = ours("consumer-groups", target, "--reset-offsets", "--group", group, "--topic", topic, "--to-earliest", "--execute")
    assert busy.returncode == 1
    assert "the current state is Stable" in busy.stderr
    for member in members:
        member.consumer.close()


def test_consumer_groups_reset(target: Target, make_topic: MakeTopic, tmp_path: Path) -> None:
    topic, group = make_topic(2), target.fresh("cli-reset")
    send(target, topic, [b"x"] * 20)
    reset = ("--reset-offsets", "--group", group)
    to_latest = output(ours("consumer-groups", target, *reset, "--topic", topic, "--to-latest", "--execute"))
    assert len(to_latest) == 3
    for scenario in (
        ("--to-earliest",),
        ("--to-latest",),
        ("--to-current",),
        ("--to-offset", "3"),
        ("--to-offset", "1000"),
        ("--shift-by", "-2"),
        ("--shift-by", "7"),
        ("--to-datetime", "2020-01-01T00:00:00.000"),
        ("--to-datetime", "2099-01-01T09:00:00.000+09:00"),
        ("--by-duration", "P1DT2H3M4.5S"),
    ):
        both("consumer-groups", target, *reset, "--topic", f"{topic}:0,1", *scenario, "--dry-run")
    both("consumer-groups", target, *reset, "--all-topics", "--to-earliest", "--dry-run")
    plan = both("consumer-groups", target, *reset, "--topic", topic, "--to-offset", "2", "--dry-run", "--export")
    # All records have one key: the other partition is empty, and stays at 0.
    assert sorted(line.split(",")[2] for line in plan) == ["0", "2"]
    file = tmp_path / "plan.csv"
    file.write_text("\n".join(plan) + "\n")
    both("consumer-groups", target, *reset, "--from-file", str(file), "--dry-run")
    output(ours("consumer-groups", target, *reset, "--from-file", str(file), "--execute"))
    rows = [line.split() for line in both("consumer-groups", target, "--describe", "--group", group) if topic in line]
    assert [",".join((topic, row[2], row[3])) for row in rows] == plan
    assert len(both("consumer-groups", target, "--describe", "--group", group, "--members")) == 1


def test_consumer_groups_delete(target: Target, make_topic: MakeTopic) -> None:
    topic = make_topic(2)
    first, second = target.fresh("cli-delete"), target.fresh("cli-delete")
    for group in (first, second):
        output(ours("consumer-groups", target, "--reset-offsets", "--group", group, "--topic", topic, "--to-latest", "--execute"))
    mine = output(ours("consumer-groups", target, "--delete-offsets", "--group", first, "--topic", f"{topic}:0"))
    other = output(theirs("consumer-groups", target, "--delete-offsets", "--group", second, "--topic", f"{topic}:0"))
    assert mine == [line.replace(second, first) for line in other]
    assert len([line for line in both("consumer-groups", target, "--describe", "--group", first) if topic in line]) == 1
    deleted = output(ours("consumer-groups", target, "--delete", "--group", first))
    other = output(theirs("consumer-groups", target, "--delete", "--group", second))
    assert [line.replace(second, first) for line in other] == deleted
    absent = ours("consumer-groups", target, "--describe", "--group", first)
    assert absent.returncode == 1
    assert f"group '{first}' does not exist" in absent.stderr
