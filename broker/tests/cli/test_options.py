"""What the tools have in common: options, settings, failures as one line, ends by signal."""

import argparse
import os
import signal
from pathlib import Path

import pytest
from broker.cli.failures import Unavailable, UsageError
from broker.cli.options import (
    choice,
    client_settings,
    compile_pattern,
    flag,
    key_values,
    make_parser,
    number,
    partitions_of,
    run,
)
from broker.protocol.errors import ErrorCode, KafkaError


def ending(error: BaseException | None, status: int = 0) -> int:
    """A command that ends so."""

    def act(options: argparse.Namespace) -> int:
        if error is not None:
            raise error
        return status

    return run(make_parser("tool", "What it does."), [], act)


def test_the_action_decides_the_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert ending(None, 0) == 0
    assert ending(None, 1) == 1
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (UsageError("say it so"), "say it so"),
        (Unavailable("nobody there"), "nobody there"),
        (KafkaError(ErrorCode.NON_EMPTY_GROUP, "group 'g' is busy"), "group 'g' is busy"),
        (KafkaError(ErrorCode.NON_EMPTY_GROUP), "The group is not empty."),
    ],
)
def test_a_failure_is_one_line(error: Exception, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ending(error) == 1
    assert capsys.readouterr() == ("", f"broker tool: {words}\n")


def test_a_bug_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        ending(ZeroDivisionError())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_and_are_put_back(number: signal.Signals, capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(number)

    def wait(options: argparse.Namespace) -> int:
        os.kill(os.getpid(), number)
        while True:
            signal.pause()

    assert run(make_parser("tool", ""), [], wait) == 128 + number
    assert capsys.readouterr() == ("", "")
    assert signal.getsignal(number) is before


def test_a_signal_passes_an_exception_handler_by() -> None:
    def wait(options: argparse.Namespace) -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            while True:
                signal.pause()
        except Exception:  # noqa: BLE001 - that is the point
            return 0

    assert run(make_parser("tool", ""), [], wait) == 128 + signal.SIGTERM


def test_unknown_and_refused_options_are_named() -> None:
    parser = make_parser("tool", "")
    parser.refuse("--old", why="it is gone")
    parser.refuse("--flag", value=False)
    for arguments, words in (
        (["--fooo"], "unrecognized arguments: --fooo; see broker tool --help"),
        (["--old", "x"], "--old is not supported: it is gone"),
        (["--old=x"], "--old is not supported"),
        (["--flag"], "--flag is not supported"),
        (["--bootstrap"], "--bootstrap"),
    ):
        with pytest.raises(UsageError) as raised:
            parser.parse_args(arguments)
        assert words in str(raised.value)
    assert "--old" not in parser.format_help()


def test_settings_of_a_file_and_of_options(tmp_path: Path) -> None:
    file = tmp_path / "client.properties"
    file.write_text("# ours\nclient.id=mine\nacks=1\nrequest.timeout.ms=5\n")
    settings = client_settings(str(file), ["acks=all", "security.protocol=PLAINTEXT"], {"acks"})
    assert settings == {"client.id": "mine", "acks": "all", "request.timeout.ms": "5", "security.protocol": "PLAINTEXT"}
    assert client_settings(None, []) == {}


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (["acks"], "--command-property acks is not of the form key=value"),
        (["=x"], "is not of the form key=value"),
        (["ssl.truststore=x", "acks=1"], "ssl.truststore is not supported; supported are acks, client.id"),
        (["security.protocol=SSL"], "security.protocol=SSL is not supported, only PLAINTEXT"),
    ],
)
def test_bad_settings(pairs: list[str], words: str) -> None:
    with pytest.raises(UsageError) as raised:
        client_settings(None, pairs, {"acks"})
    assert words in str(raised.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*none\.properties: No such file"):
        client_settings(str(tmp_path / "none.properties"), [])


def test_values() -> None:
    settings = {"n": "7", "bad": "x", "yes": " TRUE ", "codec": "lz4"}
    assert number(settings, "n", 1, 0) == 7
    assert number(settings, "m", 1, 0) == 1
    assert flag(settings, "yes", False)
    assert flag(settings, "none", True)
    assert choice(settings, "codec", "none", ("none", "lz4")) == "lz4"
    for bad, words in (
        (lambda: number(settings, "bad", 1, 0), "bad=x is not a number"),
        (lambda: number(settings, "n", 1, 8), "n=7 is too small, at least 8 is needed"),
        (lambda: flag(settings, "n", True), "n=7 is neither true nor false"),
        (lambda: choice(settings, "codec", "none", ("none", "gzip")), "codec=lz4 is not supported, only gzip, none"),
    ):
        with pytest.raises(UsageError) as raised:
            bad()
        assert words in str(raised.value)


def test_key_values_keep_what_follows() -> None:
    assert key_values(["key.separator==", "a= b "], "--property") == {"key.separator": "=", "a": " b "}


@pytest.mark.parametrize(("text", "expected"), [("t", ("t", None)), ("t:0", ("t", [0])), ("t:2,0", ("t", [2, 0]))])
def test_topics_with_partitions(text: str, expected: tuple[str, list[int] | None]) -> None:
    assert partitions_of(text) == expected


@pytest.mark.parametrize("text", ["t:", "t:x", "t:1,", ":1", "t:-1", "t:²"])
def test_topics_with_bad_partitions(text: str) -> None:
    with pytest.raises(UsageError, match="is not of the form topic:0,1,2"):
        partitions_of(text)


def test_patterns_of_topics() -> None:
    pattern = compile_pattern("a.*,b", "--topic")
    assert pattern.fullmatch("abc")
    assert pattern.fullmatch("b")
    assert not pattern.fullmatch("bc")
    with pytest.raises(UsageError, match=r"--topic \( is no regular expression"):
        compile_pattern("(", "--topic")
