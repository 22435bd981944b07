"""`broker topics`: what each action does, and what it says when it cannot."""

import pytest

from .conftest import Fresh, MakeTopic, Run
from .fake_broker import free_address


def test_a_topics_life(run: Run, fresh: Fresh) -> None:
    name = fresh("life")
    created = run("topics", "--create", "--topic", name, "--partitions", "2", "--config", "retention.ms=1000")
    assert (created.status, created.out, created.err) == (0, f"Created topic {name}.\n", "")
    assert name in run("topics", "--list").lines
    described = run("topics", "--describe", "--topic", name).lines
    assert "PartitionCount: 2 ReplicationFactor: 1 Configs: min.insync.replicas=1,retention.ms=1000" in described[0]
    assert run("topics", "--alter", "--topic", name, "--partitions", "5").status == 0
    assert "PartitionCount: 5" in run("topics", "--describe", "--topic", name).lines[0]
    assert run("topics", "--delete", "--topic", name).status == 0
    assert name not in run("topics", "--list").lines


def test_what_exists_already(run: Run, make_topic: MakeTopic) -> None:
    name = make_topic()
    again = run("topics", "--create", "--topic", name)
    assert (again.status, again.out) == (1, "")
    assert again.err == f"broker topics: cannot create topic '{name}': Topic '{name}' already exists.\n"
    tolerant = run("topics", "--create", "--topic", name, "--if-not-exists")
    assert (tolerant.status, tolerant.out) == (0, "")


@pytest.mark.parametrize("action", [("--describe",), ("--alter", "--partitions", "9"), ("--delete",)])
def test_what_does_not_exist(run: Run, action: tuple[str, ...]) -> None:
    absent = run("topics", *action, "--topic", "nowhere")
    assert (absent.status, absent.out) == (1, "")
    assert "Topic 'nowhere' does not exist as expected" in absent.err
    assert run("topics", *action, "--topic", "nowhere", "--if-exists") == (0, "", "")


def test_names_are_patterns(run: Run, fresh: Fresh) -> None:
    first, second = fresh("pattern"), fresh("pattern")
    for name in (first, second):
        run("topics", "--create", "--topic", name)
    assert run("topics", "--list", "--topic", f"{first},{second}").lines == sorted([first, second])
    assert run("topics", "--delete", "--topic", "pattern-.*").status == 0
    assert run("topics", "--list", "--topic", "pattern-.*").lines == []


def test_names_that_could_collide_in_metrics(run: Run, fresh: Fresh) -> None:
    assert "WARNING: Due to limitations in metric names" in run("topics", "--create", "--topic", f"{fresh('a')}.b").out


def test_internal_topics_can_be_left_out(run: Run, make_topic: MakeTopic, fresh: Fresh) -> None:
    group = ("--group", fresh("g"), "--topic", make_topic())
    assert run("consumer-groups", "--reset-offsets", *group, "--to-latest", "--execute").status == 0
    assert "__consumer_offsets" in run("topics", "--list").lines
    assert "__consumer_offsets" not in run("topics", "--list", "--exclude-internal").lines


def test_replicas_of_ones_own_choice(run: Run, fresh: Fresh) -> None:
    name = fresh("assigned")
    assert run("topics", "--create", "--topic", name, "--replica-assignment", "1,1").status == 0
    assert run("topics", "--alter", "--topic", name, "--partitions", "3", "--replica-assignment", "1,1,1").status == 0
    assert "PartitionCount: 3" in run("topics", "--describe", "--topic", name).lines[0]
    unknown = run("topics", "--create", "--topic", fresh("assigned"), "--replica-assignment", "77")
    assert unknown.status == 1
    assert "77" in unknown.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "exactly one action is needed"),
        (("--list", "--describe"), "exactly one action is needed"),
        (("--create",), "--create needs --topic"),
        (("--delete",), "--delete needs --topic"),
        (("--alter", "--topic", "t"), "--alter needs --partitions"),
        (("--create", "--topic", "t", "--partitions", "0"), "The partitions must be greater than 0"),
        (("--create", "--topic", "t", "--partitions", "two"), "invalid int value: 'two'"),
        (("--create", "--topic", "t", "--replication-factor", "0"), "must be between 1 and 32767"),
        (("--create", "--topic", "t", "--replication-factor", "3"), "topic 't'"),
        (("--create", "--topic", "t", "--config", "retention.ms"), "--config retention.ms is not of the form key=value"),
        (("--create", "--topic", "t", "--config", "retention.ms=soon"), "retention.ms"),
        (("--create", "--topic", "t", "--config", "no.such=1"), "no.such"),
        (("--create", "--topic", "bad name"), "'bad name' contains"),
        (("--create", "--topic", "t", "--replica-assignment", "1:x"), "is not of the form 1:2,2:1"),
        (("--create", "--topic", "t", "--replica-assignment", "1:1"), "partition 0 names a broker twice"),
        (("--create", "--topic", "t", "--replica-assignment", "1:2,1"), "another number of replicas"),
        (("--create", "--topic", "t", "--replica-assignment", "1", "--partitions", "1"), "cannot be used with --partitions"),
        (("--list", "--partitions", "3"), "--partitions cannot be used with --list"),
        (("--alter", "--topic", "t", "--partitions", "3", "--config", "a=b"), "kafka-configs.sh alters settings"),
        (("--delete", "--topic", "t", "--if-not-exists"), "--if-not-exists cannot be used with --delete"),
        (("--describe", "--topics-with-overrides", "--unavailable-partitions"), "--topics-with-overrides cannot be used"),
        (("--describe", "--topic", "("), "is no regular expression"),
        (("--describe", "--topic-id", "AAAAAAAAAAAAAAAAAAAAAA"), "TopicId 'AAAAAAAAAAAAAAAAAAAAAA' does not exist"),
        (("--list", "--delete-config", "x"), "--delete-config is not supported"),
        (("--list", "--command-config", "/nowhere/x"), "cannot read /nowhere/x"),
    ],
)
def test_what_is_wrong_is_one_line(run: Run, arguments: tuple[str, ...], words: str) -> None:
    found = run("topics", *arguments)
    assert (found.status, found.out) == (1, "")
    assert found.err.startswith("broker topics: ")
    assert words in found.err
    assert found.err.count("\n") == 1


def test_fewer_partitions_than_before(run: Run, make_topic: MakeTopic) -> None:
    name = make_topic(3)
    fewer = run("topics", "--alter", "--topic", name, "--partitions", "2")
    assert fewer.status == 1
    assert f"cannot alter topic '{name}'" in fewer.err


def test_no_broker(run: Run) -> None:
    address = free_address()
    found = run("topics", "--list", server=address)
    assert (found.status, found.out) == (1, "")
    assert found.err.startswith(f"broker topics: no broker answers at {address}")
