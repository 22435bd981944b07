"""`broker get-offsets`."""

import pytest

from .conftest import MakeTopic, Run
from .fake_broker import free_address


@pytest.fixture
def topic(run: Run, make_topic: MakeTopic) -> str:
    """Three partitions; one of them has three records."""
    name = make_topic(3)
    assert run("console-producer", "--topic", name, "--property", "parse.key=true", stdin=b"k\t1\nk\t2\nk\t3\n").status == 0
    return name


def test_the_ends_of_a_topic(run: Run, topic: str) -> None:
    found = run("get-offsets", "--topic", topic)
    assert found.status == 0
    assert sorted(line.split(":")[2] for line in found.lines) == ["0", "0", "3"]
    assert [line.split(":")[:2] for line in found.lines] == [[topic, "0"], [topic, "1"], [topic, "2"]]
    assert run("get-offsets", "--topic", topic, "--time", "-1").lines == found.lines
    assert [line[-2:] for line in run("get-offsets", "--topic", topic, "--time", "earliest").lines] == [":0"] * 3


def test_partitions_without_a_record_so_new_are_left_out(run: Run, topic: str) -> None:
    assert run("get-offsets", "--topic", topic, "--time", "4102444800000").lines == []
    (first,) = run("get-offsets", "--topic", topic, "--time", "0").lines
    assert first.endswith(":0")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--topic", "{}", "--partitions", "2,0"), [0, 2]),
        (("--topic-partitions", "{}:1"), [1]),
        (("--topic-partitions", "{}:1-"), [1, 2]),
        (("--topic-partitions", "{}:-2"), [0, 1]),
        (("--topic-partitions", "{}:0-2"), [0, 1]),
        (("--topic-partitions", "{}:0,{}:2"), [0, 2]),
        (("--topic-partitions", "{}"), [0, 1, 2]),
        (("--topic-partitions", "{}:"), [0, 1, 2]),
    ],
)
def test_which_partitions(run: Run, topic: str, arguments: tuple[str, ...], expected: list[int]) -> None:
    found = run("get-offsets", *(one.replace("{}", topic) for one in arguments))
    assert [int(line.split(":")[1]) for line in found.lines] == expected


def test_any_topic_at_some_partition(run: Run, topic: str) -> None:
    found = run("get-offsets", "--topic-partitions", ":2", "--exclude-internal-topics")
    assert any(line.startswith(f"{topic}:2:") for line in found.lines)
    assert all(line.split(":")[1] == "2" for line in found.lines)
    assert not any(line.startswith("__") for line in found.lines)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--topic", "nowhere"), "Could not match any topic-partitions with the specified filters"),
        (("--topic", "("), "--topic ( is no regular expression"),
        (("--time", "soon"), "--time soon is neither a number of milliseconds nor one of latest, earliest, max-timestamp"),
        (("--time", "earliest-local"), "there is no tiered storage"),
        (("--partitions", "x"), "--partitions x is not of the form 0,1,2"),
        (("--topic", "a", "--topic-partitions", "a:0"), "--topic-partitions cannot be used with --topic or --partitions"),
        (("--topic-partitions", "a:b"), "--topic-partitions a:b is not of the form"),
    ],
)
def test_what_is_wrong_is_one_line(run: Run, arguments: tuple[str, ...], words: str) -> None:
    found = run("get-offsets", *arguments)
    assert (found.status, found.out) == (1, "")
    assert found.err.startswith("broker get-offsets: ")
    assert words in found.err
    assert found.err.count("\n") == 1


def test_no_broker(run: Run) -> None:
    address = free_address()
    found = run("get-offsets", server=address)
    assert found.status == 1
    assert f"no broker answers at {address} (Connection refused)" in found.err
