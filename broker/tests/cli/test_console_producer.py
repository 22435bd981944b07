"""`broker console-producer`: lines, batches in time, settings, and its exit status."""

import fcntl
import os
import subprocess
import sys
import termios
import threading
import time

import pytest
from broker.cli.console_producer import Lines, sender_settings
from broker.cli.failures import UsageError
from broker.cli.sender import SenderSettings
from broker.testing import BrokerThread

from .conftest import Fresh, MakeTopic, Run
from .fake_broker import free_address


def consume(run: Run, topic: str, count: int, *arguments: str) -> list[str]:
    read = ("--topic", topic, "--from-beginning", "--max-messages", str(count), "--timeout-ms", "10000")
    return run("console-consumer", *read, *arguments).out.splitlines()


# Lines.


def lines_of(*pieces: bytes) -> list[bytes]:
    """What is read when the input comes in these pieces."""
    reading, writing = os.pipe()
    lines, found = Lines(reading), []
    for piece in pieces:
        os.write(writing, piece)
        found += lines.read(10) or []
    os.close(writing)
    while (more := lines.read(10)) is not None:
        found += more
    os.close(reading)
    return found


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ((), []),
        ((b"a\nb\n",), [b"a", b"b"]),
        ((b"a\nb",), [b"a", b"b"]),
        ((b"a\r\nb\rc\n\nd",), [b"a", b"b", b"c", b"", b"d"]),
        ((b"a\r", b"\nb\r", b"c\r"), [b"a", b"b", b"c"]),
        ((b"\r",), [b""]),
        ((b"ab", b"cd", b"\n"), [b"abcd"]),
        ((b"\xff\xfe\n",), [b"\xff\xfe"]),
        (("하나\u2028둘\x0b셋\n".encode(),), ["하나\u2028둘\x0b셋".encode()]),
    ],
)
def test_lines_end_as_javas_do(pieces: tuple[bytes, ...], expected: list[bytes]) -> None:
    assert lines_of(*pieces) == expected


def test_waiting_for_a_line_ends_with_the_time() -> None:
    reading, writing = os.pipe()
    lines = Lines(reading)
    assert lines.read(0.01) == []
    os.write(writing, b"half")
    assert lines.read(10) == []
    os.write(writing, b" and half\n")
    assert lines.read(10) == [b"half and half"]
    os.close(writing)
    assert lines.read(10) is None
    os.close(reading)


# The command.


@pytest.mark.parametrize("codec", [(), ("--compression-codec",), ("--compression-codec", "snappy")])
def test_each_line_is_a_record(run: Run, make_topic: MakeTopic, codec: tuple[str, ...]) -> None:
    topic = make_topic()
    done = run("console-producer", "--topic", topic, *codec, stdin="하나\ntwo\n\nfour".encode())
    assert done == (0, "", "")
    assert consume(run, topic, 4) == ["하나", "two", "", "four"]


def test_keys_and_headers(run: Run, make_topic: MakeTopic) -> None:
    topic = make_topic()
    properties = ("--reader-property", "parse.key=true", "--reader-property", "parse.headers=true")
    assert run("console-producer", "--topic", topic, *properties, stdin=b"a:1,b:2\tkey\tvalue\n").status == 0
    shown = ("--property", "print.key=true", "--property", "print.headers=true")
    assert consume(run, topic, 1, *shown) == ["a:1,b:2\tkey\tvalue"]


def test_properties_of_a_file(run: Run, make_topic: MakeTopic, tmp_path: os.PathLike[str]) -> None:
    reader, producer = os.path.join(tmp_path, "reader"), os.path.join(tmp_path, "producer")
    for file, text in ((reader, "parse.key=true\nkey.separator=|\n"), (producer, "acks=1\nlinger.ms=0\n")):
        with open(file, "w") as out:
            out.write(text)
    topic = make_topic()
    done = run("console-producer", "--topic", topic, "--reader-config", reader, "--producer.config", producer, stdin=b"k|v\n")
    assert done == (0, "", "")
    assert consume(run, topic, 1, "--property", "print.key=true") == ["k\tv"]


@pytest.mark.parametrize("how", [("--sync",), ("--request-required-acks", "0"), ("--producer-property", "acks=1")])
def test_how_it_waits_for_acknowledgements(run: Run, make_topic: MakeTopic, how: tuple[str, ...]) -> None:
    topic = make_topic()
    assert run("console-producer", "--topic", topic, *how, stdin=b"1\n2\n3\n") == (0, "", "")
    assert consume(run, topic, 3) == ["1", "2", "3"]


def test_what_stands_before_a_bad_line_is_sent(run: Run, make_topic: MakeTopic) -> None:
    topic = make_topic()
    bad = run("console-producer", "--topic", topic, "--property", "parse.key=true", stdin=b"k\tv\nbad\nk\tw\n")
    assert (bad.status, bad.out) == (1, "")
    assert bad.err == "broker console-producer: No key separator found on line number 2: 'bad'\n"
    assert run("get-offsets", "--topic", topic).lines == [f"{topic}:0:1"]


def test_records_that_are_refused_are_told(run: Run, make_topic: MakeTopic) -> None:
    topic = make_topic(1, "--config", "max.message.bytes=200")
    done = run("console-producer", "--topic", topic, "--sync", stdin=b"short\n" + b"x" * 500 + b"\nshort\n")
    assert (done.status, done.out) == (1, "")
    assert f"1 records for {topic}-0 were not delivered: " in done.err
    assert done.err.count("\n") == 1
    assert consume(run, topic, 2) == ["short", "short"]


