"""`broker consumer-groups`: its actions, and what it says when it cannot."""

from pathlib import Path

import pytest

from .conftest import Fresh, MakeTopic, Run
from .fake_broker import free_address


@pytest.fixture
def topic(run: Run, make_topic: MakeTopic) -> str:
    """Five records."""
    name = make_topic()
    assert run("console-producer", "--topic", name, stdin=b"0\n1\n2\n3\n4\n").status == 0
    return name


@pytest.fixture
def group(run: Run, topic: str, fresh: Fresh) -> str:
    """A group that has read two of the five records."""
    name = fresh("group")
    read = ("--topic", topic, "--from-beginning", "--group", name, "--max-messages", "2")
    assert run("console-consumer", *read).status == 0
    return name


def test_listing(run: Run, group: str) -> None:
    assert group in run("consumer-groups", "--list").lines
    with_state = run("consumer-groups", "--list", "--state").lines
    assert with_state[0] == "GROUP STATE"
    assert f"{group} Empty" in with_state
    assert f"{group} Classic Empty" in run("consumer-groups", "--list", "--state", "EMPTY,stable", "--type", "classic").lines
    assert not any(group in line for line in run("consumer-groups", "--list", "--state", "stable").lines)


def test_describing(run: Run, group: str, topic: str) -> None:
    found = run("consumer-groups", "--describe", "--group", group)
    assert found.status == 0
    assert found.lines[1:] == [f"{group} {topic} 0 2 5 3 - - -"]
    assert run("consumer-groups", "--describe", "--group", group, "--offsets").lines == found.lines
    assert run("consumer-groups", "--describe", "--group", group, "--state").lines[1].endswith("- Empty 0")
    assert len(run("consumer-groups", "--describe", "--group", group, "--members").lines) == 1
    assert any(group in line for line in run("consumer-groups", "--describe", "--all-groups").lines)


def test_one_of_several_groups_does_not_exist(run: Run, group: str) -> None:
    found = run("consumer-groups", "--describe", "--group", group, "--group", "nobody")
    assert found.status == 1
    assert len(found.lines) == 2
    assert "broker consumer-groups: group 'nobody' does not exist; --list shows those that do" in found.err


def test_resetting(run: Run, group: str, topic: str, tmp_path: Path) -> None:
    reset = ("--reset-offsets", "--group", group, "--topic", topic, "--to-offset", "4")
    dry = run("consumer-groups", *reset)
    assert dry.lines == ["GROUP TOPIC PARTITION NEW-OFFSET", f"{group} {topic} 0 4"]
    assert "--execute option is missing" in dry.err
    assert run("consumer-groups", *reset, "--dry-run").err == ""
    assert run("consumer-groups", "--describe", "--group", group).lines[1].split()[3] == "2"
    exported = run("consumer-groups", *reset, "--dry-run", "--export")
    assert exported.lines == [f"{topic},0,4"]
    file = tmp_path / "plan.csv"
    file.write_text(exported.out)
    assert run("consumer-groups", "--reset-offsets", "--group", group, "--from-file", str(file), "--execute").status == 0
    assert run("consumer-groups", "--describe", "--group", group).lines[1].split()[3] == "4"
    other = run("consumer-groups", "--reset-offsets", "--group", "another", "--from-file", str(file), "--dry-run")
    assert other.lines == ["GROUP TOPIC PARTITION NEW-OFFSET", f"another {topic} 0 4"]


def test_deleting(run: Run, group: str) -> None:
    some = run("consumer-groups", "--delete", "--group", group, "--group", "nobody")
    assert some.status == 1
    assert some.lines == [f"These consumer groups were deleted successfully: '{group}'"]
    assert some.err == "broker consumer-groups: Group 'nobody' could not be deleted: The group id does not exist.\n"
    assert group not in run("consumer-groups", "--list").lines


def test_deleting_one(run: Run, group: str) -> None:
    done = run("consumer-groups", "--delete", "--group", group)
    assert done == (0, f"Deletion of requested consumer groups ('{group}') was successful.\n", "")


def test_deleting_offsets(run: Run, group: str, topic: str) -> None:
    done = run("consumer-groups", "--delete-offsets", "--group", group, "--topic", topic)
    assert done.status == 0
    assert done.lines == [
        f"Request succeeded for deleting offsets from group {group}.",
        "TOPIC PARTITION STATUS",
        f"{topic} 0 Successful",
    ]
    assert run("consumer-groups", "--describe", "--group", "nobody").status == 1
    absent = run("consumer-groups", "--delete-offsets", "--group", "nobody", "--topic", topic)
    assert absent.status == 1
    assert absent.err == "broker consumer-groups: group 'nobody': The group id does not exist.\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "exactly one action is needed: --list, --describe, --delete, --reset-offsets, --delete-offsets"),
        (("--list", "--delete"), "exactly one action is needed"),
        (("--describe",), "--describe needs --group or --all-groups"),
        (("--delete",), "--delete needs --group or --all-groups"),
        (("--describe", "--group", "g", "--all-groups"), "--group and --all-groups cannot be used together"),
        (("--describe", "--group", "g", "--members", "--state"), "--describe takes one of --members, --offsets and --state"),
        (("--describe", "--group", "g", "--state", "empty"), "--state takes no value with --describe"),
        (("--list", "--members"), "--members cannot be used with --list"),
        (("--list", "--state", "sleepy"), "--state sleepy is not known, only PreparingRebalance"),
        (("--list", "--type", "share"), "--type share is not known, only Classic, Consumer"),
        (("--delete", "--group", "g", "--topic", "t"), "--topic cannot be used with --delete"),
        (("--delete-offsets", "--group", "g"), "--delete-offsets needs one --group and at least one --topic"),
        (("--delete-offsets", "--group", "g", "--group", "h", "--topic", "t"), "--delete-offsets needs one --group"),
        (("--reset-offsets", "--group", "g", "--topic", "t"), "--reset-offsets needs one of --to-offset, --shift-by"),
        (("--reset-offsets", "--group", "g", "--to-latest"), "--reset-offsets needs --topic or --all-topics"),
        (("--reset-offsets", "--group", "g", "--topic", "t", "--to-latest", "--to-earliest"), "needs one of"),
        (
            ("--reset-offsets", "--group", "g", "--topic", "t", "--to-latest", "--dry-run", "--execute"),
            "--dry-run and --execute cannot be used together",
        ),
        (
            ("--reset-offsets", "--group", "g", "--topic", "t", "--all-topics", "--to-latest", "--dry-run"),
            "--topic and --all-topics cannot be used together",
        ),
        (("--reset-offsets", "--group", "g", "--topic", "t:x", "--to-latest", "--dry-run"), "t:x is not of the form"),
        (("--reset-offsets", "--group", "g", "--topic", "nowhere", "--to-latest", "--dry-run"), "topic 'nowhere' does not exist"),
        (("--list", "--to-latest"), "--to-latest cannot be used with --list"),
        (("--list", "--timeout", "0"), "--timeout 0 is too small"),
        (("--validate-regex", "x"), "--validate-regex is not supported"),
    ],
)
def test_what_is_wrong_is_one_line(run: Run, arguments: tuple[str, ...], words: str) -> None:
    found = run("consumer-groups", *arguments)
    assert (found.status, found.out) == (1, "")
    assert found.err.startswith("broker consumer-groups: ")
    assert words in found.err
    assert found.err.count("\n") == 1


def test_no_broker(run: Run) -> None:
    address = free_address()
    found = run("consumer-groups", "--list", server=address)
    assert found.status == 1
    assert f"no broker answers at {address}" in found.err
