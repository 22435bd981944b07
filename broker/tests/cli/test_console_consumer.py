"""`broker console-consumer`: what it prints, where it begins, when it ends."""

import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
from broker.cli.console_consumer import fetcher_settings, member_settings
from broker.cli.failures import UsageError
from broker.cli.fetcher import FetcherSettings
from broker.cli.membership import MemberSettings
from broker.testing import BrokerProcess, BrokerThread

from .conftest import Fresh, MakeTopic, Run
from .fake_broker import free_address


@pytest.fixture
def topic(run: Run, make_topic: MakeTopic) -> str:
    """Five records."""
    name = make_topic()
    assert run("console-producer", "--topic", name, stdin=b"0\n1\n2\n3\n4\n").status == 0
    return name


def test_from_the_beginning(run: Run, topic: str) -> None:
    found = run("console-consumer", "--topic", topic, "--from-beginning", "--max-messages", "3")
    assert found == (0, "0\n1\n2\n", "Processed a total of 3 messages\n")


def test_from_now_on_unless_told_otherwise(run: Run, topic: str) -> None:
    assert run("console-consumer", "--topic", topic, "--timeout-ms", "1").out == ""


def test_it_ends_when_nothing_comes(run: Run, topic: str) -> None:
    found = run("console-consumer", "--topic", topic, "--from-beginning", "--timeout-ms", "200")
    assert found == (0, "0\n1\n2\n3\n4\n", "Processed a total of 5 messages\n")
    assert run("console-consumer", "--topic", topic, "--max-messages", "0").err == "Processed a total of 0 messages\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--offset", "2"), "2\n3\n4\n"),
        (("--offset", "Earliest"), "0\n1\n2\n3\n4\n"),
        (("--from-beginning",), "0\n1\n2\n3\n4\n"),
        (("--offset", "latest"), ""),
        ((), ""),
        (("--offset", "99", "--consumer-property", "auto.offset.reset=earliest"), "0\n1\n2\n3\n4\n"),
    ],
)
def test_one_partition(run: Run, topic: str, arguments: tuple[str, ...], expected: str) -> None:
    read = ("--topic", topic, "--partition", "0", "--timeout-ms", "200")
    assert run("console-consumer", *read, *arguments).out == expected


def test_columns(run: Run, make_topic: MakeTopic) -> None:
    topic = make_topic()
    both = ("--property", "parse.key=true", "--property", "parse.headers=true")
    run("console-producer", "--topic", topic, *both, stdin=b"a:1\tk\tv\n")
    columns = [one for name in ("key", "offset", "partition", "headers") for one in ("--property", f"print.{name}=true")]
    read = ("--topic", topic, "--from-beginning", "--max-messages", "1")
    assert run("console-consumer", *read, *columns).out == "Partition:0\tOffset:0\ta:1\tk\tv\n"
    own = ("--formatter-property", "print.key=true", "--formatter-property", "key.separator=|")
    assert run("console-consumer", *read, *own).out == "k|v\n"


def test_a_group_goes_on_where_it_was(run: Run, topic: str, fresh: Fresh) -> None:
    read = ("--topic", topic, "--from-beginning", "--group", fresh("group"), "--timeout-ms", "60000", "--max-messages")
    assert [run("console-consumer", *read, count).out for count in "221"] == ["0\n1\n", "2\n3\n", "4\n"]


def test_no_group_leaves_no_offsets(run: Run, topic: str) -> None:
    run("console-consumer", "--topic", topic, "--from-beginning", "--max-messages", "2")
    assert run("console-consumer", "--topic", topic, "--from-beginning", "--max-messages", "2").out == "0\n1\n"


def test_topics_by_pattern(run: Run, fresh: Fresh) -> None:
    first, second = fresh("include-a"), fresh("include-b")
    for name in (first, second):
        run("console-producer", "--topic", name, stdin=name.encode())
    found = run("console-consumer", "--include", "include-[ab].*", "--from-beginning", "--max-messages", "2")
    assert sorted(found.lines) == [first, second]


def test_records_that_cannot_be_read(run: Run, topic: str) -> None:
    read = ("--topic", topic, "--from-beginning", "--max-messages", "5", "--value-deserializer", "LongDeserializer")
    halted = run("console-consumer", *read)
    assert (halted.status, halted.out) == (1, "")
    assert f"{topic}-0 at offset 0: 1 bytes are no number of 8 bytes; --skip-message-on-error" in halted.err
    skipped = run("console-consumer", *read, "--skip-message-on-error")
    assert (skipped.status, skipped.out, skipped.err.count("are no number")) == (0, "", 5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "exactly one of --topic and --include is needed"),
        (("--topic", "t", "--include", "t"), "exactly one of --topic and --include is needed"),
        (("--topic", "t", "--offset", "1"), "--offset needs --partition"),
        (("--include", "t", "--partition", "1"), "--partition needs --topic"),
        (("--include", "("), "--include ( is no regular expression"),
        (("--topic", "t", "--partition", "0", "--offset", "1", "--from-beginning"), "cannot be used together"),
        (("--topic", "t", "--partition", "0", "--group", "g"), "--group and --partition cannot be used together"),
        (("--topic", "t", "--group", "g", "--consumer-property", "group.id=h"), "--group g and group.id=h do not match"),
        (("--topic", "t", "--from-beginning", "--consumer-property", "auto.offset.reset=latest"), "cannot be used together"),
        (("--topic", "t", "--consumer-property", "group.protocol=consumer"), "group.protocol=consumer is not supported"),
        (("--topic", "t", "--consumer-property", "ssl.key=x"), "the setting ssl.key is not supported"),
        (("--topic", "t", "--formatter", "com.example.Own"), "--formatter com.example.Own is not supported"),
        (("--topic", "t", "--property", "print.kee=true"), "print.kee is not supported"),
        (("--topic", "t", "--property", "a=b", "--formatter-property", "a=b"), "cannot be used together"),
        (("--topic", "t", "--isolation-level", "any"), "--isolation-level"),
        (("--topic", "t", "--enable-systest-events"), "--enable-systest-events is not supported"),
        (("--topic", "t", "--max-messages", "x"), "--max-messages"),
        (("--topic", "bad name"), "topic 'bad name'"),
    ],
)
def test_what_is_wrong_is_one_line(run: Run, arguments: tuple[str, ...], words: str) -> None:
    found = run("console-consumer", *arguments)
    assert (found.status, found.out) == (1, "")
    assert found.err.startswith("broker console-consumer: ")
    assert words in found.err
    assert found.err.count("\n") == 1