def test_lines_are_sent_while_the_input_is_open(bootstrap: str, run: Run, make_topic: MakeTopic) -> None:
    """After linger.ms, not at the end of the input only."""
    topic = make_topic()
    command = [sys.executable, "-m", "broker.cli.main", "console-producer", "--bootstrap-server", bootstrap, "--topic", topic]
    with subprocess.Popen([*command, "--timeout", "50"], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        for number in range(2):
            process.stdin.write(b"%d\n" % number)
            process.stdin.flush()
            assert consume(run, topic, number + 1) == ["0", "1"][: number + 1]
        process.stdin.close()
        assert process.wait(30) == 0


def test_a_signal_sends_what_was_read(bootstrap: str, run: Run, make_topic: MakeTopic) -> None:
    topic = make_topic()
    command = [sys.executable, "-m", "broker.cli.main", "console-producer", "--bootstrap-server", bootstrap, "--topic", topic]
    reading, writing = os.pipe()
    os.write(writing, b"read\n")
    settings = ["--timeout", "600000", "--batch-size", "1000000"]
    with subprocess.Popen([*command, *settings], stdin=reading, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        deadline = time.monotonic() + 60
        while unread_bytes(reading):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        # It has the line in its hands; it takes no time to speak of to make a record of it.
        time.sleep(0.3)
        process.terminate()
        assert process.wait(30) == 128 + 15
        assert process.stderr.read() == b""
    os.close(reading)
    os.close(writing)
    assert run("get-offsets", "--topic", topic).lines == [f"{topic}:0:1"]


def unread_bytes(descriptor: int) -> int:
    """In a pipe."""
    return int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_settings() -> None:
    assert sender_settings({}) == SenderSettings()
    chosen = sender_settings({"acks": "1", "compression.type": "zstd", "batch.size": "10", "retries": "0"})
    assert (chosen.acks, chosen.codec, chosen.batch_size, chosen.retries, chosen.idempotent) == (1, 4, 10, 0, False)
    assert not sender_settings({"enable.idempotence": "false"}).idempotent
    with pytest.raises(UsageError, match=r"enable\.idempotence=true needs acks=all"):
        sender_settings({"enable.idempotence": "true", "acks": "1"})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "the following arguments are required: --topic"),
        (("--topic", "t", "--request-required-acks", "2"), "acks=2 is not supported, only -1, 0, 1, all"),
        (("--topic", "t", "--compression-codec", "rar"), "compression.type=rar is not supported, only gzip"),
        (("--topic", "t", "--batch-size", "x"), "batch.size=x is not a number"),
        (("--topic", "t", "--producer-property", "ssl.key=x"), "the setting ssl.key is not supported"),
        (("--topic", "t", "--property", "parse.kee=x"), "the reader property parse.kee is not supported"),
        (("--topic", "t", "--line-reader", "x"), "--line-reader is not supported: lines are read as"),
        (("--topic", "t", "--max-memory-bytes", "1"), "--max-memory-bytes is not supported"),
        (("--topic", "t", "--property", "a=b", "--reader-property", "a=b"), "cannot be used together"),
        (("--topic", "bad name"), "topic 'bad name'"),
    ],
)
def test_what_is_wrong_is_one_line(run: Run, arguments: tuple[str, ...], words: str) -> None:
    found = run("console-producer", *arguments, stdin=b"x\n")
    assert (found.status, found.out) == (1, "")
    assert words in found.err
    assert found.err.count("\n") == 1


def test_a_topic_that_nobody_makes(run: Run, fresh: Fresh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.cli.cluster.CREATION_S", 0.1)
    name = fresh("absent")
    with BrokerThread({"auto.create.topics.enable": "false"}) as broker:
        found = run("console-producer", "--topic", name, stdin=b"x\n", server=broker.bootstrap_servers)
    assert found.status == 1
    assert f"topic '{name}' does not exist; broker topics --create --topic {name} makes it" in found.err


def test_a_broker_that_goes_away(run: Run) -> None:
    """What could not be delivered is told, and it ends."""
    broker = BrokerThread()
    reading, writing = os.pipe()
    with broker:
        address = broker.bootstrap_servers
        command = [sys.executable, "-m", "broker.cli.main", "console-producer", "--bootstrap-server", address, "--topic", "t"]
        process = subprocess.Popen([*command, "--sync"], stdin=reading, stderr=subprocess.PIPE)
        os.close(reading)
        os.write(writing, b"first\n")
        wait_for_end(run, address, "t:0:1")
    os.write(writing, b"second\n")
    os.close(writing)
    stderr = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 1
    assert "1 records for t-0 were not delivered" in stderr or "no broker answers" in stderr
    assert "Traceback" not in stderr


def wait_for_end(run: Run, address: str, expected: str) -> None:
    deadline = time.monotonic() + 30
    while run("get-offsets", "--topic", "t", server=address).lines != [expected]:
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)


def test_no_broker(run: Run) -> None:
    address = free_address()
    found = run("console-producer", "--topic", "t", server=address, stdin=b"x\n")
    assert found.status == 1
    assert f"no broker answers at {address}" in found.err