def test_partitions_and_offsets_that_are_none(run: Run, topic: str) -> None:
    absent = run("console-consumer", "--topic", topic, "--partition", "9")
    assert absent.status == 1
    assert f"topic '{topic}' has no partition 9, it has 0 to 0" in absent.err
    for offset in ("-1", "soon", "1.5"):
        assert (
            "is neither a non-negative number nor earliest nor latest"
            in run("console-consumer", "--topic", topic, "--partition", "0", f"--offset={offset}").err
        )


def test_an_unknown_topic(run: Run, fresh: Fresh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.cli.cluster.CREATION_S", 0.1)
    name = fresh("absent")
    found = run("console-consumer", "--topic", name, "--consumer-property", "allow.auto.create.topics=false")
    assert found.status == 1
    assert f"topic '{name}' does not exist; broker topics --create --topic {name} makes it" in found.err
    with BrokerThread({"auto.create.topics.enable": "false"}) as broker:
        assert run("console-consumer", "--topic", name, server=broker.bootstrap_servers).status == 1


def test_no_broker(run: Run) -> None:
    address = free_address()
    found = run("console-consumer", "--topic", "t", server=address)
    assert found.status == 1
    assert f"no broker answers at {address}" in found.err


def test_settings() -> None:
    assert fetcher_settings({"auto.offset.reset": "latest"}) == FetcherSettings()
    assert fetcher_settings({"auto.offset.reset": "none", "isolation.level": "read_committed"}).read_committed
    assert member_settings({}) == MemberSettings()
    assert member_settings({"group.instance.id": "one", "session.timeout.ms": "9"})[::3] == (9, "one")
    with pytest.raises(UsageError, match="fetch.max.wait.ms=x is not a number".replace(".", r"\.")):
        fetcher_settings({"auto.offset.reset": "latest", "fetch.max.wait.ms": "x"})


# Ends, of a process of its own.


@pytest.fixture
def start(bootstrap: str, topic: str) -> Callable[..., "subprocess.Popen[bytes]"]:
    def start_consumer(*arguments: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "broker.cli.main", "console-consumer", "--bootstrap-server", bootstrap]
        read = ["--topic", topic, "--from-beginning", *arguments]
        return subprocess.Popen([*command, *read], stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    return start_consumer


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_its_offsets_committed(
    run: Run, topic: str, fresh: Fresh, start: Callable[..., "subprocess.Popen[bytes]"], number: signal.Signals
) -> None:
    group = fresh("group")
    with start("--group", group) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(5)] == [b"0\n", b"1\n", b"2\n", b"3\n", b"4\n"]
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (128 + number, b"", b"Processed a total of 5 messages\n")
    described = run("consumer-groups", "--describe", "--group", group)
    assert [line.split()[3:6] for line in described.lines[1:]] == [["5", "5", "0"]]
    assert "has no active members" in described.err


def test_a_broker_that_is_killed_and_comes_back(run: Run) -> None:
    """The consumer waits for it, and goes on: every record once."""
    with BrokerProcess() as broker:
        produce = ("console-producer", "--topic", "t")
        assert run(*produce, stdin=b"before\n", server=broker.bootstrap_servers).status == 0
        command = [sys.executable, "-m", "broker.cli.main", "console-consumer", "--bootstrap-server", broker.bootstrap_servers]
        read = ["--topic", "t", "--from-beginning", "--group", "g", "--max-messages", "3"]
        with subprocess.Popen([*command, *read], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"before\n"
            broker.kill()
            broker.start()
            assert run(*produce, stdin=b"after\nlast\n", server=broker.bootstrap_servers).status == 0
            out, err = process.communicate(timeout=90)
        assert (process.returncode, out, err) == (0, b"after\nlast\n", b"Processed a total of 3 messages\n")
        described = run("consumer-groups", "--describe", "--group", "g", server=broker.bootstrap_servers)
        assert described.lines[1].split()[3:6] == ["3", "3", "0"]


def test_nobody_reads_its_output(run: Run, topic: str, start: Callable[..., "subprocess.Popen[bytes]"]) -> None:
    with start() as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"0\n"
        process.stdout.close()
        run("console-producer", "--topic", topic, stdin=b"one more\n")
        assert process.wait(60) == 0
        assert process.stderr.read().splitlines()[-1].startswith(b"Processed a total of ")


@pytest.mark.parametrize("command", ["topics --list", "get-offsets", "consumer-groups --list --state"])
def test_broken_pipes_are_silent_everywhere(bootstrap: str, topic: str, command: str) -> None:
    """As in `broker topics --list | head -1`, with a reader that is gone already."""
    shell = f"{sys.executable} -m broker.cli.main {command} --bootstrap-server {bootstrap} | true"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, check=False, timeout=60)
    assert done.stderr == b""
